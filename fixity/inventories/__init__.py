"""Lists of a bucket that its provider writes, read instead of listing the bucket.

Such a list is the result of a scan over hours, so it may lack what is there and name what is gone: what it
lacks is asked for before it is said. Listing a bucket, and how an inventory is kept, do not belong here.
"""
