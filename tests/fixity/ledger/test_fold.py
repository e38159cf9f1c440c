"""The snapshot says of each object what all of its checks say together, however they are folded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixity import catalog
from fixity.lake import LocalLake
from fixity.lake.latest import point_to_latest
from fixity.lake.paths import checksums_file, inventory_file, inventory_folder
from fixity.ledger import Settings, ready
from fixity.ledger.fold_some import fold_known, known_of_some
from fixity.ledger.judge import strength
from fixity.ledger.repeats import unpacked
from fixity.tables import CHECKSUMS, INVENTORY, Provenance
from tests.fixity.rolling.support import Rolling
from tests.fixity.support import keep_table

pytestmark = pytest.mark.all_processors
BUCKET = "b"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(timedelta(days=90), "SHA256")
RIGHT, WRONG = "aa", "bb"


@dataclass(frozen=True)
class Check:
    """A check of an object: its verdict, held against a checksum of this source and algorithm."""

    verdict: str
    source: str = "first_seen"
    algorithm: str = "SHA256"

    @property
    def strength(self) -> int:
        """How much it counts for and against damage: an ETag that differs less than whatever agrees."""
        if self.verdict == "registered":
            return 0
        if (self.verdict, self.source, self.algorithm) == ("differs", "object-etag", "MD5"):
            return 1
        return (
            max(1, strength(self.source, self.algorithm))
            if self.verdict == "matched"
            else strength(self.source, self.algorithm)
        )

    def row(self, key: str, at: datetime, run_id: str) -> dict[str, Any]:
        read = self.verdict != "not_compared"
        compared = self.verdict in ("matched", "differs")
        got = WRONG if self.verdict == "differs" else RIGHT
        return {
            **listed(key),
            "algorithm": "SHA256",
            "checksum_type": "FULL_OBJECT" if read else None,
            "checksum": got if read else None,
            "status": "succeeded" if read else "failed",
            "error_code": None if read else "ReadError",
            "bytes_read": 1,
            "evidence": "streamed",
            "checked_at": at,
            "run_id": run_id,
            "expected": RIGHT if compared else None,
            "expected_algorithm": self.algorithm if compared else None,
            "expected_from": self.source if compared else None,
            "verdict": self.verdict,
            "reads": 1,
            "other_checksums": [("MD5", got)] if compared and self.algorithm == "MD5" else None,
        }


def listed(key: str) -> dict[str, Any]:
    return {
        "key": key,
        "version_id": None,
        "is_latest": True,
        "size": 1,
        "etag": "e",
        "last_modified": BEGIN,
        "storage_class": "STANDARD",
    }


COMPARED = st.builds(
    Check,
    st.sampled_from(["matched", "differs"]),
    st.sampled_from(["first_seen", "object-etag", "manifest", "api"]),
    st.sampled_from(["SHA256", "MD5"]),
)
HISTORY = st.lists(st.just(Check("not_compared")) | COMPARED, max_size=5).map(
    lambda later: [Check("registered"), *later]
)


def is_damaged(history: list[Check]) -> bool:
    """Whether a difference stands that no later check of the same or greater strength took back."""
    return any(
        check.verdict == "differs"
        and not any(
            later.verdict in ("matched", "registered") and later.strength >= check.strength
            for later in history[number + 1 :]
        )
        for number, check in enumerate(history)
    )


def failures(history: list[Check]) -> int:
    """Checks without a result after the last that read the bytes."""
    count = 0
    for check in history:
        count = count + 1 if check.verdict == "not_compared" else 0
    return count


class Bucket:
    """A bucket's lake, with an inventory and a ledger of one file a round of checks."""

    def __init__(self, folder: Path, histories: list[list[Check]]) -> None:
        self.lake = LocalLake(folder)
        self.histories = histories
        provenance = Provenance(BUCKET, "i", "i", BEGIN)
        rows = [listed(f"k{number:03d}") for number in range(len(histories))]
        inventory = pa.Table.from_pylist(rows, provenance.attach(INVENTORY))
        keep_table(self.lake, inventory_file(BUCKET, "i"), inventory)
        point_to_latest(self.lake, inventory_folder(BUCKET), provenance)
        self.rounds = max(map(len, histories))

    def keep(self, number: int) -> None:
        """Keep the checks of one round."""
        at, run_id = BEGIN + timedelta(hours=number), f"r{number}"
        rows = [
            history[number].row(f"k{place:03d}", at, run_id)
            for place, history in enumerate(self.histories)
            if number < len(history)
        ]
        schema = Provenance(BUCKET, run_id, "i", BEGIN, partial=True).attach(CHECKSUMS)
        keep_table(self.lake, checksums_file(BUCKET, run_id), pa.Table.from_pylist(rows, schema))

    def folded(self, name: str, settings: Settings = SETTINGS) -> list[dict[str, Any]]:
        snapshot = ready(self.lake, BUCKET, settings, name, lambda: BEGIN + timedelta(days=1))
        table = unpacked(pq.read_table(self.lake.location(snapshot.names("objects")[0])))
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def some(self, places: Iterable[int]) -> list[dict[str, Any]]:
        """The rows of some objects, folded by themselves."""
        with self.lake.workspace() as workspace:
            file = workspace / "some.parquet"
            schema = Provenance(BUCKET, "i", "i", BEGIN).attach(INVENTORY)
            pq.write_table(pa.Table.from_pylist([listed(f"k{place:03d}") for place in places], schema), file)
            entry = catalog.Bucket(name=BUCKET, fixity_every=SETTINGS.every)
            rows: list[dict[str, Any]] = known_of_some(self.lake, entry, file, workspace).rows.to_pylist()
        return rows


