"""Checks of a bucket that others made before, as its ledger has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from fixity.lake import Lake
from fixity.ledger.write import ChecksWriter
from fixity.tables import CHECKSUMS, LISTED_COLUMNS, Provenance


def keep_check(
    lake: Lake, bucket: str, listed: Mapping[str, Any], *, checksum: str, expected: str, at: datetime
) -> None:
    """Keep a check that read an object as it is listed, and held it against a manifest's SHA-256."""
    row = {name: listed[name] for name in LISTED_COLUMNS} | {
        "algorithm": "SHA256",
        "checksum_type": "FULL_OBJECT",
        "checksum": checksum,
        "status": "succeeded",
        "bytes_read": listed["size"],
        "evidence": "streamed",
        "checked_at": at,
        "run_id": "ingest",
        "expected": expected,
        "expected_algorithm": "SHA256",
        "expected_from": "manifest",
        "verdict": "matched" if checksum == expected else "differs",
        "reads": 1,
    }
    with lake.workspace() as workspace:
        with ChecksWriter(lake, Provenance(bucket, "ingest", "i", at), workspace) as checks:
            checks.write(pa.Table.from_pylist([row], CHECKSUMS))
        checks.keep()
