"""Ingest fixity: compares the checks of a run with earlier records of the objects.

`report` reports one run, `counts` adds up all runs of a bucket, `verdict` lists what is wrong; `tags` writes
checksums to the objects, `records` gathers records. Reading and judging belong to `fixity.engines` and
`fixity.ledger.judge`.
"""
