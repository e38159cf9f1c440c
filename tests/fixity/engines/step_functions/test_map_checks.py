"""What a map tells counts for an object only where it is the one that was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import duckdb
import pytest

from fixity.clock import CLOCKS_AGREE
from fixity.engines.stream.reported import look_at_reported
from fixity.engines.stream.second_look import Allowance, SecondReader
from fixity.ledger.current import current_checksums
from fixity.ledger.inventory import newest_inventory
from fixity.ledger.write import Checksums
from tests.fixity.engines.step_functions.ledger import (
    DAY,
    READ,
    WRITTEN_AT,
    Ledger,
    said,
    told,
)
from tests.fixity.support import (
    NOON,
    Unsteady,
    check_inventory,
    inventory_and_checks,
    sha256,
    take_inventory,
)


def test_checksums_of_a_map_are_rows_like_any_other_with_their_own_evidence(ledger: Ledger) -> None:
    ledger.store.put("b.txt", b"two")
    ledger.store.put("a.txt", b"one")
    checks = ledger.keep(told(ledger.folder, said("b.txt", b"two"), said("a.txt", b"one")))
    assert checks.table == Checksums("checksums/b/run.parquet", 2, 0, 0, 0, {})
    assert checks.taken is not None and checks.taken.objects == 2 and not checks.left_out
    first, second = ledger.kept(checks)
    assert (first["key"], second["key"]) == ("a.txt", "b.txt")
    assert first == {
        "key": "a.txt",
        "version_id": None,
        "size": 3,
        "etag": first["etag"],
        "last_modified": NOON + timedelta(seconds=2),
        "storage_class": "STANDARD",
        "algorithm": "SHA256",
        "checksum_type": "FULL_OBJECT",
        "checksum": sha256(b"one"),
        "status": "succeeded",
        "error_code": None,
        "error_message": None,
        "bytes_read": 0,
        "evidence": "step_functions",
        "checked_at": READ - CLOCKS_AGREE,
        "run_id": "run",
        "is_latest": True,
        "expected": None,
        "expected_algorithm": None,
        "expected_from": None,
        "verdict": "registered",
        "reads": None,
        "other_checksums": None,
    }
    assert ledger.current()["a.txt"] == ("succeeded", sha256(b"one"), "step_functions")


def test_a_map_over_a_part_of_a_bucket_leaves_the_other_checks_as_they_are(ledger: Ledger) -> None:
    for key in ("a", "b", "c"):
        ledger.store.put(key, key.encode())
    later = datetime.now(UTC) + timedelta(seconds=50)
    listed = take_inventory(ledger.store, ledger.lake, "b", "streamed")
    check_inventory(ledger.store, ledger.lake, listed, "streamed", now=lambda: later - 2 * CLOCKS_AGREE)
    ledger.store.put("d", b"d")
    ledger.keep(told(ledger.folder, said("b", b"b"), began=later), written_at=later)
    assert {key: (status, evidence) for key, (status, _, evidence) in ledger.current().items()} == {
        "a": ("succeeded", "streamed"),
        "b": ("succeeded", "step_functions"),
        "c": ("succeeded", "streamed"),
        "d": ("skipped", None),
    }


def test_what_a_map_finds_to_differ_is_read_before_it_is_damage(ledger: Ledger) -> None:
    store = ledger.store = Unsteady()
    for key in ("a", "b", "c"):
        store.put(key, key.encode())
    inventory_and_checks(store, ledger.lake, "streamed")
    store.answers = {"b": [b"not b"]}
    later = datetime.now(UTC) + timedelta(seconds=50)
    found = told(ledger.folder, *(said(key, b"not " + key.encode()) for key in ("a", "b")), began=later)
    look_again = partial(look_at_reported, SecondReader(store, 2), Allowance(10, 100))
    first, second = ledger.kept(ledger.keep(found, written_at=later, look_again=look_again))
    names = ("verdict", "checksum", "evidence", "reads")
    assert [first[name] for name in names] == ["matched", sha256(b"a"), "streamed", 2]
    assert [second[name] for name in names] == ["differs", sha256(b"not b"), "streamed", 2]


def test_an_older_check_of_a_map_does_not_take_the_place_of_a_newer_one(ledger: Ledger) -> None:
    ledger.store.put("a", b"right")
    inventory_and_checks(ledger.store, ledger.lake, "streamed")
    ledger.keep(told(ledger.folder, said("a", b"wrong")))
    assert ledger.current()["a"] == ("succeeded", sha256(b"right"), "streamed")


@pytest.mark.parametrize("seconds", [-DAY.total_seconds(), 0.0, 0.9])
def test_what_was_overwritten_since_the_map_read_it_does_not_get_the_old_checksum(
    ledger: Ledger, seconds: float
) -> None:
    ledger.store.put("a", b"new")  # a second after noon, as the listing says
    checks = ledger.keep(told(ledger.folder, said("a", b"old"), began=NOON + timedelta(seconds=1 + seconds)))
    assert checks.table is None and checks.left_out == {"written_since": 1}


def test_a_version_keeps_its_checksum_whatever_was_written_since(ledger: Ledger) -> None:
    ledger.store.put("a", b"old", "v1")
    ledger.store.put("a", b"new", "v2")
    checks = ledger.keep(told(ledger.folder, said("a", b"old", version="v1"), began=None))
    (row,) = ledger.kept(checks)
    assert (row["version_id"], row["checksum"], row["checked_at"]) == (
        "v1",
        sha256(b"old"),
        WRITTEN_AT - CLOCKS_AGREE,
    )


def test_the_version_null_is_one_that_an_overwrite_replaces(ledger: Ledger) -> None:
    ledger.store.put("a", b"x", "null")
    before = told(ledger.folder, said("a", b"x", version="null"), began=NOON)
    assert ledger.keep(before).left_out == {"written_since": 1}
    after = told(ledger.folder, said("a", b"x", version="null"))
    assert len(ledger.kept(ledger.keep(after, "second"))) == 1


def test_without_version_and_time_nobody_knows_what_was_read(ledger: Ledger) -> None:
    ledger.store.put("a", b"x")
    assert ledger.keep(told(ledger.folder, said("a", b"x"), began=None)).left_out == {"time_unknown": 1}
    outputs = [said("a", b"x", at=READ.isoformat())]
    timed = told(ledger.folder, *outputs, began=None, checked_at="$.at")
    assert len(ledger.kept(ledger.keep(timed, "second"))) == 1


@pytest.mark.parametrize("began", [NOON, None])
def test_a_clock_that_is_ahead_does_not_make_an_old_reading_count(
    ledger: Ledger, began: datetime | None
) -> None:
    ledger.store.put("a", b"new")  # overwritten after it was read
    ahead = [said("a", b"old", at=(READ + 365 * DAY).isoformat())]
    checks = ledger.keep(told(ledger.folder, *ahead, began=began, checked_at="$.at"))
    assert checks.table is None and checks.left_out == {"written_since" if began else "time_unknown": 1}


def test_what_began_after_the_manifest_was_written_has_no_time(ledger: Ledger) -> None:
    ledger.store.put("a", b"x")
    late = told(ledger.folder, said("a", b"x"), began=WRITTEN_AT + timedelta(seconds=1, microseconds=1))
    assert ledger.keep(late).left_out == {"time_unknown": 1}
    # The manifest's time lacks its fraction: a map may begin and end within that second.
    at_once = told(ledger.folder, said("a", b"x"), began=WRITTEN_AT + timedelta(seconds=1))
    assert len(ledger.kept(ledger.keep(at_once, "second"))) == 1


def test_no_check_of_a_map_is_younger_than_its_manifest(ledger: Ledger) -> None:
    ledger.store.put("a", b"x", "v1")
    ledger.store.put("b", b"y", "v1")
    outputs = [said("a", b"x", version="v1"), {"bucket": "b", "key": "b", "version": "v1"}]
    ahead = told(ledger.folder, *outputs, ended=READ + 365 * DAY)
    assert [(row["status"], row["checked_at"]) for row in ledger.kept(ledger.keep(ahead))] == [
        ("succeeded", READ - CLOCKS_AGREE),
        ("failed", WRITTEN_AT),
    ]


def test_right_bytes_count_from_the_beginning_of_the_reading_and_wrong_ones_up_to_its_end(
    ledger: Ledger,
) -> None:
    """Between both, the platform may have read the object itself: nothing that it found is taken back."""
    for key in ("a", "b", "c"):
        ledger.store.put(key, key.encode())
    ledger.keep(told(ledger.folder, said("a", b"a"), said("b", b"b")))
    outputs = [said("a", b"a"), said("b", b"other"), said("c", b"c")]
    found = told(ledger.folder, *outputs, began=READ + DAY, ended=READ + 2 * DAY)
    kept = ledger.kept(ledger.keep(found, "second", WRITTEN_AT + 2 * DAY))
    assert [(row["verdict"], row["checked_at"]) for row in kept] == [
        ("matched", READ + DAY - CLOCKS_AGREE),
        ("differs", READ + 2 * DAY),
        ("registered", READ + DAY - CLOCKS_AGREE),
    ]


def test_what_is_not_listed_is_counted_and_not_kept(ledger: Ledger) -> None:
    ledger.store.put("a", b"x", "v1")
    checks = ledger.keep(told(ledger.folder, said("gone", b"x"), said("a", b"x", version="v0")))
    assert checks.table is None and checks.left_out == {"not_listed": 2}


def test_different_checksums_of_one_object_are_no_checksum(ledger: Ledger) -> None:
    ledger.store.put("a", b"x")
    ledger.store.put("b", b"x")
    checks = ledger.keep(
        told(ledger.folder, said("a", b"x"), said("a", b"y"), said("b", b"x"), said("b", b"x"))
    )
    first, second = ledger.kept(checks)
    assert (first["status"], first["error_code"], first["checksum"]) == ("failed", "Contradiction", None)
    assert (second["status"], second["checksum"]) == ("succeeded", sha256(b"x"))


def test_a_bucket_is_listed_anew_only_where_its_inventory_is_older_than_the_manifest(ledger: Ledger) -> None:
    ledger.store.put("a", b"x")
    take_inventory(ledger.store, ledger.lake, "b", "listed", now=lambda: WRITTEN_AT + timedelta(hours=1))
    assert ledger.keep(told(ledger.folder, said("a", b"x")), "first").taken is None
    later = WRITTEN_AT + timedelta(minutes=58)  # the store's clock may be some minutes from ours
    assert ledger.keep(told(ledger.folder, said("a", b"x")), "second", later).taken is not None


def test_a_few_objects_of_a_large_bucket_are_described_and_the_rest_is_not_listed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b", "c", "d", "e"):
        ledger.store.put(key, key.encode())
    taken = take_inventory(ledger.store, ledger.lake, "b", "listed", now=lambda: WRITTEN_AT)
    monkeypatch.setattr(
        "fixity.engines.step_functions.keep_checks._PAGE", 1
    )  # as if each were a page of the listing
    ledger.store.list_objects = None  # type: ignore[assignment, method-assign]
    outputs = [said("b", b"b"), said("d", b"d"), said("d", b"d"), said("gone", b"x")]
    checks = ledger.keep(told(ledger.folder, *outputs))
    assert checks.taken is None and checks.left_out == {"not_listed": 1}
    assert [(row["key"], row["size"]) for row in ledger.kept(checks)] == [("b", 1), ("d", 1)]
    assert newest_inventory(ledger.lake, "b") == taken.file
    statuses = {key: status for key, (status, _, _) in ledger.current().items()}
    assert statuses == {"a": "skipped", "b": "succeeded", "c": "skipped", "d": "succeeded", "e": "skipped"}


def test_another_attempt_of_a_run_goes_by_what_the_first_one_described(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.store.put("a", b"x")
    take_inventory(ledger.store, ledger.lake, "b", "listed", now=lambda: WRITTEN_AT)
    monkeypatch.setattr("fixity.engines.step_functions.keep_checks._PAGE", 1)
    outputs = told(ledger.folder, said("a", b"x"))
    with monkeypatch.context() as away:
        away.setattr("fixity.engines.step_functions.keep_checks._JUDGE", "no SQL")
        with pytest.raises(duckdb.Error):
            ledger.keep(outputs)
    ledger.store.find = None  # type: ignore[assignment, method-assign]
    assert len(ledger.kept(ledger.keep(outputs))) == 1


def test_what_was_overwritten_before_it_is_described_does_not_get_the_old_checksum(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.store.put("a", b"old")
    take_inventory(ledger.store, ledger.lake, "b", "listed", now=lambda: WRITTEN_AT)
    monkeypatch.setattr("fixity.engines.step_functions.keep_checks._PAGE", 1)
    ledger.store.put("a", b"new")
    checks = ledger.keep(told(ledger.folder, said("a", b"old"), began=NOON + timedelta(seconds=2)))
    assert checks.table is None and checks.left_out == {"written_since": 1}


def test_the_table_of_a_bucket_that_only_maps_check_is_of_the_listing_they_are_held_against(
    ledger: Ledger,
) -> None:
    ledger.store.put("a", b"x")
    checks = ledger.keep(told(ledger.folder, said("a", b"x")))
    assert checks.taken is not None
    _, provenance = current_checksums(ledger.lake, "b", ledger.folder)
    assert provenance.listed_at == checks.taken.listed_at


def test_many_results_are_held_against_the_listing_range_by_range(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.step_functions.keep_checks._RANGE_ROWS", 7)
    keys = [f"{letter}{number}" for letter in "aéz\U0001f600" for number in range(10)]
    for key in keys:
        ledger.store.put(key, key.encode())
    outputs = [said(key, key.encode()) for key in [*reversed(keys), "a3", "0", "~"]]
    checks = ledger.keep(told(ledger.folder, *outputs))
    assert len(ledger.kept(checks)) == len(keys) and checks.left_out == {"not_listed": 2}
    kept = [(row["key"], row["checksum"]) for row in ledger.kept(checks)]
    assert kept == [(key, sha256(key.encode())) for key in sorted(keys, key=str.encode)]
