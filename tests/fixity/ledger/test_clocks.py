"""Clocks that differ: a bucket's newer tables are never taken for older ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fixity.clock import utc_now
from fixity.lake import LakeError
from fixity.ledger.clocks import ClockWrong, redate
from fixity.ledger.current import current_checksums
from fixity.ledger.write import ChecksWriter
from fixity.tables import CHECKSUMS, Provenance
from tests.fixity.rolling.support import BUCKET, Rolling

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LISTED, CHECKED = f"inventory/{BUCKET}", f"checksums/{BUCKET}"


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    rolling = Rolling(tmp_path)
    rolling.time = utc_now() + 1000 * DAY  # what this machine's clock has reached is never ahead
    rolling.put("a")
    rolling.take_inventory()
    return rolling


def _files(bucket: Rolling) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in bucket.folder.glob("*/b/*.parquet")}


def _lose_pointers(bucket: Rolling) -> None:
    for folder in (LISTED, CHECKED):
        (bucket.folder / folder / "NEWEST.json").unlink()


@pytest.mark.parametrize("pointers", ["kept", "lost"])
@pytest.mark.parametrize("ahead", [2 * HOUR, 23 * HOUR, 400 * DAY], ids=["hours", "a day", "a year"])
def test_after_a_check_by_a_clock_that_was_ahead_nothing_is_listed_or_kept_until_a_person_says_so(
    bucket: Rolling, ahead: timedelta, pointers: str
) -> None:
    bucket.time += ahead
    bucket.roll()
    bucket.time -= ahead - HOUR
    bucket.store.damage("a")
    if pointers == "lost":
        _lose_pointers(bucket)
    before = _files(bucket)
    for act in (bucket.take_inventory, lambda: bucket.roll(keys=["a"])):
        with pytest.raises(ClockWrong, match=r"r00002\.parquet is of .* by the clock of .*lake redate b"):
            act()
    assert _files(bucket) == before
    assert [name for name, _ in redate(bucket.lake, BUCKET, bucket.time)] == [f"{CHECKED}/r00002.parquet"]
    assert _files(bucket) == before  # what was kept stays, and counts
    assert bucket.snapshot().folded.keys() == {"r00002"} and not bucket.damaged()
    bucket.time += HOUR
    bucket.take_inventory()
    bucket.roll(keys=["a"])
    assert [each.key for each in bucket.damaged()] == ["a"]
    bucket.time += 2 * ahead  # the moment that the wrong clock dated it has come
    bucket.take_inventory()
    assert [each.key for each in bucket.damaged()] == ["a"]
    with bucket.lake.workspace() as workspace:
        table, _ = current_checksums(bucket.lake, BUCKET, workspace, bucket.now)
        assert pq.read_table(table)["verdict"].to_pylist() == ["differs"]


def test_a_listing_by_a_clock_that_was_ahead_hides_no_new_objects_after_it(bucket: Rolling) -> None:
    bucket.time += DAY
    bucket.take_inventory()
    bucket.time -= DAY - HOUR
    bucket.put("new")
    with pytest.raises(ClockWrong, match=r"i00002\.parquet"):
        bucket.take_inventory()
    assert [name for name, _ in redate(bucket.lake, BUCKET, bucket.time)] == [f"{LISTED}/i00002.parquet"]
    bucket.time += HOUR
    bucket.take_inventory()
    (bucket.folder / LISTED / "NEWEST.json").unlink()
    assert bucket.due() == ["a", "new"]


def test_a_check_by_a_clock_that_is_behind_is_not_kept_below_the_one_that_it_follows(bucket: Rolling) -> None:
    bucket.time += DAY
    bucket.roll()
    before = _files(bucket)
    bucket.store.damage("a")
    bucket.time -= 2 * HOUR
    for act in (bucket.take_inventory, lambda: bucket.roll(keys=["a"])):
        with pytest.raises(ClockWrong, match="If it is this one, set it and run this again"):
            act()
    assert _files(bucket) == before
    bucket.time += 3 * HOUR  # it is set right: nothing else is to be done
    bucket.take_inventory()
    bucket.roll(keys=["a"])
    assert [each.key for each in bucket.damaged()] == ["a"]


def test_clocks_that_differ_by_less_than_a_minute_stop_nothing(bucket: Rolling) -> None:
    bucket.time -= timedelta(seconds=50)
    bucket.take_inventory()
    bucket.roll()


def test_of_two_checks_by_the_clock_that_was_ahead_the_later_one_goes_on_to_count(bucket: Rolling) -> None:
    right = bucket.time + HOUR
    bucket.time += 2 * DAY
    bucket.roll()
    bucket.store.damage("a")
    bucket.time += HOUR
    bucket.roll(keys=["a"])
    bucket.time = right
    assert len(list(redate(bucket.lake, BUCKET, bucket.time))) == 2
    assert list(redate(bucket.lake, BUCKET, bucket.time)) == []  # once is enough
    assert [each.key for each in bucket.damaged()] == ["a"]


@pytest.fixture
def redated(bucket: Rolling) -> Rolling:
    """A bucket with a check that was dated a day ahead, and its damage found since."""
    bucket.time += DAY
    bucket.roll()
    bucket.time -= DAY - HOUR
    list(redate(bucket.lake, BUCKET, bucket.time))
    bucket.store.damage("a")
    bucket.time += HOUR
    bucket.take_inventory()
    bucket.roll(keys=["a"])
    bucket.lake.remove(f"standing/{BUCKET}/")
    return bucket


@pytest.mark.parametrize("harm", ["gone", "damaged"])
@pytest.mark.parametrize("later", [timedelta(0), 2 * DAY], ids=["ahead", "passed"])
def test_a_note_of_what_a_wrong_clock_dated_that_is_lost_is_missed_and_put_back_from_its_copy(
    redated: Rolling, harm: str, later: timedelta
) -> None:
    redated.time += later
    note = redated.folder / CHECKED / "TIMES.json"
    before = note.read_text()
    note.unlink() if harm == "gone" else note.write_text("{}")
    with pytest.raises(LakeError, match=rf"TIMES\.json is {harm}: .* fixity lake redate b$"):
        redated.snapshot()
    said: list[str] = []
    assert list(redate(redated.lake, BUCKET, redated.time, said.append)) == []
    assert len(said) == 1 and "is written anew" in said[0]
    assert note.read_text() == before
    assert [each.key for each in redated.damaged()] == ["a"]


def test_a_note_whose_copy_is_lost_still_counts_and_one_that_is_damaged_then_is_named(
    redated: Rolling,
) -> None:
    (redated.folder / "log/records" / CHECKED / "TIMES.json").unlink()
    assert [each.key for each in redated.damaged()] == ["a"]
    (redated.folder / CHECKED / "TIMES.json").write_text("{}")
    redated.lake.remove(f"standing/{BUCKET}/")
    with pytest.raises(LakeError, match=r"TIMES\.json is damaged: .* Restore it from a copy of the lake$"):
        redated.snapshot()
    with pytest.raises(LakeError, match=r"TIMES\.json is damaged"):
        list(redate(redated.lake, BUCKET, redated.time))


def test_checks_that_another_machine_dated_ahead_are_not_kept(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.time = utc_now()
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    (kept,) = (bucket.folder / CHECKED).glob("*.parquet")
    checks = pq.read_table(kept)
    ahead = pc.add(checks["checked_at"], pa.scalar(timedelta(hours=1)))
    place = checks.schema.get_field_index("checked_at")
    checks = checks.set_column(place, checks.schema.field(place), ahead).cast(CHECKSUMS)
    with bucket.lake.workspace() as workspace:
        provenance = replace(Provenance.read(kept), run_id="ahead")
        with ChecksWriter(bucket.lake, provenance, workspace) as writer:
            writer.write(checks)
        with pytest.raises(ClockWrong, match="they are not kept"):
            writer.keep()
    assert list((bucket.folder / CHECKED).glob("*.parquet")) == [kept]
