"""The status of buckets and pairs: red wins, what nobody knows is never green."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixity.alerts.wrong import wrong_now
from fixity.catalog import Catalog, load_catalog
from fixity.incidents.events import DISMISSED, OPENED, Event, append
from fixity.lake import LocalLake, open_lake
from fixity.ledger.unread import EMPTIED
from fixity.status import (
    PROBLEM,
    UNKNOWN,
    VERIFIED,
    WARNING,
    Check,
    Failure,
    Listed,
    Result,
    Status,
    StatusRow,
    keep_failure,
    keep_result,
    places_of,
    status_of,
)
from fixity.status.advice import to_do

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "fixity.yaml").write_text(
        "lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}, c: {path: c, fixity_every: 90d}}\n"
        "pairs: {a: {replica: b}}\n"
    )
    return load_catalog(tmp_path / "fixity.yaml")


@pytest.fixture
def lake(catalog: Catalog) -> LocalLake:
    lake = open_lake(catalog)
    assert isinstance(lake, LocalLake)
    return lake


def status(lake: LocalLake, catalog: Catalog) -> Status:
    return status_of(lake, catalog, NOW)


def row(lake: LocalLake, catalog: Catalog, name: str, kind: str = "bucket") -> StatusRow:
    (found,) = [each for each in status(lake, catalog).rows if (each.kind, each.name) == (kind, name)]
    return found


def check_bucket(
    lake: LocalLake, catalog: Catalog, name: str, *checks: Check, at: datetime = NOW - HOUR, **more: object
) -> None:
    of = Result("checksums", name, f"run-{name}", at, checks, {"failed": 0}, oldest=at, **more)  # type: ignore[arg-type]
    if of.place is None:
        of = Result(**{**vars(of), "place": catalog.place_of(catalog.buckets[name])})
    keep_result(lake, of)


def verify_all(lake: LocalLake, catalog: Catalog, at: datetime = NOW - HOUR) -> None:
    for name in catalog.buckets:
        check_bucket(lake, catalog, name, Check("no_damage", True, "ERROR"), at=at)
    place = places_of(catalog, catalog.buckets_of("a"))
    keep_result(lake, Result("fixity_report", "a", "r", at, (), {"matches": 3, "pending": 2}, place, at))


def test_what_was_never_checked_is_unknown(lake: LocalLake, catalog: Catalog) -> None:
    now = status(lake, catalog)
    assert now.state == UNKNOWN and not now.is_verified and len(now.rows) == 4
    assert {row.state for row in now.rows} == {UNKNOWN} and {row.colour for row in now.rows} == {"grey"}
    assert row(lake, catalog, "a").unknown == ("it was never checked",)
    assert row(lake, catalog, "a", "pair").unknown == ("its buckets were never compared",)


def test_all_is_verified_after_all_was_checked_and_the_row_says_from_when(
    lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog)
    now = status(lake, catalog)
    assert now.state == VERIFIED and now.is_verified
    pair = row(lake, catalog, "a", "pair")
    assert pair.counts == {"matches": 3, "pending": 2} and pair.waiting == ("2 pending",)
    assert (pair.checked_at, pair.oldest_evidence) == (NOW - HOUR, NOW - HOUR)


@pytest.mark.parametrize(("severity", "state"), [("ERROR", PROBLEM), ("WARN", WARNING)])
def test_a_red_check_of_any_asset_is_a_problem_and_a_warning_none(
    lake: LocalLake, catalog: Catalog, severity: str, state: str
) -> None:
    verify_all(lake, catalog)
    check = Check("no_notmatched", False, severity, "1 differs")  # type: ignore[arg-type]
    keep_result(lake, Result("ingest_report", "b", "i", NOW, (check,)))
    found = row(lake, catalog, "b")
    assert found.state == state and status(lake, catalog).rows[0] == found
    (finding,) = found.red + found.warnings
    assert (finding.asset, finding.check, finding.text, finding.since) == (
        "ingest_report",
        "no_notmatched",
        "1 differs",
        NOW,
    )
    assert status(lake, catalog).is_verified == (state == WARNING)


@pytest.mark.parametrize(("severity", "state"), [("ERROR", PROBLEM), ("WARN", WARNING)])
def test_a_pair_whose_buckets_both_lost_objects_is_no_more_verified_than_they_are(
    lake: LocalLake, catalog: Catalog, severity: str, state: str
) -> None:
    verify_all(lake, catalog)
    later = NOW - HOUR + timedelta(minutes=1)
    check_bucket(lake, catalog, "a", Check("nothing_lost", False, "WARN", "1 lost"), at=later)
    pair = row(lake, catalog, "a", "pair")
    assert pair.state == VERIFIED  # what only one side lost is in the pair's report
    check_bucket(lake, catalog, "b", Check("nothing_lost", False, severity, "2 lost"), at=later)  # type: ignore[arg-type]
    pair = row(lake, catalog, "a", "pair")
    assert pair.state == state == row(lake, catalog, "b").state
    (told,) = pair.red + pair.warnings
    assert (told.check, told.text, told.since) == ("nothing_lost", "a: 1 lost; b: 2 lost", later)
    assert to_do(pair, catalog) == "fixity explain nothing_lost"


def test_a_bucket_of_which_all_is_archived_is_unknown(lake: LocalLake, catalog: Catalog) -> None:
    verify_all(lake, catalog)
    counts = {"objects": 3, "within_term": 1, "archived": 2}
    keep_result(lake, Result("coverage", "c", "o", NOW - HOUR, (), counts))
    assert row(lake, catalog, "c").state == VERIFIED
    keep_result(lake, Result("coverage", "c", "o2", NOW, (), counts | {"within_term": 0, "archived": 3}))
    assert row(lake, catalog, "c").unknown == ("all its objects are archived, and none was read in time",)


@pytest.mark.parametrize("asset", ["checksums", "ingest_report"])
def test_a_result_that_is_lost_makes_the_bucket_unknown_never_green(
    lake: LocalLake, catalog: Catalog, asset: str
) -> None:
    verify_all(lake, catalog)
    keep_result(lake, Result("ingest_report", "a", "i", NOW, (Check("x", False, "ERROR"),)))
    check_bucket(lake, catalog, "a", at=NOW)
    Path(lake.location(f"status/{asset}/a.json")).unlink()
    found = row(lake, catalog, "a")
    assert f"{asset}/a.json is lost" in found.unknown[0]
    assert found.state == (UNKNOWN if asset == "ingest_report" else PROBLEM)


def test_a_run_that_failed_is_a_problem_of_a_bucket_that_was_right_before(
    lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog)
    keep_failure(lake, "checksums", "a", Failure("dead", NOW, "unreachable"))
    found = row(lake, catalog, "a")
    assert found.state == PROBLEM and found.failed_run == "dead" and found.red[0].text == "unreachable"
    keep_failure(lake, "coverage", None, Failure("dead", NOW, "no lake"))
    assert [each.text for each in status(lake, catalog).platform] == ["no lake"]


def test_an_open_incident_makes_its_bucket_and_its_pair_red_whatever_the_last_run_said(
    lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog)
    opened = Event("inc-1", OPENED, NOW - HOUR, run_id="r", bucket="b", key="k", found="SHA256:00")
    append(lake, [opened])
    assert row(lake, catalog, "b").state == PROBLEM and row(lake, catalog, "a").state == VERIFIED
    pair = row(lake, catalog, "a", "pair")
    assert pair.state == PROBLEM and pair.open_incidents == ("inc-1",) and "1 object of b" in pair.red[0].text
    append(lake, [Event("inc-1", DISMISSED, NOW, person="ann", reason="known")])
    assert status(lake, catalog).state == VERIFIED


def test_a_plan_of_a_repair_counts_only_while_an_incident_is_open(lake: LocalLake, catalog: Catalog) -> None:
    verify_all(lake, catalog)
    keep_result(lake, Result("repairs", "a", "p", NOW, (Check("all_repaired", False, "ERROR", "1 to do"),)))
    assert row(lake, catalog, "a", "pair").state == VERIFIED
    append(lake, [Event("inc-1", OPENED, NOW, run_id="r", pair="a", key="k")])
    reds = [finding.check for finding in row(lake, catalog, "a", "pair").red]
    assert reds == ["all_repaired", "no_open_incidents"]
    assert row(lake, catalog, "a").state == row(lake, catalog, "b").state == PROBLEM  # either may be bad


def test_a_bucket_of_which_only_some_objects_were_checked_is_unknown(
    lake: LocalLake, catalog: Catalog
) -> None:
    check_bucket(lake, catalog, "a", is_whole=False)
    assert row(lake, catalog, "a").unknown == ("only some of its objects were checked",)


@pytest.mark.parametrize("more", [0, 2])
def test_a_listing_that_was_begun_before_a_check_ended_and_ended_after_it_was_not_checked(
    lake: LocalLake, catalog: Catalog, more: int
) -> None:
    begun, ended = NOW - 2 * HOUR, NOW - HOUR
    keep_result(lake, Result("inventory", "b", "first", begun - HOUR, (), {"rows": 3}))
    listing = Listed("first", begun - HOUR + timedelta(seconds=1))
    check_bucket(lake, catalog, "b", at=ended, whole_at=ended, objects=3, listing=listing)
    assert (row(lake, catalog, "b").state, row(lake, catalog, "b").waiting) == (VERIFIED, ())
    keep_result(lake, Result("inventory", "b", "second", begun, (), {"rows": 3 + more}))
    found = row(lake, catalog, "b")
    assert found.waiting == ("a check: it was listed since",)
    assert [each.text.partition(" ")[0] for each in found.warnings] == ([str(more)] if more else [])


def test_a_listing_that_a_map_took_and_nobody_else_knows_is_newer_than_the_one_before(
    lake: LocalLake, catalog: Catalog
) -> None:
    keep_result(lake, Result("inventory", "b", "first", NOW - 2 * HOUR, (), {"rows": 3}))
    taken = Listed("map", NOW - HOUR)
    check_bucket(lake, catalog, "b", at=NOW, whole_at=NOW, objects=4, listing=taken)
    assert row(lake, catalog, "b").waiting == ()


def test_results_of_another_place_are_not_of_the_bucket_that_the_catalog_names_now(
    lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog)
    check_bucket(lake, catalog, "a", at=NOW, place="/elsewhere")
    assert row(lake, catalog, "a").state == UNKNOWN


def test_a_bucket_with_a_term_needs_coverage_that_was_counted_lately(
    lake: LocalLake, catalog: Catalog
) -> None:
    check_bucket(lake, catalog, "c", is_whole=False)
    assert "nobody counted" in row(lake, catalog, "c").unknown[0]
    counts = {"objects": 4, "within_term": 3, "due": 1, "never": 0}
    for age, state in ((HOUR, VERIFIED), (25 * HOUR, UNKNOWN)):
        Path(lake.location("status/coverage/c.json")).unlink(missing_ok=True)
        keep_result(lake, Result("coverage", "c", "n", NOW - age, (), counts, oldest=NOW - 9 * HOUR))
        found = row(lake, catalog, "c")
        assert found.state == state, found
        if state == VERIFIED:
            assert found.coverage == 0.75 and found.waiting == ("1 due",)
            assert found.oldest_evidence == NOW - 9 * HOUR
    old = Check("within_term", False, "ERROR", "1 object overdue")  # of long ago, but nobody said otherwise
    keep_result(lake, Result("coverage", "c", "n", NOW - 24.5 * HOUR, (old,), counts))
    assert row(lake, catalog, "c").state == PROBLEM


def test_a_report_that_is_older_than_the_pair_s_term_is_not_known_to_be_true_any_more(
    lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog, at=NOW - timedelta(days=9))
    assert row(lake, catalog, "a", "pair").state == VERIFIED  # nothing says how old it may be
    text = catalog.file.read_text().replace("{replica: b}", "{replica: b, fixity_every: 8d}")
    catalog.file.write_text(text)
    assert row(lake, load_catalog(catalog.file), "a", "pair").state == VERIFIED  # a day's grace
    catalog.file.write_text(text.replace("8d", "7d"))
    late = row(lake, load_catalog(catalog.file), "a", "pair")
    assert (late.state, late.unknown) == (UNKNOWN, ("its report is 9 days old, more than its term",))


def test_what_a_wrong_clock_wrote_is_not_known(lake: LocalLake, catalog: Catalog) -> None:
    verify_all(lake, catalog)
    check_bucket(lake, catalog, "a", at=NOW + 48 * HOUR)
    assert "a clock was wrong" in row(lake, catalog, "a").unknown[0]


def test_only_the_rows_that_are_asked_for(lake: LocalLake, catalog: Catalog) -> None:
    check_bucket(lake, catalog, "a", Check("no_damage", False, "ERROR"))
    assert status(lake, catalog).only(["b"]).state == UNKNOWN
    assert [each.name for each in status(lake, catalog).only(["a"]).rows] == ["a", "a"]


def test_incidents_of_which_all_files_are_lost_are_still_open(lake: LocalLake, catalog: Catalog) -> None:
    verify_all(lake, catalog)
    append(lake, [Event("inc-1", OPENED, NOW - HOUR, run_id="r", bucket="b", key="k", found="SHA256:00")])
    shutil.rmtree(lake.location("incidents"))
    for record in Path(lake.location("log/records/incidents/inc-1")).iterdir():
        os.utime(record, (0, 0))  # long ago, so that no run is just putting the file
    assert row(lake, catalog, "b").open_incidents == ("inc-1",)
    assert status(lake, catalog).state == PROBLEM


def test_an_open_incident_of_a_bucket_that_the_catalog_no_longer_has_is_a_warning(
    lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog)
    append(lake, [Event(f"inc-{n}", OPENED, NOW, run_id="r", bucket="old", key=str(n)) for n in range(4)])
    now = status(lake, catalog)
    assert now.state == WARNING and {each.state for each in now.rows} == {VERIFIED}
    (note,) = now.notes
    assert note == (
        "4 open incidents are of no bucket that the catalog has now (inc-0, inc-1, inc-2, …): see fixity "
        "incidents --open"
    )


def test_a_pair_is_not_verified_while_one_of_its_buckets_cannot_be_reached(
    lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog)
    keep_failure(lake, "checksums", "b", Failure("dead", NOW, "unreachable"))
    pair = row(lake, catalog, "a", "pair")
    assert pair.state == UNKNOWN and pair.unknown == ("its bucket b could not be checked since",)
    check_bucket(lake, catalog, "b", at=NOW)
    assert row(lake, catalog, "a", "pair").state == VERIFIED


@pytest.mark.parametrize(
    ("counts", "empty"),
    [
        ({"total_objects": 3, "missing_replica": 3}, "b"),
        ({"total_objects": 0, "missing_source": 3}, "a"),
        ({"total_objects": 3, "missing_replica": 2, "matches": 1}, ""),
    ],
)
def test_where_all_of_a_side_is_missing_its_disk_is_looked_for_before_anything_is_repaired(
    lake: LocalLake, catalog: Catalog, counts: dict[str, int], empty: str
) -> None:
    verify_all(lake, catalog)
    append(lake, [Event("inc-1", OPENED, NOW - HOUR, run_id="r", bucket="b", key="k", found="SHA256:00")])
    place = places_of(catalog, catalog.buckets_of("a"))
    missing = Check("no_missing_replica", False, "ERROR", "missing")
    keep_result(lake, Result("fixity_report", "a", "r2", NOW, (missing,), counts, place, NOW))
    said = to_do(row(lake, catalog, "a", "pair"), catalog)
    look = f"see whether the disk of {empty} is mounted, and its place in the catalog is right, then fixity "
    assert said == (look + "verify a" if empty else "fixity incident inc-1, then fixity repair inc-1")
    gone = Check("all_read", False, "ERROR", f"{EMPTIED}: 3")
    check_bucket(lake, catalog, "b", gone, at=NOW)
    assert to_do(row(lake, catalog, "b"), catalog).startswith("see whether the disk of b is mounted")


def test_what_could_not_be_reached_is_mended_before_its_incidents(lake: LocalLake, catalog: Catalog) -> None:
    verify_all(lake, catalog)
    append(lake, [Event("inc-1", OPENED, NOW - HOUR, run_id="r", bucket="b", key="k", found="SHA256:00")])
    first = "fixity incident inc-1"
    assert to_do(row(lake, catalog, "b"), catalog) == f"{first}, then fixity repair inc-1"
    keep_failure(lake, "checksums", "b", Failure("dead", NOW, "unreachable"))
    assert (
        to_do(row(lake, catalog, "b"), catalog) == f"remove the cause, then fixity checksums b; then {first}"
    )


def _with_copies(folder: Path, replicas: str = "b, c") -> tuple[LocalLake, Catalog]:
    (folder / "fixity.yaml").write_text(
        "lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}, c: {path: c}, d: {path: d}}\n"
        f"pairs: {{a: {{replicas: [{replicas}]}}}}\n"
    )
    catalog = load_catalog(folder / "fixity.yaml")
    lake = open_lake(catalog)
    assert isinstance(lake, LocalLake)
    return lake, catalog


def _report(lake: LocalLake, catalog: Catalog, name: str, at: datetime, *checks: Check) -> None:
    place = places_of(catalog, catalog.buckets_of(name))
    keep_result(lake, Result("fixity_report", name, "r", at, checks, place=place))


def test_all_copies_are_as_red_as_the_worst_copy_and_say_which_also_where_it_was_reported_alone_since(
    tmp_path: Path,
) -> None:
    lake, catalog = _with_copies(tmp_path)
    assert row(lake, catalog, "a", "pair").state == UNKNOWN
    _report(lake, catalog, "a", NOW - HOUR)
    assert row(lake, catalog, "a", "pair").unknown == (
        "b: its buckets were never compared",
        "c: its buckets were never compared",
    )
    for name in ("a-to-b", "a-to-c"):
        _report(lake, catalog, name, NOW - HOUR)
    assert row(lake, catalog, "a", "pair").state == VERIFIED
    failed = Check("no_failures", passed=False, severity="ERROR", description="1 object")
    _report(lake, catalog, "a-to-c", NOW, failed)
    found = row(lake, catalog, "a", "pair")
    assert (found.state, [each.text for each in found.red]) == (PROBLEM, ["c: 1 object"])
    assert row(lake, catalog, "a-to-b", "pair").state == VERIFIED
    told = [each.row for each in wrong_now(status(lake, catalog), [], catalog, lambda run_id: True)]
    assert told == [("pair", "a-to-c")]  # the same is not told of all copies again


def test_all_copies_are_no_better_than_a_copy_whose_own_run_failed_or_of_which_something_is_lost(
    tmp_path: Path,
) -> None:
    lake, catalog = _with_copies(tmp_path)
    for name in ("a", "a-to-b", "a-to-c"):
        _report(lake, catalog, name, NOW - HOUR)
    assert row(lake, catalog, "a", "pair").state == VERIFIED
    keep_failure(lake, "fixity_report", "a-to-c", Failure("dead", NOW, "no table"))
    found = row(lake, catalog, "a", "pair")
    assert (found.state, [each.text for each in found.red]) == (PROBLEM, ["c: no table"])
    told = [each.row for each in wrong_now(status(lake, catalog), [], catalog, lambda run_id: True)]
    assert told == [("pair", "a-to-c")]

    _report(lake, catalog, "a-to-c", NOW + timedelta(days=9))  # written by a clock that was wrong
    found = row(lake, catalog, "a", "pair")
    assert found.state == UNKNOWN and [text[:3] for text in found.unknown] == ["c: "]
    Path(lake.location("status/fixity_report/a-to-c.json")).unlink()
    found = row(lake, catalog, "a", "pair")
    assert found.state == UNKNOWN and "is lost" in found.unknown[0]


def test_what_is_wrong_with_several_copies_alike_is_told_once(tmp_path: Path) -> None:
    lake, catalog = _with_copies(tmp_path)
    check = Check("no_damage", passed=False, severity="ERROR", description="known to be damaged: 1 of a")
    for name in ("a", "a-to-b", "a-to-c"):
        _report(lake, catalog, name, NOW - HOUR, check)
    assert [each.text for each in row(lake, catalog, "a", "pair").red] == [
        "b, c: known to be damaged: 1 of a"
    ]


def test_the_order_of_replicas_does_not_matter_and_a_new_one_was_never_compared(tmp_path: Path) -> None:
    lake, catalog = _with_copies(tmp_path)
    for name in ("a", "a-to-b", "a-to-c"):
        _report(lake, catalog, name, NOW - HOUR)
    lake, catalog = _with_copies(tmp_path, "c, b")
    assert row(lake, catalog, "a", "pair").state == VERIFIED
    lake, catalog = _with_copies(tmp_path, "b, c, d")
    assert row(lake, catalog, "a", "pair").unknown == (
        "the catalog names other places than those that were compared",
        "d: its buckets were never compared",
    )


def test_an_incident_of_a_pair_that_has_several_replicas_now_or_another_name_stays_with_its_buckets(
    tmp_path: Path, lake: LocalLake, catalog: Catalog
) -> None:
    verify_all(lake, catalog)
    append(lake, [Event("inc-1", OPENED, NOW - HOUR, run_id="r", pair="a", key="k", found="SHA256:00")])
    assert {row(lake, catalog, name).state for name in "ab"} == {PROBLEM}
    _, several = _with_copies(tmp_path)

    def concerned(changed: Catalog) -> set[tuple[str, str]]:
        return {(each.kind, each.name) for each in status(lake, changed).rows if each.open_incidents}

    of_buckets = {("bucket", "a"), ("bucket", "b")}
    assert concerned(several) == of_buckets | {("pair", "a"), ("pair", "a-to-b")}
    file = tmp_path / "fixity.yaml"
    file.write_text(
        "lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}, c: {path: c}}\n"
        "pairs: {renamed: {source: a, replica: b}, other: {source: a, replica: c}}\n"
    )
    renamed = load_catalog(file)
    assert concerned(renamed) == of_buckets | {("pair", "renamed")}
    Path(lake.location("status/fixity_report/a.json")).unlink()  # now nobody knows which buckets it had
    assert concerned(renamed) >= {("bucket", name) for name in "abc"}
