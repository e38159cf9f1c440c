"""Checksums computed by S3: requests batch jobs, follows them, and reads their completion reports.

S3 computes the checksums; nothing here reads an object. Waiting for a job, and starting runs when it ends,
do not belong here.
"""