@settings(max_examples=12, deadline=None)
@given(st.lists(HISTORY, min_size=1, max_size=25))
def test_damage_and_failures_are_what_the_history_says(histories: list[list[Check]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bucket = Bucket(Path(folder), histories)
        for number in range(bucket.rounds):
            bucket.keep(number)
        rows = bucket.folded("once")
    assert [row["damaged_at"] is not None for row in rows] == [is_damaged(each) for each in histories]
    assert [row["failures"] for row in rows] == [failures(each) for each in histories]
    assert {row["baseline"] or row["record"] for row in rows} == {RIGHT}


@settings(max_examples=8, deadline=None)
@given(st.lists(HISTORY, min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_folded_round_by_round_at_once_and_a_few_by_themselves_the_same_objects_are_damaged(
    histories: list[list[Check]], random: Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bucket = Bucket(Path(folder), histories)
        for number in range(bucket.rounds):
            bucket.keep(number)
            if random.random() < 0.5:
                bucket.folded(f"after{number}")
        chosen = random.sample(range(len(histories)), random.randint(1, len(histories)))
        some = bucket.some(sorted(chosen))
        little_by_little = bucket.folded("last")
        bucket.lake.remove("standing/")
        at_once = bucket.folded("once")
    assert some == [little_by_little[place] for place in sorted(chosen)]
    for one, other in zip(little_by_little, at_once, strict=True):
        for name in (
            "key",
            "verdict",
            "checked_at",
            "verified_at",
            "failures",
            "due_at",
            "baseline",
            "found",
        ):
            assert one[name] == other[name], name
        assert (one["damaged_at"] is None) == (other["damaged_at"] is None)


def test_an_etag_that_differs_gives_way_to_whatever_agrees_later_but_not_to_silence(tmp_path: Path) -> None:
    etag = Check("differs", "object-etag", "MD5")
    proved = Check("matched", "object-etag", "MD5")
    histories = [
        [etag, Check("matched")],
        [etag, Check("matched", "api", "CRC32")],
        [etag, Check("not_compared")],
        [etag, Check("registered")],
        [Check("matched"), etag],
        [proved, Check("differs", "object-etag"), Check("matched")],  # not the ETag, but what it once proved
    ]
    bucket = Bucket(tmp_path, histories)
    for number in range(bucket.rounds):
        bucket.keep(number)
        bucket.folded(f"after{number}")
    little_by_little = bucket.folded("last")
    bucket.lake.remove("standing/")
    for rows in (little_by_little, bucket.folded("once")):
        assert [row["damaged_at"] is None for row in rows] == [True, True, False, False, False, False]


def test_where_etags_are_said_not_to_be_md5s_what_they_said_is_forgotten(tmp_path: Path) -> None:
    etag = Check("differs", "object-etag", "MD5")
    bucket = Bucket(tmp_path, [[etag], [Check("registered")], [Check("differs", "api")]])
    bucket.keep(0)
    assert [row["damaged_at"] is None for row in bucket.folded("before")] == [False, True, False]
    told = replace(SETTINGS, etag_is_md5=False)
    first, second, third = bucket.folded("after", told)
    assert (first["damaged_at"], first["record"], first["baseline"]) == (None, None, WRONG)
    assert (first["baseline_from"], first["verdict"]) == ("first_seen", None)
    assert (second["damaged_at"], third["found_from"]) == (None, "api")
    assert bucket.folded("again", told) == [first, second, third]
    assert [row["damaged_at"] is None for row in bucket.folded("back")] == [False, True, False]


def test_checksums_that_runs_registered_without_knowing_of_each_other_are_a_difference(
    tmp_path: Path,
) -> None:
    bucket = Bucket(tmp_path, [[Check("registered"), Check("registered")], [Check("registered")]])
    bucket.keep(0)
    row = bucket.histories[0][1].row("k000", BEGIN + timedelta(hours=1), "r1") | {"checksum": WRONG}
    schema = Provenance(BUCKET, "r1", "i", BEGIN, partial=True).attach(CHECKSUMS)
    keep_table(bucket.lake, checksums_file(BUCKET, "r1"), pa.Table.from_pylist([row], schema))
    first, second = bucket.folded("once")
    assert (first["baseline"], first["found"], second["damaged_at"]) == (RIGHT, WRONG, None)


def _row(check: Check, hour: int, checksum: str, **other: object) -> dict[str, Any]:
    at = BEGIN + timedelta(hours=hour)
    return check.row("k000", at, f"r{hour}") | {"checksum": checksum} | other


def _keep(folder: Path, row: dict[str, Any]) -> Path:
    name = checksums_file(BUCKET, row["run_id"])
    schema = Provenance(BUCKET, row["run_id"], "i", BEGIN, partial=True).attach(CHECKSUMS)
    keep_table(LocalLake(folder), name, pa.Table.from_pylist([row], schema))
    return folder / name


def test_a_file_of_the_ledger_that_comes_back_makes_its_checksum_the_first_again(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path, [[Check("registered")]])
    bucket.keep(0)
    first = tmp_path / checksums_file(BUCKET, "r0")
    away = first.rename(tmp_path / "away")
    _keep(tmp_path, _row(Check("registered"), 1, WRONG))
    _keep(tmp_path, _row(Check("matched"), 2, WRONG, expected=WRONG))
    assert bucket.folded("without")[0]["damaged_at"] is None
    away.rename(first)
    (little_by_little,) = bucket.folded("back")
    bucket.lake.remove("standing/")
    (at_once,) = bucket.folded("once")
    for row in (little_by_little, at_once):
        assert (row["baseline"], row["found"]) == (RIGHT, WRONG)


def test_a_crc_given_by_hand_proves_no_checksum_that_is_stronger_than_itself(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path, [[Check("registered")]])
    bucket.keep(0)
    given = {"expected": "cc", "expected_algorithm": "CRC32", "other_checksums": [("CRC32", "cc")]}
    _keep(tmp_path, _row(Check("matched", "api", "CRC32"), 1, WRONG, **given))
    (row,) = bucket.folded("once")
    assert (row["baseline"], row["baseline_from"]) == (RIGHT, "first_seen")
    assert (row["record"], row["record_algorithm"], row["record_from"]) == ("cc", "CRC32", "api")


def test_a_run_that_read_fewer_objects_than_were_known_says_nothing_of_the_others(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put(*"abc")
    bucket.take_inventory()
    first = bucket.ledger(bucket.roll())
    bucket.take_inventory()
    known = unpacked(pq.read_table(bucket.folder / bucket.snapshot().names("objects")[0]))
    for checked in ("", "b", "abc"):
        checks = first.filter(pc.is_in(first["key"], pa.array(list(checked), pa.string())))
        pq.write_table(checks, file := tmp_path / "checks.parquet")
        rows = fold_known(bucket.settings, known, bucket.snapshot().provenance.listed_at, file, tmp_path)
        assert rows["key"].to_pylist() == list(checked)
