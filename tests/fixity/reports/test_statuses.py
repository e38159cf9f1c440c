"""Each status of the report alone, by a table of one or two rows."""

from datetime import timedelta
from pathlib import Path

import pytest

from fixity.reports import Counts
from tests.fixity.reports.rows import (
    CHECKED,
    LAG,
    LATER,
    LISTED,
    OLD,
    YOUNG,
    Row,
    failed_row,
    read_csv,
    report,
    row,
    skipped_row,
)

JUST_DUE = LISTED - LAG


@pytest.mark.parametrize(
    ("source", "replica", "status", "detail"),
    [
        # ok, mismatch
        (row(), row(), "ok", ""),
        (row(checksum="aa"), row(checksum="bb"), "mismatch", ""),
        (
            row(checksum="aa", size=5),
            row(checksum="bb", size=6),
            "mismatch",
            "sizes differ: 5 and 6 bytes",
        ),
        (row(size=5), row(size=6), "ok", "sizes differ: 5 and 6 bytes"),
        (
            row(checksum="aa"),
            row(checksum="bb", last_modified=OLD - timedelta(days=1)),
            "mismatch",
            "the replica was written before the source's current version and may hold an older one",
        ),
        # missing, pending
        (row(), None, "missing_replica", ""),
        (None, row(), "missing_source", ""),
        (
            row(last_modified=YOUNG),
            None,
            "pending",
            "not in the replica, and too new to be expected there",
        ),
        (
            None,
            row(last_modified=YOUNG),
            "pending",
            "not in the source's listing, and too new to be expected there",
        ),
        (row(last_modified=JUST_DUE), None, "missing_replica", ""),
        (None, row(last_modified=JUST_DUE), "missing_source", ""),
        (row(last_modified=None), None, "missing_replica", ""),
        # a time in the future, as a camera's clock gives it, does not hide that something is missing
        (row(last_modified=LISTED + timedelta(days=400)), None, "missing_replica", ""),
        (None, row(last_modified=LISTED + timedelta(days=400)), "missing_source", ""),
        (None, row(last_modified=None), "missing_source", ""),
        (
            row(checksum="aa", last_modified=YOUNG),
            row(checksum="bb"),
            "pending",
            "they differ, and the source is too new to be expected in the replica",
        ),
        (
            row(checksum="aa"),
            row(checksum="bb", last_modified=LATER),
            "pending",
            "they differ, and the replica was written after the source was listed",
        ),
        (row(checksum="aa"), row(checksum="bb", last_modified=LISTED), "mismatch", ""),
        # failed
        (
            failed_row(),
            row(),
            "failed_source",
            "the source could not be read: AccessDenied: no",
        ),
        (
            row(),
            failed_row(code="NoSuchKey", message="gone"),
            "failed_replication",
            "the replica could not be read: NoSuchKey: gone",
        ),
        (
            failed_row(),
            failed_row(code="Timeout", message="slow"),
            "failed_source",
            "the source could not be read: AccessDenied: no; the replica could not be read: Timeout: slow",
        ),
        (
            failed_row(),
            skipped_row(),
            "failed_source",
            "the source could not be read: AccessDenied: no; "
            "the replica was not checked: Archived: in Glacier",
        ),
        (failed_row(), None, "missing_replica", "the source could not be read: AccessDenied: no"),
        (None, failed_row(), "missing_source", "the replica could not be read: AccessDenied: no"),
        # not checked
        (skipped_row(), row(), "not_checked", "the source was not checked: Archived: in Glacier"),
        (row(), skipped_row(), "not_checked", "the replica was not checked: Archived: in Glacier"),
        (skipped_row(), None, "missing_replica", "the source was not checked: Archived: in Glacier"),
        (None, skipped_row(), "missing_source", "the replica was not checked: Archived: in Glacier"),
        (
            skipped_row(code="DeletedSinceListed", message="404"),
            None,
            "not_checked",
            "not in the replica; the source was not checked: DeletedSinceListed: 404",
        ),
        (
            None,
            skipped_row(code="ChangedSinceListed", message="412"),
            "not_checked",
            "not in the source; the replica was not checked: ChangedSinceListed: 412",
        ),
        # incomparable
        (
            row(algorithm="MD5"),
            row(algorithm="SHA256"),
            "incomparable",
            "different algorithms: MD5 and SHA256",
        ),
        (row(checksum=None), row(), "incomparable", "the source has no checksum"),
        (row(), row(checksum=None), "incomparable", "the replica has no checksum"),
        (row(checksum=None), row(checksum=None), "incomparable", "neither side has a checksum"),
        (
            row(evidence="stored"),
            row(),
            "incomparable",
            "the source's checksum was stored at upload: nobody read the bytes",
        ),
        (
            row(),
            row(evidence="stored"),
            "incomparable",
            "the replica's checksum was stored at upload: nobody read the bytes",
        ),
        (
            row(checksum_type="COMPOSITE"),
            row(),
            "incomparable",
            "different checksum types: COMPOSITE and FULL_OBJECT",
        ),
        (row(checksum_type="COMPOSITE"), row(checksum_type="COMPOSITE"), "ok", ""),
        (
            row(checksum="aa", checksum_type="COMPOSITE", size=5),
            row(checksum="bb", checksum_type="COMPOSITE", size=6),
            "incomparable",
            "composite checksums differ, as they do where the parts had other sizes; "
            "sizes differ: 5 and 6 bytes",
        ),
    ],
)
def test_a_pair_of_rows_has_one_status_and_says_why(
    tmp_path: Path, source: Row | None, replica: Row | None, status: str, detail: str
) -> None:
    outcome = report(tmp_path, [source] if source else [], [replica] if replica else [])
    (line,) = read_csv(outcome.csv)
    assert (line["status"], line["detail"]) == (status, detail)
    assert outcome.counts.rows == outcome.rows == 1
    assert outcome.counts.total_objects == (1 if source else 0)


