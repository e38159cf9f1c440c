"""What ingest held against a record is the baseline of rolling fixity, and bytes it found wrong are not."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.catalog import Bucket, Pair
from fixity.clock import utc_now
from fixity.ledger.current import current_checksums
from fixity.ledger.repeats import unpacked
from fixity.reports.pair import make_report
from fixity.rolling import bucket_coverage
from tests.fixity.rolling.support import BUCKET, Rolling, keep_ingest
from tests.fixity.support import MemoryStore, inventory_and_checks, sha256

DAY = timedelta(days=1)


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    rolling = Rolling(tmp_path)
    rolling.put("a", "b")
    rolling.take_inventory()
    return rolling


def _row(bucket: Rolling, key: str, algorithm: str = "SHA256") -> dict[str, object]:
    bucket.take_inventory()
    rows = unpacked(pq.read_table(bucket.folder / bucket.snapshot().names("objects")[0])).to_pylist()
    found: list[dict[str, object]] = [
        row for row in rows if (row["key"], row["algorithm"]) == (key, algorithm)
    ]
    (row,) = found
    return row


def test_a_record_is_the_baseline_and_bytes_that_were_never_right_are_damage(bucket: Rolling) -> None:
    inventory_and_checks(bucket.store, bucket.lake, "ingest")  # its checks are of the ledger, too
    bucket.time = utc_now()
    keep_ingest(bucket, "ingest", a=sha256(b"as deposited"), b=sha256(b"b"))
    (damage,) = bucket.damaged()
    assert (damage.key, damage.expected, damage.actual) == ("a", sha256(b"as deposited"), sha256(b"a"))
    assert damage.good_at is None and damage.damaged_at <= bucket.time
    for key, recorded in (("a", b"as deposited"), ("b", b"b")):
        row = _row(bucket, key)
        assert (row["baseline"], row["baseline_from"]) == (sha256(recorded), "manifest")
        assert row["baseline_at"] == bucket.time and row["baseline_run"] == "ingest"


def test_rolling_checks_are_compared_with_the_record(bucket: Rolling) -> None:
    keep_ingest(bucket, "ingest", a=sha256(b"as deposited"), b=sha256(b"b"))
    bucket.time += 91 * DAY
    rolled = bucket.roll()
    assert rolled.registered == 0
    assert [each.key for each in rolled.damaged] == ["a"]
    bucket.store.bytes_now["a"] = b"as deposited"  # repaired in place, with nothing rewritten
    bucket.time += 91 * DAY
    assert bucket.roll().damaged == [] == bucket.damaged()


def test_a_record_that_says_otherwise_takes_the_place_of_what_was_first_seen(bucket: Rolling) -> None:
    bucket.roll()
    assert _row(bucket, "a")["baseline_from"] == "first_seen"
    bucket.time += DAY
    keep_ingest(bucket, "ingest", a=sha256(b"as deposited"), b=sha256(b"b"))
    (damage,) = bucket.damaged()
    assert (damage.key, damage.good_at) == ("a", None)
    assert _row(bucket, "a")["baseline_from"] == "manifest"
    assert _row(bucket, "b")["baseline_from"] == "manifest"  # the same checksum, proved by a record


def test_a_record_that_was_mended_ends_the_damage_that_it_told(bucket: Rolling) -> None:
    keep_ingest(bucket, "ingest", a=sha256(b"a slip of the pen"))
    assert [each.key for each in bucket.damaged()] == ["a"]
    bucket.time += DAY
    keep_ingest(bucket, "again", a=sha256(b"a"))
    assert bucket.damaged() == []
    assert _row(bucket, "a")["baseline"] == sha256(b"a")


def test_bytes_that_a_record_of_another_algorithm_proves_wrong_are_damage_and_no_baseline(
    bucket: Rolling,
) -> None:
    md5 = hashlib.md5(b"as deposited").hexdigest()
    keep_ingest(bucket, "ingest", "MD5", a=md5, b=hashlib.md5(b"b").hexdigest())
    assert [each.key for each in bucket.damaged()] == ["a"]
    bucket.time += 91 * DAY
    rolled = bucket.roll()
    assert rolled.registered == 1  # that of "b"
    assert _row(bucket, "a")["baseline"] is None
    assert _row(bucket, "b")["baseline"] == sha256(b"b")
    assert [(each.key, each.expected) for each in bucket.damaged()] == [("a", md5)]
    of_catalog = Bucket(name=BUCKET, fixity_every=90 * DAY)
    covered = bucket_coverage(bucket.lake, of_catalog, "c", bucket.now)
    assert (covered.objects, covered.damaged) == (2, 1)
    bucket.store.bytes_now["a"] = b"as deposited"
    bucket.time += DAY
    keep_ingest(bucket, "again", "MD5", a=md5)
    assert bucket.damaged() == []
    assert bucket.roll(keys=["a"]).registered == 1
    assert _row(bucket, "a")["baseline"] == sha256(b"as deposited")


def test_a_rewritten_object_has_nothing_to_do_with_the_record_of_what_it_was(bucket: Rolling) -> None:
    keep_ingest(bucket, "ingest", a=sha256(b"as deposited"))
    bucket.time += DAY
    bucket.store.rewrite("a", b"another", bucket.time)
    bucket.take_inventory()
    assert bucket.roll().damaged == [] == bucket.damaged()


def test_a_torn_table_of_ingest_is_named_and_stops_nothing(bucket: Rolling) -> None:
    keep_ingest(bucket, "ingest", a=sha256(b"a"))
    file = bucket.folder / f"ingest/{BUCKET}/ingest.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    assert bucket.roll().succeeded == 2
    assert any(f"left out: {file} cannot be used" in said for said in bucket.said)


def test_what_is_folded_little_by_little_and_at_once_has_the_same_baselines(bucket: Rolling) -> None:
    bucket.roll()
    bucket.time += DAY
    keep_ingest(bucket, "ingest", a=sha256(b"as deposited"), b=sha256(b"b"))
    before = {key: _row(bucket, key)["baseline"] for key in "ab"}
    bucket.lake.remove("standing/")
    assert {key: _row(bucket, key)["baseline"] for key in "ab"} == before
    assert [each.key for each in bucket.damaged()] == ["a"]


@pytest.mark.parametrize("deposited", [b"a", b"b"], ids=["rotten since", "never right"])
def test_a_record_whose_table_comes_late_hides_no_damage_that_was_read_meanwhile(
    bucket: Rolling, deposited: bytes
) -> None:
    ingested_at = bucket.time
    bucket.time += timedelta(hours=1)
    bucket.store.damage("a")
    read_at = bucket.time
    bucket.roll()
    bucket.take_inventory()
    assert bucket.snapshot().folded
    bucket.time = ingested_at
    bucket.store.bytes_now.clear()  # as it was when ingest read it
    keep_ingest(bucket, "ingest", a=sha256(deposited))
    bucket.time = read_at + timedelta(hours=1)
    (damage,) = bucket.damaged()
    assert (damage.key, damage.expected) == ("a", sha256(deposited))
    assert damage.good_at == (ingested_at if deposited == b"a" else None)
    assert damage.damaged_at == (read_at if deposited == b"a" else ingested_at)
    row = _row(bucket, "a")
    assert (row["verified_at"], row["checked_at"]) == (read_at, read_at)
    assert row["due_at"] == read_at + 90 * DAY
    bucket.lake.remove("standing/")  # folded at once it is the same
    assert _row(bucket, "a") | {"listed_since": None} == row | {"listed_since": None}


def test_what_ingest_read_by_another_algorithm_displaces_no_check_in_what_a_pair_compares(
    bucket: Rolling,
) -> None:
    replica = MemoryStore()
    replica.put("a", b"a")
    replica.put("b", b"b")
    inventory_and_checks(replica, bucket.lake, "replica", "replica")
    bucket.store.damage("a")
    bucket.roll()
    bucket.time += DAY
    keep_ingest(bucket, "ingest", "MD5", a=hashlib.md5(b"a").hexdigest(), b=hashlib.md5(b"b").hexdigest())
    assert [each.actual for each in bucket.damaged()] == [hashlib.md5(b"damaged a").hexdigest()]
    pair = Pair(name="p", source=BUCKET, replica="replica", match="key")
    report = make_report(bucket.lake, pair, bucket.settings, "run", now=lambda: bucket.time + 30 * DAY)
    counts = report.outcome.counts
    assert {name: [each.key for each in rows] for name, rows in report.damaged.items()} == {
        BUCKET: ["a"],
        "replica": [],
    }
    assert (counts.mismatches, counts.incomparable, counts.matches) == (1, 0, 1)


def test_where_ingest_alone_has_read_an_object_its_checksum_is_the_current_one(bucket: Rolling) -> None:
    keep_ingest(bucket, "ingest", "MD5", a=hashlib.md5(b"as deposited").hexdigest())
    bucket.snapshot()
    bucket.roll(keys=["b"])
    with bucket.lake.workspace() as workspace:
        rows = pq.read_table(current_checksums(bucket.lake, BUCKET, workspace, bucket.now)[0]).to_pylist()
    assert [(row["key"], row["checksum"]) for row in rows] == [
        ("a", hashlib.md5(b"a").hexdigest()), ("b", sha256(b"b"))
    ]  # fmt: skip
