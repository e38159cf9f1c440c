"""What is kept of both sides, and what the store says, gives the diagnosis of each suspect row."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from devstack.seaweedfs import REGION, SeaweedFS
from fixity.buckets import open_bucket
from fixity.catalog import Catalog, load_catalog
from fixity.incidents.asking import part_digests
from fixity.incidents.evidence import findings
from fixity.lake import Lake, LocalLake, open_lake
from fixity.lake.paths import baselines_file, checksums_file, inventory_file
from fixity.ledger.fold import settings_of
from fixity.reports.pair import make_report
from fixity.tables import BASELINES, CHECKSUMS, FINDINGS, INVENTORY, Provenance
from tests.conftest import MakeBucket
from tests.fixity.support import inventory_and_checks, keep_table, sha256, take_inventory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAIR = "a"
GOOD, BAD = b"the bytes of the deposit", b"the bytes of tHe deposit"


def ledger_file(bucket: str, run: str) -> str:
    """The file of a bucket's ledger with the checks of a run."""
    return checksums_file(bucket, f"{bucket}{run}")


@dataclass
class Archive:
    """A catalog with the pair `a`, of the buckets `a` and `b`, and its lake."""

    folder: Path
    catalog: Catalog
    lake: Lake

    @classmethod
    def of(
        cls, folder: Path, buckets: dict[str, Any], pairs: dict[str, Any], endpoint_url: str = ""
    ) -> Archive:
        said: dict[str, Any] = {
            "lake": "./lake",
            "buckets": buckets,
            "pairs": {name: {"replication_lag": "0s", **pair} for name, pair in pairs.items()},
        }
        if endpoint_url:
            said["stores"] = {"real": {"endpoint_url": endpoint_url, "region": REGION}}
        (folder / "fixity.yaml").write_text(yaml.safe_dump(said))
        catalog = load_catalog(folder / "fixity.yaml")
        return cls(folder, catalog, open_lake(catalog))

    def check(self, run_id: str, *buckets: str) -> None:
        """List and read buckets, and keep the checks."""
        for name in buckets or ("a", "b"):
            with closing(open_bucket(self.catalog, self.catalog.buckets[name])) as store:
                inventory_and_checks(store, self.lake, f"{name}{run_id}", name)

    def diagnose(self) -> dict[str, dict[str, Any]]:
        """The findings of the pair's suspect rows, by key."""
        pair = self.catalog.pairs[PAIR]
        report = make_report(self.lake, pair, settings_of(self.catalog.buckets[pair.source]), "run")
        suspects = self.folder / "suspects.parquet"
        pq.write_table(report.suspects, suspects)
        found = findings(self.lake, self.catalog, pair, suspects, self.folder)
        assert found.schema == FINDINGS
        rows = ["key", "version_id"]
        assert found.select(rows).to_pylist() == report.suspects.select(rows).to_pylist()
        return {row["key"]: row for row in found.to_pylist()}

    def checks(self, bucket: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The checks of a run, by key."""
        table = pq.read_table(self.lake.location(ledger_file(bucket, run_id)))
        return {row["key"]: row for row in table.to_pylist()}


@pytest.fixture
def local(tmp_path: Path) -> Archive:
    """Three directories with the same file; the third is another replica of the first."""
    buckets = {}
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "letter", GOOD)
        buckets[name] = {"path": f"./{name}"}
    return Archive.of(tmp_path, buckets, {"a": {"replica": "b"}, "other": {"source": "a", "replica": "c"}})


def write(file: Path, body: bytes, day: int = 1) -> None:
    """Write a file as if on a day of January."""
    file.write_bytes(body)
    moment = datetime(2026, 1, day, tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))


@pytest.mark.parametrize(("rotten", "word"), [("a", "source_damaged"), ("b", "replica_damaged")])
def test_the_copy_that_changed_since_both_were_the_same_is_the_bad_one(
    local: Archive, rotten: str, word: str
) -> None:
    local.check("1")
    write(local.folder / rotten / "letter", BAD)
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == (word, [rotten])
    assert row["last_agreed_at"] == local.checks(rotten, "1")["letter"]["checked_at"]
    side, other = ("source", "replica") if rotten == "a" else ("replica", "source")
    today = f"{row['last_agreed_at']:%Y-%m-%d}"
    assert row["diagnosis_rests_on"] == (
        f"the {side}'s own baseline of {today} (first seen) held until {today} and its bytes differ "
        f"from it now; the {other}'s bytes match the {side}'s own baseline of {today} (first seen)"
    )


@pytest.mark.parametrize("day", [3, 1], ids=["a later time", "the time of before"])
def test_a_replica_that_was_replaced_after_it_was_right_is_the_bad_one(local: Archive, day: int) -> None:
    """A truncated file has another size and time, so that its own checks begin anew."""
    write(local.folder / "b" / "letter", GOOD, day=2)
    local.check("1")
    write(local.folder / "b" / "letter", GOOD[:5], day=day)
    for run_id in "23":
        local.check(run_id)
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert row["last_agreed_at"] == local.checks("b", "1")["letter"]["checked_at"]
    assert row["diagnosis_rests_on"] == (
        f"the replica was replaced since both sides were the same on {row['last_agreed_at']:%Y-%m-%d}: what "
        f"is there now was written on 2026-01-0{day}; the source's bytes are still those that both had on "
        f"{row['last_agreed_at']:%Y-%m-%d}"
    )


def test_a_source_that_was_replaced_by_something_older_tells_nothing_but_that(local: Archive) -> None:
    write(local.folder / "a" / "letter", GOOD, day=2)
    local.check("1")
    write(local.folder / "a" / "letter", b"something else", day=1)
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("cannot_tell", [])
    assert row["last_agreed_at"] == local.checks("a", "1")["letter"]["checked_at"]
    assert row["diagnosis_rests_on"].startswith(
        f"the source was replaced since both sides were the same on {row['last_agreed_at']:%Y-%m-%d}: what "
        "is there now was written on 2026-01-01; the replica's bytes have not changed"
    )


def test_both_sides_agreed_only_where_neither_had_other_bytes_before_the_other_had_these(
    local: Archive,
) -> None:
    local.check("1", "a")
    write(local.folder / "a" / "letter", BAD, day=2)
    local.check("2", "a")
    local.check("3")  # only now has the replica the bytes that the source had at first
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["last_agreed_at"]) == ("replica_stale", None)


def test_where_only_one_side_was_ever_read_before_nobody_can_tell(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1", "a")
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"], row["last_agreed_at"]) == ("cannot_tell", [], None)
    assert "the source's bytes have not changed since its first check of" in row["diagnosis_rests_on"]


@pytest.mark.parametrize("has_proof", [True, False], ids=["with its record", "of an earlier version"])
def test_a_rotten_file_of_the_ledger_does_not_count(local: Archive, has_proof: bool) -> None:
    """The replica's first check is all that tells the bad copy from the good one."""
    local.check("1", "b")
    write(local.folder / "b" / "letter", BAD)
    local.check("2")
    assert local.diagnose()["letter"]["diagnosis"] == "replica_damaged"
    name = ledger_file("b", "1")
    file = Path(local.lake.location(name))
    if has_proof:  # a bit flips in it
        body = bytearray(file.read_bytes())
        body[len(body) // 2] ^= 1
    else:  # its data are cut out of it
        (local.folder / "lake" / "log" / "records" / f"{name}.json").unlink()
        table = pq.read_table(file)
        without = {key: value for key, value in table.schema.metadata.items() if key == b"fixity"}
        pq.write_table(table.replace_schema_metadata(without), file)
        body = bytearray(file.read_bytes())
        footer = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
        body[4:footer] = bytes(footer - 4)
    file.chmod(0o644)
    file.write_bytes(body)
    again = Archive(local.folder, local.catalog, open_lake(local.catalog))
    assert again.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_checks_of_earlier_versions_count(local: Archive) -> None:
    """Their tables have fewer columns."""
    local.check("1")
    write(local.folder / "b" / "letter", BAD)
    local.check("2")
    newer = ("expected", "expected_algorithm", "expected_from", "verdict", "reads", "other_checksums")
    for bucket, run_id in (("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")):
        name = ledger_file(bucket, run_id)
        keep_table(local.lake, name, pq.read_table(local.lake.location(name)).drop_columns(list(newer)))
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])


