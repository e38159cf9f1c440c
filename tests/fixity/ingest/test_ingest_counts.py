"""What all ingest runs of a bucket say together, whichever version wrote them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.ingest.counts import counts_of_bucket
from fixity.ingest.report import IngestCounts
from fixity.lake import Lake, LocalLake
from fixity.lake.paths import expired_file
from fixity.tables import CHECKSUMS, INGEST, Provenance
from tests.fixity.ingest.test_ingest_report import MD5, WRONG, Troubled, report
from tests.fixity.support import NOON


def counts(lake: Lake) -> IngestCounts:
    with lake.workspace() as workspace:
        return counts_of_bucket(lake, "b", workspace)


def put_table(lake: Lake, name: str, row: dict[str, object], schema: pa.Schema) -> None:
    """A table of one row, as a run made it an hour after noon, of no whole inventory."""
    of = Provenance("b", "later", "later", NOON + timedelta(hours=1)).attach(schema)
    with lake.workspace() as workspace:
        file = workspace / "table.parquet"
        pq.write_table(pa.Table.from_pylist([{**dict.fromkeys(schema.names), **row}], of), file)
        lake.put(name, file)


def test_a_bucket_counts_as_its_newest_whole_run_says(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("right", b"abc")
    store.put("wrong", b"abc")
    made = report(store, lake, f"right,{MD5}\nwrong,{WRONG}\nlost,{MD5}\n")
    found = counts(lake)
    assert (found.objects, found.matched, found.not_matched, found.missing) == (2, 1, 1, 1)
    made.counts.compared_with.clear()
    assert found == made.counts


def test_a_restore_that_expired_since_is_a_failed_check(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("film", b"abc")
    report(store, lake, f"film,{MD5}\n")
    item, _ = store.objects["film", None]
    row = {
        "key": "film", "size": 3, "etag": item.etag, "last_modified": item.last_modified, "is_latest": True,
        "algorithm": "SHA256", "status": "failed", "error_code": "RestoreExpired", "bytes_read": 0,
        "checked_at": NOON + timedelta(days=9999), "run_id": "look", "verdict": "not_compared",
    }  # fmt: skip
    put_table(lake, expired_file("b", "look", 1), row, CHECKSUMS)
    found = counts(lake)
    assert (found.objects, found.matched, found.failed) == (1, 0, 1)


def test_a_result_that_an_earlier_version_kept_in_a_table_of_its_own_still_counts(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("film", b"abc")
    report(store, lake, f"film,{MD5}\n")
    row = {
        "key": "film", "size": 3, "etag": hashlib.md5(b"abc").hexdigest(), "result": "NOTMATCHED",
        "compared_with": "manifest", "conflicts": 0, "status": "succeeded", "expected": WRONG,
        "checked_at": NOON + timedelta(days=9999), "run_id": "old",
    }  # fmt: skip
    put_table(lake, "ingest/b/old.parquet", row, INGEST)
    found = counts(lake)
    assert (found.objects, found.matched, found.not_matched) == (1, 0, 1)
