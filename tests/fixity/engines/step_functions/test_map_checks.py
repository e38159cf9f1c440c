"""What a map tells counts for an object only where it is the one that was read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from fixity.catalog import Bucket, LedgerMapping
from fixity.engines.step_functions.checks import MapChecks, MapChecksWriter
from fixity.engines.step_functions.gather import MapOutput, parse_time
from fixity.engines.step_functions.keep_checks import KeptChecks, MapManifest, keep_checks
from fixity.engines.stream.reported import look_at_reported
from fixity.engines.stream.second_look import Allowance, SecondReader
from fixity.lake import LocalLake
from fixity.ledger import ready
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.current import current_checksums
from fixity.ledger.damage import damaged_now
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import newest_inventory
from fixity.ledger.judge import LookAgain
from fixity.ledger.write import Checksums
from tests.fixity.engines.records import keep_check
from tests.fixity.support import (
    NOON,
    MemoryStore,
    Unsteady,
    inventory_and_checks,
    sha256,
    take_inventory,
)

DAY = timedelta(days=1)
READ = NOON + DAY  # after all objects of a MemoryStore were written
WRITTEN_AT = READ + DAY
MAPPING: dict[str, Any] = {
    "bucket": "$.bucket",
    "key": "$.key",
    "checksum": "$.sha256",
    "version": "$.version",
}


def told(
    tmp_path: Path,
    *outputs: object,
    began: datetime | None = READ,
    ended: datetime | None = None,
    buckets: list[Bucket] | None = None,
    **mapping: Any,  # noqa: ANN401 - as a catalog has them
) -> MapChecks:
    mapped = LedgerMapping(**{**MAPPING, **mapping})
    taker = MapChecksWriter(mapped, buckets or [Bucket(name="b")], tmp_path / "told.parquet")
    for output in outputs:
        taker.take(MapOutput(output, began, ended or (began + timedelta(seconds=1) if began else None)))
    return taker.close()


def said(key: str, body: bytes, **more: object) -> dict[str, object]:
    return {"bucket": "b", "key": key, "sha256": sha256(body), **more}


def rows(file: Path) -> list[dict[str, Any]]:
    return pq.read_table(file).to_pylist()  # type: ignore[no-any-return]


class Ledger:
    """A bucket `b` in memory, with a lake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = LocalLake(folder / "lake")
        self.store: MemoryStore = MemoryStore()
        self.bucket = Bucket(name="b")

    def keep(
        self,
        found: MapChecks,
        run_id: str = "run",
        written_at: datetime = WRITTEN_AT,
        look_again: LookAgain = lambda checks, expectations: checks,
    ) -> KeptChecks:
        run = BucketRun(self.lake, self.bucket, run_id)
        manifest = MapManifest("s3://results/c/u/i/manifest.json", written_at)
        return keep_checks(run, self.store, found, manifest, look_again=look_again)

    def kept(self, checks: KeptChecks) -> list[dict[str, Any]]:
        assert checks.table is not None
        return rows(self.lake.fetch(checks.table.file, self.folder))

    def current(self) -> dict[str, tuple[str, str | None, str | None]]:
        """What the bucket's table says now: status, checksum and evidence by key."""
        file, _ = current_checksums(self.lake, "b", self.folder)
        return {row["key"]: (row["status"], row["checksum"], row["evidence"]) for row in rows(file)}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


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
        "checked_at": READ + timedelta(seconds=1),
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
    inventory_and_checks(ledger.store, ledger.lake, "streamed")
    ledger.store.put("d", b"d")
    later = datetime.now(UTC) + timedelta(hours=1)
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
    later = datetime.now(UTC) + timedelta(hours=1)
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
    assert (row["version_id"], row["checksum"], row["checked_at"]) == ("v1", sha256(b"old"), WRITTEN_AT)


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
    ahead = told(ledger.folder, said("a", b"x", version="v1"), ended=READ + 365 * DAY)
    (row,) = ledger.kept(ledger.keep(ahead))
    assert row["checked_at"] == WRITTEN_AT


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


