"""Digests: the algorithms of S3, digests that another process can take up, and ETags.

Reading bytes and comparing checksums do not belong here.
"""
