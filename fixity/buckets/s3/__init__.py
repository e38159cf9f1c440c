"""Buckets on S3 and on compatible endpoints: addresses, signing, HTTP, listing, reading, attributes.

Directories on a disk, and using the bytes, do not belong here.
"""