def test_a_row_shows_what_is_known_of_both_sides(tmp_path: Path) -> None:
    outcome = report(
        tmp_path,
        [row("a", "aa", version_id="v1", etag="s", size=1)],
        [row("a", "bb", version_id="v1", etag=None, size=2)],
        "version",
    )
    assert read_csv(outcome.csv) == [
        {
            "bucket": "deposit",
            "key": "a",
            "version_id": "v1",
            "status": "mismatch",
            "checksum_algorithm": "SHA256",
            "checksum_source": "aa",
            "checksum_replication": "bb",
            "size_source": "1",
            "size_replication": "2",
            "etag_source": "s",
            "etag_replication": "",
            "checked_source": "2026-03-01T13:00:00.000250Z",
            "checked_replication": "2026-03-01T13:00:00.000250Z",
            "detail": "sizes differ: 1 and 2 bytes",
            "diagnosis": "",
            "diagnosis_rests_on": "",
            "last_agreed_at": "",
        }
    ]


def test_a_checksum_is_shown_although_the_other_side_has_none(tmp_path: Path) -> None:
    (line,) = read_csv(report(tmp_path, [failed_row()], [row(checksum="bb")]).csv)
    assert (line["checksum_source"], line["checksum_replication"]) == ("", "bb")


def test_what_failed_on_both_sides_is_one_row_and_in_both_figures(tmp_path: Path) -> None:
    counts = report(tmp_path, [failed_row()], [failed_row()]).counts
    assert counts == Counts(total_objects=1, failed_source=1, failed_replication=1, rows=1)


def test_what_could_not_be_read_is_counted_although_it_is_missing_too(tmp_path: Path) -> None:
    counts = report(
        tmp_path, [failed_row("a"), failed_row("b", last_modified=YOUNG)], [failed_row("c")]
    ).counts
    assert counts == Counts(
        total_objects=2,
        missing_replica=1,
        pending=1,
        missing_source=1,
        failed_source=2,
        failed_replication=1,
        rows=3,
    )


def test_versions_are_compared_each_with_its_own(tmp_path: Path) -> None:
    source = [row("a", "v1", version_id="1", is_latest=False), row("a", "v2", version_id="2")]
    replica = [row("a", "v2", version_id="2"), row("a", "v3", version_id="3", is_latest=False)]
    lines = read_csv(report(tmp_path, source, replica, "version").csv)
    assert [(line["version_id"], line["status"]) for line in lines] == [
        ("1", "missing_replica"),
        ("2", "ok"),
        ("3", "missing_source"),
    ]


def test_a_version_that_differs_is_damaged_however_young(tmp_path: Path) -> None:
    rows = [row("a", checksum, version_id="1", last_modified=YOUNG) for checksum in ("aa", "bb")]
    (line,) = read_csv(report(tmp_path, rows[:1], rows[1:], "version").csv)
    assert line["status"] == "mismatch"


@pytest.mark.parametrize("source_version", [None, "", "null"])
@pytest.mark.parametrize("replica_version", [None, "", "null"])
def test_the_version_from_before_versioning_is_the_only_one_of_a_store_without(
    tmp_path: Path, source_version: str | None, replica_version: str | None
) -> None:
    outcome = report(tmp_path, [row(version_id=source_version)], [row(version_id=replica_version)], "version")
    assert outcome.counts == Counts(total_objects=1, matches=1, rows=1)


def test_by_key_only_current_versions_take_part_whatever_their_ids(tmp_path: Path) -> None:
    source = [row("a", "v1", version_id="1", is_latest=False), row("a", "v2", version_id="2")]
    replica = [row("a", "v2", version_id="x"), row("b", "b1", version_id="y", is_latest=False)]
    outcome = report(tmp_path, source, replica)
    assert [(line["key"], line["version_id"], line["status"]) for line in read_csv(outcome.csv)] == [
        ("a", "2", "ok")
    ]
    assert outcome.counts.total_objects == 1


def test_by_key_a_replica_that_holds_an_older_version_is_a_mismatch_that_says_so(tmp_path: Path) -> None:
    source = [
        row("a", "v1", version_id="1", is_latest=False, last_modified=OLD - timedelta(days=2)),
        row("a", "v1", version_id="2", is_latest=False, last_modified=OLD - timedelta(days=1)),
        row("a", "v3", version_id="3"),
        row("b", "v1", version_id="1"),
    ]
    replica = [row("a", "v1", last_modified=OLD - timedelta(days=1)), row("b", "v1")]
    lines = read_csv(report(tmp_path, source, replica).csv)
    assert [(line["status"], line["detail"]) for line in lines] == [
        ("mismatch", "the replica holds an older version (2)"),
        ("ok", ""),
    ]


def test_an_empty_source_is_an_empty_report_with_a_header(tmp_path: Path) -> None:
    outcome = report(tmp_path, [], [])
    assert outcome.counts == Counts()
    assert outcome.csv.read_text().startswith("bucket,key,version_id,status,checksum_algorithm,")
    assert read_csv(outcome.csv) == []


def test_an_empty_replica_is_a_replica_that_misses_everything(tmp_path: Path) -> None:
    counts = report(tmp_path, [row("a"), row("b")], []).counts
    assert counts == Counts(total_objects=2, missing_replica=2, rows=2)


def test_the_check_s_time_is_told_in_utc(tmp_path: Path) -> None:
    (line,) = read_csv(report(tmp_path, [row(checked_at=CHECKED.replace(microsecond=0))], []).csv)
    assert line["checked_source"] == "2026-03-01T13:00:00.000000Z"