# --- what is expected of an object ---------------------------------------------------------------


def _later(ledger: Ledger, *outputs: object) -> KeptChecks:
    """What a map run says a day later."""
    told_later = told(ledger.folder, *outputs, began=READ + DAY)
    return ledger.keep(told_later, "second", WRITTEN_AT + DAY)


def _verdicts(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("key", "verdict", "expected", "expected_algorithm", "expected_from")
    return [tuple(row[name] for name in names) for row in rows]


def _damaged(ledger: Ledger) -> list[str]:
    snapshot = ready(ledger.lake, "b", settings_of(ledger.bucket), "look")
    return [damage.key for damage in damaged_now(ledger.lake, snapshot)]


def test_a_result_that_differs_from_what_was_first_seen_is_damage(ledger: Ledger) -> None:
    for key in ("a", "b", "c"):
        ledger.store.put(key, key.encode())
    ledger.keep(told(ledger.folder, said("a", b"a"), said("b", b"b")))
    assert not ledger.lake.list("standing/")  # nothing was folded: the ledger was empty
    checks = _later(ledger, said("a", b"a"), said("b", b"damaged"), said("c", b"c"))
    assert _verdicts(ledger.kept(checks)) == [
        ("a", "matched", sha256(b"a"), "SHA256", "first_seen"),
        ("b", "differs", sha256(b"b"), "SHA256", "first_seen"),
        ("c", "registered", None, None, None),
    ]
    assert _damaged(ledger) == ["b"]


def test_a_result_that_differs_from_a_record_is_damage(ledger: Ledger) -> None:
    ledger.store.put("a", b"a")
    inventory_and_checks(ledger.store, ledger.lake, "listed", "other")
    deposited = sha256(b"as deposited")
    (listed,) = rows(ledger.folder / "lake/inventory/other/listed.parquet")
    keep_check(ledger.lake, "b", listed, checksum=sha256(b"a"), expected=deposited, at=READ - DAY / 2)
    checks = ledger.keep(told(ledger.folder, said("a", b"a")))
    assert _verdicts(ledger.kept(checks)) == [("a", "differs", deposited, "SHA256", "manifest")]
    assert _damaged(ledger) == ["a"]


def test_a_map_that_says_no_checksum_of_an_object_is_not_compared(ledger: Ledger) -> None:
    ledger.store.put("a", b"a")
    ledger.keep(told(ledger.folder, said("a", b"a")))
    checks = _later(ledger, {"bucket": "b", "key": "a"})
    assert _verdicts(ledger.kept(checks)) == [("a", "not_compared", None, None, None)]
    assert _damaged(ledger) == []


def test_another_attempt_of_a_run_does_not_hold_its_checks_against_themselves(ledger: Ledger) -> None:
    ledger.store.put("a", b"a")
    ledger.store.put("b", b"b")
    first = ledger.keep(told(ledger.folder, said("a", b"a"), said("gone", b"x")))
    again = ledger.keep(told(ledger.folder, said("a", b"a"), said("gone", b"x")))
    assert (again.table, again.left_out) == (first.table, first.left_out)
    assert _verdicts(ledger.kept(again)) == [("a", "registered", None, None, None)]


# --- what an output says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "mapping", "status", "code"),
    [
        ({"status": "Succeeded"}, {"status": "$.status"}, "succeeded", None),
        ({"status": "failed"}, {"status": "$.status"}, "failed", "FailedInMap"),
        ({"status": "OK"}, {"status": "$.status", "statuses": {"ok": "succeeded"}}, "succeeded", None),
        (
            {"status": "Gone"},
            {"status": "$.status", "statuses": {"gone": "skipped"}},
            "skipped",
            "SkippedInMap",
        ),
        ({"status": "Odd"}, {"status": "$.status"}, "failed", "UnknownStatus"),
        ({}, {"status": "$.status"}, "failed", "UnknownStatus"),
        ({"sha256": None}, {}, "failed", "NoChecksum"),
        ({"sha256": "abc"}, {}, "failed", "InvalidChecksum"),
        ({"sha256": "z" * 64}, {}, "failed", "InvalidChecksum"),
        ({"sha256": sha256(b"x") + "-3"}, {}, "failed", "InvalidChecksum"),
        ({"sha256": sha256(b"x").upper()}, {}, "succeeded", None),
        ({"sha256": base64.b64encode(bytes.fromhex(sha256(b"x"))).decode()}, {}, "succeeded", None),
        ({"algorithm": "sha-256"}, {"algorithm": "$.algorithm"}, "succeeded", None),
    ],
)
def test_a_result_is_a_checksum_or_says_why_not(
    tmp_path: Path, output: dict[str, object], mapping: dict[str, Any], status: str, code: str | None
) -> None:
    (row,) = rows(told(tmp_path, {**said("a", b"x"), **output}, **mapping).file)
    assert (row["status"], row["error_code"]) == (status, code)
    assert row["checksum"] == (sha256(b"x") if status == "succeeded" else None)
    assert bool(row["error_message"]) == bool(code)


