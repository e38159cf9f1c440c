"""Digests: the algorithms of S3, digests that another process can resume, and ETags.

Reading bytes and comparing checksums do not belong here.
"""
