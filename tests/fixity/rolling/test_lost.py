"""Objects that vanish: counted, listed with when they were last seen and right, and never by mistake."""

from __future__ import annotations

import io
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fixity.buckets import ListedObject
from fixity.catalog import Bucket
from fixity.errors import NotInInventory
from fixity.ledger.lost import lost_now
from fixity.reports.premis import Subject, export_events, print_events
from fixity.rolling import bucket_coverage
from tests.fixity.rolling.support import BEGIN, BUCKET, Rolling

DAY = timedelta(days=1)


def of_catalog(**more: Any) -> Bucket:
    return Bucket(name=BUCKET, path=Path("/nowhere"), fixity_every=timedelta(days=90), **more)


def lost(bucket: Rolling, **more: Any) -> dict[str, tuple[datetime, datetime | None]]:
    """The lost objects, with when they were last seen and last right."""
    rows = lost_now(bucket.lake, of_catalog(**more), bucket.snapshot()).to_pylist()
    return {row["key"]: (row["last_seen"], row["good_at"]) for row in rows}


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    """Four objects, listed and checked; a day later three of them are listed."""
    bucket = Rolling(tmp_path)
    bucket.put("a", "b", "c", "d")
    bucket.take_inventory()
    bucket.roll()
    bucket.time += DAY
    return bucket


def delete(bucket: Rolling, *keys: str) -> None:
    for key in keys:
        del bucket.store.objects[key, None]


def test_an_object_that_vanished_is_lost_until_it_is_back(bucket: Rolling) -> None:
    away = bucket.store.objects["a", None]
    assert lost(bucket) == {}
    delete(bucket, "a")
    bucket.take_inventory()
    bucket.roll()
    assert lost(bucket) == {"a": (BEGIN, BEGIN)}
    covered = bucket_coverage(bucket.lake, of_catalog(), "c", bucket.now)
    assert (covered.objects, covered.lost, covered.lost_damaged, covered.is_right) == (3, 1, 0, True)
    for _ in range(2):  # it stays lost, and was last seen when it was
        bucket.time += DAY
        bucket.take_inventory()
        bucket.roll()
        assert lost(bucket) == {"a": (BEGIN, BEGIN)}
    bucket.store.objects["a", None] = away
    bucket.time += DAY
    bucket.take_inventory()
    assert lost(bucket) == {}


def test_a_new_object_that_vanished_before_it_was_checked_is_lost_too(bucket: Rolling) -> None:
    bucket.put("new")
    bucket.take_inventory()
    bucket.snapshot()
    listed = bucket.time
    delete(bucket, "new")
    bucket.time += DAY
    bucket.take_inventory()
    assert lost(bucket) == {"new": (listed, None)}


def test_what_vanished_is_known_though_the_snapshot_is_lost_on_that_day(bucket: Rolling) -> None:
    bucket.put("new")
    bucket.take_inventory()
    bucket.snapshot()
    listed = bucket.time
    delete(bucket, "a", "new")
    bucket.time += timedelta(hours=1)
    bucket.take_inventory()
    shutil.rmtree(bucket.folder / "standing")
    assert lost(bucket) == {"a": (listed, BEGIN), "new": (listed, None)}
    exported = export_events(bucket.lake, Subject(of_catalog()), "x1")
    events = pq.read_table(bucket.folder / str(exported.parquet)).to_pylist()
    assert {each["key"] for each in events if each["event_type"] == "deletion"} == {"a", "new"}


def test_an_object_known_to_be_damaged_that_is_deleted_is_told_and_turns_nothing_green(
    bucket: Rolling,
) -> None:
    bucket.store.damage("b")
    bucket.roll(keys=["b"])
    read = bucket.time
    bucket.time += DAY
    delete(bucket, "b")
    bucket.take_inventory()
    bucket.roll()
    assert bucket.damaged() == [] and lost(bucket) == {"b": (read, BEGIN)}
    covered = bucket_coverage(bucket.lake, of_catalog(), "c", bucket.now)
    assert (covered.damaged, covered.lost, covered.lost_damaged, covered.is_right) == (0, 1, 1, False)


def test_an_object_that_is_gone_when_it_is_to_be_read_is_lost_before_the_next_listing(
    bucket: Rolling,
) -> None:
    delete(bucket, "c")
    assert bucket.roll(keys=["c"]).skipped == 1
    assert lost(bucket) == {"c": (BEGIN, BEGIN)}
    bucket.take_inventory()
    assert lost(bucket) == {"c": (BEGIN, BEGIN)}


def test_a_replaced_an_excluded_and_a_newer_object_are_not_lost(bucket: Rolling) -> None:
    bucket.store.rewrite("a", b"another", bucket.time)
    delete(bucket, "d")
    bucket.take_inventory()
    assert lost(bucket, exclude=("d",)) == {}
    assert list(lost(bucket, exclude=("x*",))) == ["d"]


def test_a_version_that_vanished_is_lost_though_its_key_has_others(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    for version in ("v1", "v2"):
        item = ListedObject("k", version, version == "v2", 1, version, BEGIN, "STANDARD")
        bucket.store.objects["k", version] = item, b"x"
    bucket.take_inventory()
    bucket.roll()
    del bucket.store.objects["k", "v1"]
    bucket.time += DAY
    bucket.take_inventory()
    rows = lost_now(bucket.lake, of_catalog(), bucket.snapshot()).to_pylist()
    assert [(row["key"], row["version_id"]) for row in rows] == [("k", "v1")]


def test_what_the_ledger_alone_knows_of_is_lost_too(bucket: Rolling) -> None:
    delete(bucket, "a")
    bucket.time += DAY
    bucket.take_inventory()
    bucket.lake.remove("standing/")  # with it the listings that had the object
    assert lost(bucket) == {"a": (BEGIN, BEGIN)}


def test_a_check_of_a_key_that_is_gone_says_when_it_was_last_seen_and_right(bucket: Rolling) -> None:
    delete(bucket, "a")
    bucket.take_inventory()
    with pytest.raises(
        NotInInventory, match=r"'a' is gone from 'b': last seen 2026-01-01 .*, last right 2026-01-01"
    ):
        bucket.roll(keys=["a"])
    with pytest.raises(NotInInventory, match="has no 'other': if it is new, list the bucket first"):
        bucket.roll(keys=["other"])


def test_a_lost_object_has_one_event_that_says_so(bucket: Rolling) -> None:
    delete(bucket, "a")
    bucket.take_inventory()
    exported = export_events(bucket.lake, Subject(of_catalog()), "e1", now=bucket.now)
    assert exported.events == 5  # four checks
    bucket.time += DAY
    bucket.take_inventory()
    assert export_events(bucket.lake, Subject(of_catalog()), "e2", now=bucket.now).events == 0
    delete(bucket, "b")
    bucket.time += DAY
    bucket.take_inventory()
    assert (
        export_events(bucket.lake, Subject(of_catalog()), "e3", now=bucket.now).events == 1
    )  # without a new check
    out = io.BytesIO()
    print_events(bucket.lake, Subject(of_catalog()), out, now=bucket.now)
    events = [line for line in out.getvalue().decode().splitlines() if ">deletion</eventType>" in line]
    for key, event in zip("ab", events, strict=True):
        assert 'valueURI="http://id.loc.gov/vocabulary/preservation/eventType/del"' in event
        assert "last seen 2026-01-0" in event and "last right 2026-01-01T00:00:00Z" in event
        assert f"<linkingObjectIdentifierValue>file:///nowhere/{key}<" in event
