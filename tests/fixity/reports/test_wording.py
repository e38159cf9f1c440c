"""The summary, the stats and the verdict, from figures."""

from dataclasses import replace

import pytest

from fixity.reports import STATUSES, Counts, Verdict, check_names, stats, summary_text, verdict

CLEAN = Counts(total_objects=6, matches=6, rows=6)


def test_the_summary_of_a_clean_pair_is_duraclouds() -> None:
    assert summary_text(CLEAN) == (
        "Checksum report complete:\n"
        "        Total objects:      6\n"
        "        Matches:            6\n"
        "        Mismatches:         0\n"
        "        Missing replica:    0\n"
        "        Missing source:     0\n"
        "        Failed source:      0\n"
        "        Failed replication: 0"
    )


def test_the_summary_has_further_lines_only_for_what_there_is() -> None:
    counts = Counts(1, 2, 3, 4, 5, 6, 7, incomparable=8, not_checked=0, pending=1234567, rows=9)
    assert summary_text(counts).splitlines()[-4:] == [
        "        Failed replication: 7",
        "        Not comparable:     8",
        "        Pending:            1234567",
        "        Rows:               9 (8 only in the replica)",
    ]
    assert "        Not checked:        1" in summary_text(replace(counts, not_checked=1)).splitlines()


def test_rows_that_are_not_objects_of_the_source_are_told() -> None:
    assert "Rows:" not in summary_text(CLEAN)
    told = summary_text(replace(CLEAN, rows=8)).splitlines()[-1]
    assert told == "        Rows:               8 (2 only in the replica)"


def test_the_stats_are_duraclouds_then_ours() -> None:
    counts = Counts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
    assert list(stats(counts).items()) == [
        ("total_objects", 1),
        ("matches", 2),
        ("mismatches", 3),
        ("missing_replica", 4),
        ("missing_source", 5),
        ("failed_source", 6),
        ("failed_replication", 7),
        ("incomparable", 8),
        ("not_checked", 9),
        ("pending", 10),
    ]
    assert Counts.from_stats(stats(counts)) == replace(counts, rows=0)
    assert Counts.from_stats({**stats(counts), "csv": "a path"}) == replace(counts, rows=0)


def test_every_status_has_a_figure() -> None:
    by_status = Counts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11).by_status()
    assert list(by_status) == list(STATUSES)
    assert list(by_status.values()) == [2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_a_clean_pair_passes_every_check() -> None:
    checks = verdict(CLEAN)
    assert (
        [check.name for check in checks]
        == list(check_names())
        == [
            "something_compared",
            "no_damage",
            "no_mismatches",
            "no_missing_source",
            "no_missing_replica",
            "no_failures",
            "all_checked",
            "all_comparable",
            "ledger_readable",
        ]
    )
    assert all(check.passed and check.rows == 0 for check in checks)
    assert [check.description for check in checks] == list(check_names().values())


def test_two_empty_sides_pass_every_check() -> None:
    assert all(check.passed for check in verdict(Counts()))


@pytest.mark.parametrize(
    "status", ["incomparable", "not_checked", "pending", "failed_source", "missing_replica"]
)
def test_a_comparison_of_nothing_is_red_and_says_why(status: str) -> None:
    counts = Counts(total_objects=1200, rows=1200, **{status: 1200})
    (first, *_) = verdict(counts)
    assert (first.name, first.passed, first.severity) == ("something_compared", False, "ERROR")
    assert first.description == f"not one object was compared: 1,200 {status}"
    for compared in ({"matches": 1}, {"mismatches": 1}):
        assert verdict(replace(counts, **compared, rows=1201))[0].passed


def test_damage_that_both_sides_share_is_red() -> None:
    (failed,) = [check for check in verdict(CLEAN, damaged={"a": 1, "b": 1, "c": 0}) if not check.passed]
    assert (failed.name, failed.severity) == ("no_damage", "ERROR")
    assert failed.description == "2 objects known to be damaged: 1 of a, 1 of b"


def test_why_objects_could_not_be_read_is_said() -> None:
    checks = {
        check.name: check for check in verdict(replace(CLEAN, failed_source=50), reasons="AccessDenied: 50")
    }
    assert checks["no_failures"].description.endswith("50 in the source, 0 in the replica (AccessDenied: 50)")


@pytest.mark.parametrize(
    ("counts", "failing"),
    [
        (
            replace(CLEAN, mismatches=1),
            Verdict("no_mismatches", False, "ERROR", "1 object different in source and replica", 1),
        ),
        (
            replace(CLEAN, missing_source=2),
            Verdict("no_missing_source", False, "ERROR", "2 objects missing in the source", 2),
        ),
        (
            replace(CLEAN, missing_replica=1000),
            Verdict("no_missing_replica", False, "ERROR", "1,000 objects missing in the replica", 1000),
        ),
        (
            replace(CLEAN, failed_source=1, failed_replication=2),
            Verdict(
                "no_failures", False, "ERROR", "3 objects not readable: 1 in the source, 2 in the replica", 3
            ),
        ),
        (
            replace(CLEAN, not_checked=2),
            Verdict("all_checked", False, "WARN", "2 objects skipped on a side", 2),
        ),
        (
            replace(CLEAN, incomparable=2),
            Verdict("all_comparable", False, "WARN", "2 objects with checksums that cannot be compared", 2),
        ),
    ],
)
def test_each_trouble_fails_its_check_and_no_other(counts: Counts, failing: Verdict) -> None:
    assert [check for check in verdict(counts) if not check.passed] == [failing]


def test_what_is_pending_is_said_but_fails_nothing() -> None:
    checks = {check.name: check for check in verdict(replace(CLEAN, pending=3))}
    assert all(check.passed for check in checks.values())
    assert "3 objects pending" in checks["all_checked"].description


def test_no_report_is_verified_that_had_to_leave_out_a_file_of_a_ledger() -> None:
    (failed,) = [check for check in verdict(CLEAN, ["checksums/b/r1.parquet is torn"]) if not check.passed]
    assert (failed.name, failed.severity, failed.rows) == ("ledger_readable", "ERROR", 1)
    assert failed.description == (
        "left out, so the report may rest on older results: checksums/b/r1.parquet is torn"
    )
