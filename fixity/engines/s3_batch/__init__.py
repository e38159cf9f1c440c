"""Checksums computed by S3: batch jobs requested, looked after, and their completion reports read.

S3 computes the checksums where the bytes are; nothing here reads an object. Waiting for a job, and runs
that follow from its end, do not belong here.
"""
