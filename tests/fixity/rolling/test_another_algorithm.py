"""A bucket whose algorithm changes in the catalog keeps what it knew: MD5 to SHA256, with damage."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.ledger import Settings
from fixity.ledger.repeats import unpacked
from tests.fixity.rolling.support import Rolling
from tests.fixity.support import sha256

TERM = timedelta(days=90)
KEYS = [f"k{number:02d}" for number in range(20)]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    """All objects were checked by MD5, one is damaged; then the catalog says SHA256."""
    bucket = Rolling(tmp_path)
    bucket.settings = Settings(TERM, "MD5")
    bucket.put(*KEYS)
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("k03")
    bucket.time += TERM
    bucket.roll()
    bucket.settings = Settings(TERM, "SHA256")
    return bucket


def _rows(bucket: Rolling) -> dict[str, dict[str, object]]:
    snapshot = bucket.snapshot()
    table = unpacked(pq.read_table(bucket.folder / snapshot.names("objects")[0]))
    changed = [pq.read_table(bucket.folder / each.name) for each in snapshot.since(bucket.lake)]
    return {row["key"]: row for rows in (table, *changed) for row in rows.to_pylist()}


def test_both_checksums_are_computed_in_one_reading_until_all_have_the_new_one(bucket: Rolling) -> None:
    bucket.time += TERM
    for first in range(0, len(KEYS), 5):  # in batches, as the schedule takes them
        bucket.store.read_keys.clear()
        rolled = bucket.roll(items=5)
        table = bucket.ledger(rolled).to_pylist()
        assert bucket.store.read_keys.count(table[0]["key"]) <= 1
        for row in table:
            assert row["algorithm"] == "SHA256" and dict(row["other_checksums"]).keys() == {"MD5"}
            assert (row["expected_algorithm"], row["expected_from"]) == ("MD5", "first_seen")
        assert rolled.objects == 5, first
    sound = {key: row for key, row in _rows(bucket).items() if key != "k03"}
    for key, row in sound.items():
        assert (row["baseline"], row["baseline_algorithm"]) == (sha256(key.encode()), "SHA256")
        assert row["record"] is None  # proved: MD5 is not computed any more
    bucket.time += TERM
    table = bucket.ledger(bucket.roll()).to_pylist()
    assert {row["key"] for row in table if row["other_checksums"]} == {"k03"}
    assert {row["verdict"] for row in table if row["key"] != "k03"} == {"matched"}


def test_damage_from_before_stays_damage_and_is_never_registered(bucket: Rolling) -> None:
    assert [each.key for each in bucket.damaged()] == ["k03"]
    bucket.time += TERM
    bucket.roll()
    (damage,) = bucket.damaged()
    assert (damage.key, damage.algorithm, damage.expected) == ("k03", "MD5", md5(b"k03"))
    assert _rows(bucket)["k03"]["baseline"] is None


def test_damage_between_the_last_check_by_one_and_the_first_by_the_other_is_found(bucket: Rolling) -> None:
    bucket.store.damage("k07")
    bucket.time += TERM
    bucket.roll()
    assert [each.key for each in bucket.damaged()] == ["k03", "k07"]
    assert _rows(bucket)["k07"]["baseline"] is None


def test_bytes_that_are_right_again_end_the_damage_and_get_the_new_checksum(bucket: Rolling) -> None:
    del bucket.store.bytes_now["k03"]
    bucket.time += TERM
    bucket.roll()
    assert bucket.damaged() == []
    assert _rows(bucket)["k03"]["baseline"] == sha256(b"k03")
