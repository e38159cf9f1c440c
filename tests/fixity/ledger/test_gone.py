"""Files of the ledger that are gone: what was kept still names them, and each is told."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.ledger.refresh import FilesState, accept_lost, gone, state_of_files
from fixity.log.records import withdrawal
from fixity.rolling import bucket_coverage
from tests.fixity.rolling.support import BUCKET, Rolling

HOUR = timedelta(hours=1)


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    rolling = Rolling(tmp_path)
    rolling.put("a", "b", "c")
    rolling.take_inventory()
    return rolling


def _rolled(bucket: Rolling, key: str) -> Path:
    bucket.time += HOUR
    return bucket.folder / str(bucket.roll(keys=[key]).file)


def _state(bucket: Rolling) -> FilesState:
    with bucket.lake.workspace() as workspace:
        return state_of_files(bucket.lake, BUCKET, workspace)


def _named(bucket: Rolling) -> list[str]:
    names = [each.name.rpartition("/")[2] for each in _state(bucket).left_out]
    assert names == [each.name.rpartition("/")[2] for each in gone(bucket.lake, BUCKET)]
    return names


def _grow_old(bucket: Rolling, age: timedelta = 365 * 24 * HOUR) -> None:
    """Let the records be of some time ago, by the files' times."""
    at = (utc_now() - age).timestamp()
    for record in bucket.folder.glob("log/records/checksums/**/*.json"):
        os.utime(record, (at, at))


def test_the_file_that_was_kept_last_is_missed_at_once_and_after_others_were_kept(bucket: Rolling) -> None:
    file = _rolled(bucket, "a")
    whole = file.read_bytes()
    file.unlink()
    assert _named(bucket) == [file.name]
    _rolled(bucket, "b")
    _rolled(bucket, "c")
    assert _named(bucket) == [file.name]
    file.write_bytes(whole)  # from a copy of the lake
    assert _named(bucket) == []


def test_any_file_is_missed_ten_minutes_after_its_record_was_put_since_until_then_it_may_still_be_put(
    bucket: Rolling,
) -> None:
    files = [_rolled(bucket, key) for key in ("a", "b", "c")]
    files[0].unlink()
    for minutes in (0, 9):
        _grow_old(bucket, timedelta(minutes=minutes))
        assert _named(bucket) == []  # a run puts the record before the file
    _grow_old(bucket, timedelta(minutes=11))
    assert _named(bucket) == [files[0].name]


def test_a_file_that_was_folded_is_missed_without_any_record_and_what_it_said_goes_on_to_count(
    bucket: Rolling,
) -> None:
    files = [_rolled(bucket, key) for key in ("a", "b")]
    bucket.take_inventory()
    assert bucket.due() == ["c"]
    files[0].unlink()
    for record in bucket.folder.glob("log/records/checksums/**/*.json"):
        record.unlink()
    assert [each.name for each in gone(bucket.lake, BUCKET)] == [f"checksums/{BUCKET}/{files[0].name}"]
    assert bucket.due() == ["c"]
    of_catalog = Bucket(name=BUCKET, path=Path("/nowhere"), fixity_every=timedelta(days=90))
    covered = bucket_coverage(bucket.lake, of_catalog, "c", bucket.now)
    assert not covered.is_right and files[0].name in covered.ledger[0]


def test_a_file_that_was_withdrawn_is_not_missed(bucket: Rolling) -> None:
    file = _rolled(bucket, "a")
    file.unlink()
    name, text = withdrawal({f"checksums/{BUCKET}/{file.name}": "0" * 64}, "kept for ten years", "ada")
    bucket.lake.put_text(name, text)
    assert _named(bucket) == []


def test_a_loss_that_a_person_accepted_is_counted_and_the_next_one_is_told(bucket: Rolling) -> None:
    first, second = (_rolled(bucket, key) for key in ("a", "b"))
    first.unlink()
    _grow_old(bucket)
    assert accept_lost(bucket.lake, BUCKET, bucket.time) == [f"checksums/{BUCKET}/{first.name}"]
    assert _named(bucket) == [] and _state(bucket).accepted == {str(bucket.time.date()): 1}
    second.unlink()
    assert _named(bucket) == [second.name]