def test_a_check_of_a_wrong_clock_is_no_evidence(local: Archive) -> None:
    local.check("1")
    write(local.folder / "b" / "letter", BAD)
    local.check("2")
    name = ledger_file("b", "1")
    table = pq.read_table(local.lake.location(name))
    later = pc.add(table["checked_at"], pa.scalar(timedelta(days=9_000)))
    place = table.schema.get_field_index("checked_at")
    keep_table(local.lake, name, table.set_column(place, table.schema.field(place), later))
    assert local.diagnose()["letter"]["diagnosis"] == "cannot_tell"


@pytest.mark.parametrize(("rotten", "word"), [("a", "source_damaged"), ("b", "replica_damaged")])
def test_a_third_copy_makes_a_majority(local: Archive, rotten: str, word: str) -> None:
    write(local.folder / rotten / "letter", BAD)
    local.check("1", "a", "b", "c")
    row = local.diagnose()["letter"]
    same = "b, c" if rotten == "a" else "a, c"
    assert (row["diagnosis"], row["damaged"]) == (word, [rotten])
    assert row["diagnosis_rests_on"] == f"2 of 3 copies are the same ({same})"


def test_a_third_copy_that_was_replaced_since_its_check_makes_none(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1", "a", "b", "c")
    write(local.folder / "c" / "letter", b"something else", day=2)
    with closing(open_bucket(local.catalog, local.catalog.buckets["c"])) as store:
        take_inventory(store, local.lake, "c", "c2")
    assert local.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_a_bucket_that_was_never_listed_has_no_copies(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1")
    assert local.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_a_replica_with_the_bytes_of_an_earlier_check_of_the_source_is_stale(local: Archive) -> None:
    local.check("1")
    write(local.folder / "a" / "letter", b"the second edition", day=2)
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_stale", ["b"])
    assert row["diagnosis_rests_on"] == (
        "the replica's bytes are those of the source's older version of 2026-01-01"
    )


def test_a_source_that_was_written_anew_since_it_was_compared_has_changed_meanwhile(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1")
    inventory = Path(local.lake.location(inventory_file("a", "a1")))
    before = pq.read_table(inventory)
    write(local.folder / "a" / "letter", b"the second edition", day=2)
    local.check("2", "a")
    name = inventory_file("a", "a2")  # as if the newest listing were the older one
    keep_table(local.lake, name, before)
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("changed_meanwhile", [])
    assert row["diagnosis_rests_on"].startswith("the source was another one when it was read on ")


def test_a_missing_object_has_no_diagnosis_but_what_is_known_of_it(local: Archive) -> None:
    write(local.folder / "a" / "new", GOOD)
    local.check("1")
    (local.folder / "b" / "letter").unlink()
    local.check("2")
    found = local.diagnose()
    today = f"{local.checks('b', '1')['letter']['checked_at']:%Y-%m-%d}"
    unchanged = f"the source's bytes have not changed since its first check of {today}"
    assert [(row["diagnosis"], row["damaged"]) for row in found.values()] == [(None, []), (None, [])]
    assert found["letter"]["last_agreed_at"] == local.checks("b", "1")["letter"]["checked_at"]
    assert found["new"]["last_agreed_at"] is None
    assert found["letter"]["diagnosis_rests_on"] == (
        f"the replica had it on {today}, and no delete marker of it is known; {unchanged}"
    )
    assert found["new"]["diagnosis_rests_on"] == f"no check of it in the replica is known; {unchanged}"


# --- records --------------------------------------------------------------------------------------


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


def add_check(archive: Archive, bucket: str, run_id: str, key: str = "letter", **values: Any) -> None:
    """Keep one more check of an object, like that of the run 1, a minute later."""
    before = archive.checks(bucket, "1")[key]
    row = before | {"checked_at": before["checked_at"] + timedelta(minutes=1), "run_id": run_id} | values
    file = Path(archive.lake.location(ledger_file(bucket, "1")))
    of = Provenance(bucket, run_id, f"{bucket}1", Provenance.read(file).listed_at, partial=True)
    table = pa.Table.from_pylist([row], of.attach(CHECKSUMS))
    keep_table(archive.lake, checksums_file(bucket, run_id), table)


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


# --- a real store ---------------------------------------------------------------------------------


@dataclass
class Remote:
    """An archive of two buckets on the real server."""

    archive: Archive
    s3: S3Client
    names: dict[str, str]

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.names[bucket], Key=key, Body=body)

    def delete(self, bucket: str, key: str) -> None:
        self.s3.delete_object(Bucket=self.names[bucket], Key=key)


def remote(
    folder: Path, s3: S3Client, server: SeaweedFS, names: dict[str, str], **settings: dict[str, Any]
) -> Remote:
    of_server = {"store": "real", "prefix": "p/"}
    buckets = {key: {**of_server, "bucket": name} for key, name in names.items()}
    buckets |= {key: {**buckets.get(key, {}), **more} for key, more in settings.items()}
    archive = Archive.of(folder, buckets, {"a": {"replica": "b"}}, server.endpoint_url)
    return Remote(archive, s3, names)


def test_a_replica_with_an_older_version_of_a_versioned_source_is_stale(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    names = {"a": make_bucket(versioned=True), "b": make_bucket()}
    store = remote(tmp_path, s3, seaweedfs, names, a={"versions": "all"})
    for bucket in ("a", "b"):
        store.put(bucket, "p/letter", GOOD)
    store.put("a", "p/letter", b"the second edition")
    store.archive.check("1")
    row = store.archive.diagnose()["letter"]
    versions = s3.list_object_versions(Bucket=names["a"])["Versions"]
    (older,) = [each["VersionId"] for each in versions if not each["IsLatest"]]
    assert (row["diagnosis"], row["damaged"]) == ("replica_stale", ["b"])
    assert f"the source's older version {older} of " in row["diagnosis_rests_on"]


def test_an_object_that_was_deleted_is_called_that_with_the_time_of_its_marker(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    names = {"a": make_bucket(versioned=True), "b": make_bucket(versioned=True)}
    store = remote(tmp_path, s3, seaweedfs, names)
    keys = ("deleted in a", "deleted in b", "deleted in b, and its neighbour", "twice", "never in b")
    for key in keys:
        store.put("a", f"p/{key}", GOOD)
        if key != "never in b":
            store.put("b", f"p/{key}", GOOD)
    store.archive.check("1")
    for bucket, key in (("a", keys[0]), ("b", keys[1]), ("b", "twice"), ("b", "twice")):
        store.delete(bucket, f"p/{key}")
    store.archive.check("2")
    found = store.archive.diagnose()
    markers = s3.list_object_versions(Bucket=names["b"])["DeleteMarkers"]
    first = min(each["LastModified"] for each in markers if each["Key"] == "p/twice")
    assert {key: row["diagnosis"] for key, row in found.items()} == {
        "deleted in a": "deleted", "deleted in b": "deleted", "never in b": None, "twice": "deleted"
    }  # fmt: skip
    assert found["twice"]["diagnosis_rests_on"].startswith(
        f"the replica has a delete marker of {first.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )
    assert found["deleted in a"]["diagnosis_rests_on"].startswith("the source has a delete marker of ")
    assert [row["damaged"] for row in found.values()] == [[], [], [], []]


def test_a_marker_that_is_older_than_the_object_on_the_other_side_is_of_another_one(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """The replica's was deleted; then the source got a new one, which never was in the replica."""
    names = {"b": make_bucket(versioned=True)}
    store = remote(tmp_path, s3, seaweedfs, names, a={"path": "./a"})
    (tmp_path / "a").mkdir()
    for key in ("older", "newer"):
        store.put("b", f"p/{key}", GOOD)
        store.delete("b", f"p/{key}")
        write(tmp_path / "a" / key, GOOD)
    (tmp_path / "a" / "newer").write_bytes(GOOD)
    store.archive.check("1")
    found = store.archive.diagnose()
    assert {key: row["diagnosis"] for key, row in found.items()} == {"older": "deleted", "newer": None}


def test_without_versions_a_deletion_is_not_known_as_one(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    store = remote(tmp_path, s3, seaweedfs, {"a": make_bucket(), "b": make_bucket()})
    for bucket in ("a", "b"):
        store.put(bucket, "p/letter", GOOD)
    store.archive.check("1")
    store.delete("b", "p/letter")
    store.archive.check("2")
    row = store.archive.diagnose()["letter"]
    assert row["diagnosis"] is None
    assert row["diagnosis_rests_on"].startswith("the replica had it on ")


def test_a_store_that_does_not_answer_is_no_evidence(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """The marker of the deleted object cannot be asked for."""
    names = {"a": make_bucket(), "b": make_bucket(versioned=True)}
    store = remote(tmp_path, s3, seaweedfs, names)
    for bucket, key in (("a", "letter"), ("b", "letter"), ("a", "other"), ("b", "other")):
        store.put(bucket, f"p/{key}", GOOD)
    store.delete("b", "p/letter")
    store.archive.check("1")
    assert store.archive.diagnose()["letter"]["diagnosis"] == "deleted"
    s3.delete_bucket(Bucket=names["b"])
    try:
        assert store.archive.diagnose()["letter"]["diagnosis"] is None
    finally:
        s3.create_bucket(Bucket=names["b"])  # the fixture deletes it


def test_an_etag_tells_which_copy_is_no_longer_what_was_uploaded(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """Both were uploaded with the same MD5, which was computed of what each has now."""
    names = {"a": make_bucket(), "b": make_bucket()}
    store = remote(tmp_path, s3, seaweedfs, names)
    for bucket in ("a", "b"):
        store.put(bucket, "p/letter", GOOD)
    store.archive.check("1")
    (etag,) = {store.archive.checks(bucket, "1")["letter"]["etag"] for bucket in ("a", "b")}
    rotten: dict[str, Any] = {"checksum": sha256(BAD), "reads": 2, "other_checksums": [("MD5", "0" * 32)]}
    add_check(store.archive, "a", "2", other_checksums=[("MD5", etag)])
    add_check(store.archive, "b", "2", **rotten)
    file = store.archive.lake.location(ledger_file("b", "1"))
    Path(file).unlink()  # the replica's first check would tell it too
    row = store.archive.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert "the source's bytes match its ETag (MD5)" in row["diagnosis_rests_on"]


def test_each_row_has_its_own_diagnosis_all_of_them_together(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """Files of the source rot on the disk; that objects of the replica do, the ledger of the replica says."""
    store = remote(tmp_path, s3, seaweedfs, {"b": make_bucket(versioned=True)}, a={"path": "./a"})
    archive, source = store.archive, tmp_path / "a"
    source.mkdir()
    keys = ("good", "source rots", "replica rots", "both rot", "stale", "deleted", "busy", "missing")
    for key in keys:
        write(source / key, GOOD)
        store.put("b", f"p/{key}", GOOD)
    for key in ("other", "busy"):
        write(source / key, b"always another")
        store.put("b", f"p/{key}", GOOD)
    archive.check("1")
    for key in ("source rots", "both rot"):
        write(source / key, BAD)
    write(source / "stale", b"the second edition", day=2)
    write(source / "missing in b", GOOD)
    store.delete("b", "p/deleted")
    (source / "missing").unlink()
    archive.check("2")
    for key in ("replica rots", "both rot"):
        add_check(archive, "b", f"b3 {key}", key, checksum=sha256(b"rotten"), reads=2)
    newer = {"last_modified": datetime(2026, 1, 3, tzinfo=UTC), "checksum": sha256(GOOD)}
    add_check(archive, "a", "a3 busy", "busy", **newer)
    for bucket in ("a", "b"):  # without the pointers to them, all files are used
        (tmp_path / "lake" / "checksums" / bucket / "NEWEST.json").unlink()
    assert {key: (row["diagnosis"], row["damaged"]) for key, row in archive.diagnose().items()} == {
        "both rot": ("both_damaged", ["a", "b"]),
        "busy": ("changed_meanwhile", []),
        "deleted": ("deleted", []),
        "missing": (None, []),
        "missing in b": (None, []),
        "other": ("cannot_tell", []),
        "replica rots": ("replica_damaged", ["b"]),
        "source rots": ("source_damaged", ["a"]),
        "stale": ("replica_stale", ["b"]),
    }


def test_a_multipart_etag_is_computed_where_nothing_else_tells(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    name, size = make_bucket(), 5 * 1024**2
    body = bytes(size) + GOOD
    upload = s3.create_multipart_upload(Bucket=name, Key="letter")["UploadId"]
    place: Any = {"Bucket": name, "Key": "letter", "UploadId": upload}
    parts: list[Any] = [
        {"PartNumber": number, "ETag": s3.upload_part(**place, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate((body[:size], body[size:]), 1)
    ]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    (tmp_path / "b").mkdir()
    buckets = {"a": {"store": "real", "bucket": name}, "b": {"path": "./b"}}
    archive = Archive.of(tmp_path, buckets, {"a": {"replica": "b"}}, seaweedfs.endpoint_url)
    (tmp_path / "b" / "letter").write_bytes(bytes(size) + BAD)
    archive.check("1")
    row = archive.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert row["diagnosis_rests_on"].endswith(
        "; the source's bytes match its ETag (MD5 of parts of 5,242,880 bytes)"
    )


def test_no_more_is_read_for_multipart_etags_than_second_look_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fixity.yaml").write_text(
        "{lake: ./lake, second_look: {bytes: 10}, buckets: {a: {path: ./a}, b: {path: ./b}}}"
    )
    catalog = load_catalog(tmp_path / "fixity.yaml")
    rows = [
        {"source_size": 3, "replica_size": 3, "key": "read"},
        {"source_size": 3, "replica_size": 2, "key": "k"},
    ]
    asked: list[str] = []

    def read(store: object, row: dict[str, Any], name: str, sizes: object) -> dict[str, str]:
        asked.append(row["key"])
        return {}

    monkeypatch.setattr("fixity.incidents.asking._read", read)
    monkeypatch.setattr("fixity.incidents.asking._parts", lambda row, name, bucket: None)
    found = list(
        part_digests(catalog, {"source": catalog.buckets["a"], "replica": catalog.buckets["b"]}, rows)
    )
    assert ([row["key"] for row, _ in found], asked) == (["read"], ["read", "read"])