def test_what_is_no_check_of_a_bucket_of_the_catalog_is_counted(tmp_path: Path) -> None:
    outputs = [
        {"virus": "none"}, "text", None, 3, {"bucket": 1, "key": "a"}, {"bucket": "b", "key": ""},
        {**said("a", b"x"), "bucket": "another"},
        {**said("a", b"x"), "algorithm": "MD5"}, {**said("a", b"x"), "algorithm": "rot13"},
        {**said("\ud800", b"x")},
    ]  # fmt: skip
    kept = told(tmp_path, *outputs, algorithm="$.algorithm")
    assert kept.left_out == {"not_a_check": 7, "unknown_bucket": 1, "other_algorithm": 2}
    assert kept.buckets == [] == rows(kept.file)


def test_a_batch_is_as_many_checks_unless_the_paths_say_otherwise(tmp_path: Path) -> None:
    batch = [said("a", b"x"), said("b", b"y")]
    assert [row["key"] for row in rows(told(tmp_path, batch, said("c", b"z")).file)] == ["a", "b", "c"]
    parallel = [{"checksum": sha256(b"x")}, {"file": "a"}]
    (row,) = rows(
        told(
            tmp_path,
            parallel,
            bucket="b",
            key="$[1].file",
            checksum="$[0].checksum",
            buckets=[Bucket(name="b")],
        ).file
    )
    assert (row["key"], row["checksum"]) == ("a", sha256(b"x"))


def test_the_real_name_and_the_prefix_say_which_bucket_of_the_catalog_was_read(tmp_path: Path) -> None:
    buckets = [
        Bucket(name="letters", bucket="real", prefix="letters/"),
        Bucket(name="all", bucket="real"),
        Bucket(name="real", bucket="other"),
    ]
    outputs = [{**said("letters/1", b"x"), "bucket": "real"}, {**said("maps/1", b"x"), "bucket": "real"}]
    kept = told(tmp_path, *outputs, buckets=buckets)
    assert [(row["bucket"], row["key"]) for row in rows(kept.file)] == [
        ("letters", "1"),
        ("all", "letters/1"),
        ("all", "maps/1"),
    ]
    assert kept.buckets == ["letters", "all"]


@pytest.mark.parametrize(
    "text", ["2024-03-02T10:00:00.5Z", "2024-03-02T11:00:00.5+01:00", 1709373600.5, 1709373600500]
)
def test_times_are_read_as_step_functions_and_people_write_them(text: object) -> None:
    assert parse_time(text) == datetime(2024, 3, 2, 10, 0, 0, 500_000, UTC)


@pytest.mark.parametrize("text", ["2024-03-02T10:00:00", "yesterday", None, True, 1e300, [], -1e17])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None
