"""Ingest fixity: checks of a run, held against what was recorded of the objects before.

`report` says what a run found, `counts` what all runs say of a bucket together, `verdict` what is wrong with
it; `tags` writes checksums to the objects. Records are gathered in `records`; reading and judging belong to
`fixity.engines` and `fixity.ledger.judge`.
"""
