"""A stand-in for S3 Control, for developing and testing: jobs of S3 Batch Operations on one machine.

No emulator serves CreateJob. This one speaks its wire format, driven by botocore's own model of the
service, computes the checksums over a local S3 server, and writes reports as S3 does. The platform never
imports it.
"""
