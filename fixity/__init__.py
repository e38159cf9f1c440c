"""The domain: buckets and their stores, digests, hashing, the ledger, the comparison, the report.

Plain Python and SQL that a worker, a Lambda or a notebook can use. Nothing here imports Dagster.
"""
