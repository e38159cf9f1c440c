"""An object whose COMPOSITE checksum has changed stays red until its bytes are compared with a record."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.ledger import ready
from fixity.ledger.write import ChecksWriter
from fixity.tables import CHECKSUMS, LISTED_COLUMNS, Provenance
from tests.fixity.engines.records import keep_check
from tests.fixity.rolling.support import BUCKET, Rolling
from tests.fixity.support import sha256

HOUR = timedelta(hours=1)
CODE = "CompositeChanged"


@pytest.fixture
def changed(tmp_path: Path) -> Rolling:
    """Two objects; of `a` a job of S3 found another COMPOSITE checksum than before."""
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.time += HOUR
    _keep(
        bucket, "job", status="failed", error_code=CODE, error_message="it has changed", evidence="s3_batch"
    )
    bucket.time += HOUR
    return bucket


def _listed(bucket: Rolling, key: str = "a") -> dict[str, Any]:
    item = bucket.store.objects[key, None][0]
    return {name: getattr(item, name) for name in LISTED_COLUMNS}


def _keep(bucket: Rolling, run_id: str, **said: object) -> dict[str, Any]:
    """Keep a check of `a`, as any engine does; returns it as it was kept."""
    ready(bucket.lake, BUCKET, bucket.settings, run_id, bucket.now)  # for what is expected
    row = {
        **dict.fromkeys(CHECKSUMS.names),
        **(_listed(bucket) if ("a", None) in bucket.store.objects else {}),
        **{"algorithm": "SHA256", "bytes_read": 1, "checked_at": bucket.time, "run_id": run_id},
        **{"verdict": "not_compared", "evidence": "streamed", **said},
    }
    with bucket.lake.workspace() as workspace:
        provenance = Provenance(BUCKET, run_id, "i", bucket.time, partial=True)
        with ChecksWriter(bucket.lake, provenance, workspace) as writer:
            writer.write(pa.Table.from_pylist([row], CHECKSUMS))
        writer.keep()
    (kept,) = pq.read_table(bucket.folder / f"checksums/{BUCKET}/{run_id}.parquet").to_pylist()
    return kept  # type: ignore[no-any-return]


def _rolled(bucket: Rolling) -> dict[str, tuple[str, str | None, str]]:
    rows = bucket.ledger(bucket.roll(keys=["a", "b"])).to_pylist()
    return {row["key"]: (row["status"], row["error_code"], row["verdict"]) for row in rows}


def test_a_first_checksum_of_the_whole_object_is_not_registered_as_right_whoever_reads_it(
    changed: Rolling,
) -> None:
    first = {"status": "succeeded", "checksum_type": "FULL_OBJECT", "checksum": sha256(b"a")}
    kept = _keep(changed, "again", verdict="registered", **first)
    assert (kept["status"], kept["error_code"], kept["checksum"]) == ("failed", CODE, None)
    assert f"SHA256 {sha256(b'a')}" in kept["error_message"]
    right = ("succeeded", None, "registered")
    for _ in range(2):  # and it stays so
        changed.time += HOUR
        assert _rolled(changed) == {"a": ("failed", CODE, "not_compared"), "b": right}
        right = ("succeeded", None, "matched")


def test_a_read_that_fails_meanwhile_does_not_make_it_forgotten(changed: Rolling) -> None:
    changed.store.unreadable = {"a"}
    kept = _rolled(changed)["a"]
    assert kept == ("failed", CODE, "not_compared")
    changed.store.unreadable = set()
    changed.time += HOUR
    assert _rolled(changed)["a"] == ("failed", CODE, "not_compared")


def test_a_record_that_the_bytes_agree_with_ends_it(changed: Rolling) -> None:
    right = sha256(b"a")
    keep_check(changed.lake, BUCKET, _listed(changed), checksum=right, expected=right, at=changed.time)
    changed.time += HOUR
    assert _rolled(changed)["a"] == ("succeeded", None, "matched")


@pytest.mark.parametrize("version", ["v1", "null"])
def test_an_object_is_the_same_however_another_list_shows_it(tmp_path: Path, version: str) -> None:
    bucket = Rolling(tmp_path)
    bucket.store.put("a", b"a", version)
    bucket.take_inventory()
    bucket.time += HOUR
    item, _ = bucket.store.objects["a", version]
    listed = {name: getattr(item, name) for name in LISTED_COLUMNS}
    _keep(bucket, "job", status="failed", error_code=CODE, evidence="s3_batch", **listed)
    bucket.time += HOUR
    if version == "v1":
        listed |= {"etag": None, "last_modified": bucket.time}
    else:
        listed |= {"version_id": None}
    first = {"status": "succeeded", "checksum_type": "FULL_OBJECT", "checksum": sha256(b"a")}
    kept = _keep(bucket, "again", verdict="registered", **first, **listed)
    assert (kept["status"], kept["error_code"]) == ("failed", CODE)


def test_an_object_that_was_written_anew_begins_anew(changed: Rolling) -> None:
    changed.store.rewrite("a", b"another", changed.time)
    changed.take_inventory()
    changed.time += HOUR
    assert _rolled(changed)["a"] == ("succeeded", None, "registered")
