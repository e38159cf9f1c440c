"""Buckets on S3 and on compatible endpoints: addresses, signing, HTTP, listing, reading, attributes.

Directories on a disk, and what is done with the bytes, do not belong here.
"""
