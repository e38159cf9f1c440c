"""The records that came with the objects of both sides give the diagnosis of each suspect row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fixity.lake import LocalLake
from fixity.lake.paths import baselines_file, inventory_file
from fixity.tables import BASELINES, CHECKSUMS, INVENTORY, Provenance
from tests.fixity.incidents.archive import BAD, GOOD, Archive, add_check, ledger_file, write
from tests.fixity.support import keep_table, sha256


def record(bucket: str, source: str, checksum: str, **more: Any) -> dict[str, Any]:
    return {
        "key": "letter",
        "listed": True,
        "algorithm": "SHA256",
        "checksum": checksum,
        "recorded_as": source,
        "recorded_in": "manifest-sha256.txt",
        "rank": 0,
        **more,
    }


def keep_records(archive: Archive, bucket: str, run_id: str, *rows: dict[str, Any], at: datetime) -> Path:
    """Keep a table of records, of a look at a bucket; returns its file."""
    schema = Provenance(bucket, run_id, run_id, at).attach(BASELINES)
    keep_table(archive.lake, baselines_file(bucket, run_id), pa.Table.from_pylist(list(rows), schema))
    return Path(archive.lake.location(baselines_file(bucket, run_id)))


LOOKED = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def different(local: Archive) -> Archive:
    """The same, with another file in the replica, and each read once."""
    write(local.folder / "b" / "letter", BAD)
    local.check("1")
    return local


@pytest.mark.parametrize("of", ["a", "b"])
def test_a_manifest_of_either_side_tells_the_bad_copy(different: Archive, of: str) -> None:
    keep_records(different, of, "1", record(of, "manifest", sha256(GOOD)), at=LOOKED)
    row = different.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert "manifest (SHA256)" in row["diagnosis_rests_on"]


def test_records_that_contradict_each_other_tell_nothing(different: Archive) -> None:
    keep_records(different, "a", "1", record("a", "manifest", sha256(GOOD)), at=LOOKED)
    keep_records(different, "b", "1", record("b", "manifest", sha256(BAD)), at=LOOKED)
    row = different.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("cannot_tell", [])
    assert "the source's manifest" in row["diagnosis_rests_on"] or "its manifest" in row["diagnosis_rests_on"]


@pytest.mark.parametrize(
    ("problem", "at"),
    [
        ({"problem": "could not be read"}, LOOKED),
        ({"listed": False}, LOOKED),
        ({"algorithm": "MD5"}, LOOKED),  # nobody computed it of these bytes
        ({"version_id": "v1"}, LOOKED),
        ({}, datetime(2025, 12, 1, tzinfo=UTC)),  # before the object was written: of another one
    ],
    ids=["unusable", "of another object", "another algorithm", "another version", "before it was written"],
)
def test_a_record_that_is_none_of_these_bytes_tells_nothing(
    different: Archive, problem: dict[str, Any], at: datetime
) -> None:
    keep_records(different, "a", "1", record("a", "manifest", sha256(GOOD), **problem), at=at)
    assert different.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_a_record_that_was_corrected_since_does_not_count(different: Archive) -> None:
    wrong, right = record("a", "api", sha256(BAD), rank=50), record("a", "api", sha256(GOOD))
    keep_records(different, "a", "1", record("a", "api", sha256(BAD)), at=LOOKED)
    keep_records(different, "a", "2", right, wrong, at=LOOKED + timedelta(days=1))
    assert different.diagnose()["letter"]["diagnosis"] == "replica_damaged"


def test_a_rotten_table_of_records_does_not_count(different: Archive) -> None:
    file = keep_records(different, "a", "1", record("a", "manifest", sha256(GOOD)), at=LOOKED)
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(body)
    again = Archive(different.folder, different.catalog, LocalLake(different.folder / "lake"))
    assert again.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_a_record_that_the_ledger_compared_with_the_bytes_counts(different: Archive) -> None:
    known = {"expected": sha256(GOOD), "expected_algorithm": "SHA256", "expected_from": "manifest"}
    add_check(different, "a", "2", verdict="matched", **known)
    row = different.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert "the source's bytes match its manifest (SHA256)" in row["diagnosis_rests_on"]


def test_a_checksum_by_another_algorithm_is_of_all_reads_that_found_the_same_bytes(
    different: Archive,
) -> None:
    """The MD5 was computed once, by a check before; the record is an MD5."""
    add_check(different, "a", "2", other_checksums=[("MD5", "m5")])
    add_check(
        different,
        "a",
        "3",
        checked_at=different.checks("a", "1")["letter"]["checked_at"] + timedelta(hours=1),
    )
    keep_records(different, "a", "1", record("a", "manifest", "m5", algorithm="MD5"), at=LOOKED)
    row = different.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])


def test_a_first_read_that_the_other_copy_took_back_is_no_baseline(different: Archive) -> None:
    """The first read of the replica gave other bytes than it had. Later it changed."""
    add_check(different, "b", "0", checksum=sha256(b"flipped"), checked_at=LOOKED)
    confirmed = {"expected": sha256(GOOD), "expected_algorithm": "SHA256", "expected_from": "other-copy"}
    later = LOOKED + timedelta(days=1)
    add_check(different, "b", "00", checksum=sha256(GOOD), checked_at=later, verdict="matched", **confirmed)
    row = different.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert row["diagnosis_rests_on"].startswith("the replica's own baseline of 2026-02-02 (first seen) held")


def test_a_single_read_that_differs_from_all_others_is_no_baseline(different: Archive) -> None:
    add_check(different, "a", "0", checksum=sha256(b"flipped"), checked_at=LOOKED, reads=1)
    row = different.diagnose()["letter"]
    assert row["diagnosis"] == "cannot_tell"
    assert (
        "its own baseline of 2026-02-01 (first seen), which was read only once" in row["diagnosis_rests_on"]
    )


def test_versions_are_told_apart_and_a_replicated_one_is_never_an_older_one(tmp_path: Path) -> None:
    """Whatever the times of both copies are, if they have one version's id."""
    of_server = {"store": "real", "versions": "all"}
    archive = Archive.of(
        tmp_path, {"a": of_server, "b": of_server}, {"a": {"replica": "b"}}, "http://127.0.0.1:1"
    )
    for bucket, second in (("a", GOOD), ("b", BAD)):
        written = datetime(2026, 1, 2 if bucket == "a" else 1, tzinfo=UTC)
        listed = {"key": "letter", "size": len(GOOD), "etag": "e", "last_modified": written}
        rows = [
            {**listed, "version_id": version, "is_latest": version == "v2", "checksum": sha256(body)}
            for version, body in (("v1", b"the first edition"), ("v2", second))
        ]
        of = Provenance(bucket, f"{bucket}1", f"{bucket}1", datetime(2026, 1, 3, tzinfo=UTC))
        keep_table(
            archive.lake,
            inventory_file(bucket, f"{bucket}1"),
            pa.Table.from_pylist(rows, of.attach(INVENTORY)),
        )
        same = {
            "algorithm": "SHA256", "checksum_type": "FULL_OBJECT", "status": "succeeded",
            "evidence": "streamed", "bytes_read": 1, "checked_at": datetime(2026, 1, 4, tzinfo=UTC),
            "run_id": f"{bucket}1",
        }  # fmt: skip
        checks = pa.Table.from_pylist([{**row, **same} for row in rows], of.attach(CHECKSUMS))
        keep_table(archive.lake, ledger_file(bucket, "1"), checks)
    assert archive.diagnose()["letter"]["diagnosis"] == "cannot_tell"
    of_first = record("a", "manifest", sha256(b"the first edition"), version_id="v1")
    of_second = record("a", "manifest", sha256(GOOD), version_id="v2")
    keep_records(archive, "a", "1", of_first, of_second, at=datetime(2026, 1, 1, tzinfo=UTC))
    row = archive.diagnose()["letter"]
    assert (row["version_id"], row["diagnosis"], row["damaged"]) == ("v2", "replica_damaged", ["b"])
