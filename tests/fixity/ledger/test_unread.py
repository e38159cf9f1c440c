"""What of a bucket could not be read, or was never checked, is known without reading all rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fixity.ledger.unread import failed_now, was_all_checked
from tests.fixity.rolling.support import Rolling


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    return Rolling(tmp_path)


def test_what_could_not_be_read_is_counted_without_the_rows_of_all_until_it_is_read(bucket: Rolling) -> None:
    bucket.put(*"abc")
    bucket.take_inventory()
    bucket.store.unreadable = {"b"}
    bucket.roll(3)
    assert failed_now(bucket.lake, bucket.snapshot()) == 1  # by what has changed since it was folded
    bucket.put("d")
    bucket.take_inventory()
    snapshot = bucket.snapshot()
    rows = bucket.folder / snapshot.names("objects")[0]
    rows.rename(away := rows.with_suffix(".away"))
    assert failed_now(bucket.lake, snapshot) == 1 and not was_all_checked(bucket.lake, snapshot)
    away.rename(rows)
    bucket.store.unreadable = set()
    bucket.time += timedelta(days=1)
    bucket.roll(4)
    snapshot = bucket.snapshot()
    assert failed_now(bucket.lake, snapshot) == 0 and was_all_checked(bucket.lake, snapshot)


def test_as_many_checks_as_there_were_unchecked_objects_need_not_be_of_each(bucket: Rolling) -> None:
    bucket.put(*"ab")
    bucket.take_inventory()
    snapshot = bucket.snapshot()
    assert snapshot.never == 2
    for _ in range(2):
        bucket.roll(keys=["a"])
    assert not was_all_checked(bucket.lake, bucket.snapshot())
    bucket.roll(keys=["b"])
    assert was_all_checked(bucket.lake, bucket.snapshot())
