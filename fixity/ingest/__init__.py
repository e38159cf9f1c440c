"""Ingest fixity: what was computed from an object's bytes, held against what was recorded of it before.

`selection` says which objects a run looks at, `plan` with which algorithm each is read, `report` what was
found, `tags` writes the result to the objects. Records are gathered in `fixity.ingest.records`, bytes are
read in `fixity.engines.stream.shards`.
"""
