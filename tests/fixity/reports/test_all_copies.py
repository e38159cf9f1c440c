"""The report of all copies: against a plain oracle, wherever it is cut; and what it refuses."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixity.reports.all_copies import OfCopy, ReportNotWhole, columns_of, side_by_side
from fixity.reports.columns import WORST_FIRST
from tests.fixity.reports.oracle import expected_rows
from tests.fixity.reports.rows import Row, failed_row, read_csv, report, row
from tests.fixity.reports.test_compare import sides

Match = Literal["key", "version"]
REPLICAS = ("wasabi", "source", "tape")  # a bucket may have any name


def _reports(folder: Path, source: list[Row], replicas: list[list[Row]], match: Match) -> list[OfCopy]:
    """The report of each copy."""
    made = []
    for name, rows in zip(REPLICAS, replicas, strict=True):
        (folder / name).mkdir()
        outcome = report(folder / name, source, rows, match)
        made.append(OfCopy(name, outcome.csv, outcome.rows))
    return made


def _identity(line: dict[str, str], match: Match) -> tuple[str, str]:
    version = line["version_id"] if match == "version" and line["version_id"] != "null" else ""
    return (line["key"], version)


def _is_alone(line: dict[str, str]) -> bool:
    return line["status"] in ("missing_source", "failed_source") and line["checksum_replication"] != ""


def _expected(
    source: list[Row], replicas: list[list[Row]], match: Match
) -> dict[tuple[str, str], dict[str, str]]:
    """What the report says of each object, one object at a time: by the oracle of a pair, and by counting."""
    of_each = [
        {_identity(line, match): line for line in expected_rows(source, rows, match)} for rows in replicas
    ]
    found = {}
    for identity in {identity for lines in of_each for identity in lines}:
        lines = [lines.get(identity) for lines in of_each]
        there = [line for line in lines if line]
        compared = {
            name: line["checksum_replication"]
            for name, line in zip(REPLICAS, lines, strict=True)
            if line and (line["status"] in ("ok", "mismatch") or _is_alone(line))
        }
        if there[0]["checksum_source"]:
            votes = {"photos": there[0]["checksum_source"], **compared} if compared else {}
        else:  # its copies are compared with each other, and none of them is shown to be right
            by = {
                name: line["checksum_algorithm"] for name, line in zip(REPLICAS, lines, strict=True) if line
            }
            first = by[next(iter(compared))] if len(compared) > 1 else None
            votes = {name: checksum for name, checksum in compared.items() if by[name] == first}
        most = Counter(votes.values()).most_common(1)
        has_majority = (
            len(votes) >= 3 and 2 * most[0][1] > len(votes) and most[0][0] == there[0]["checksum_source"]
        )
        found[identity] = {
            "status": min((line["status"] for line in there), key=WORST_FIRST.index),
            "copies_compared": str(len(votes)),
            "majority": most[0][0] if has_majority else "",
            "differing": " ".join(
                name for name, each in votes.items() if has_majority and each != most[0][0]
            ),
            "bad_copies": "",  # nobody has looked into any row
            "photos:checksum": there[0]["checksum_source"],
            **{
                f"{name}:{column}": line[of_pair] if line else ""
                for name, line in zip(REPLICAS, lines, strict=True)
                for column, of_pair in (("status", "status"), ("checksum", "checksum_replication"))
            },
        }
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tables=st.lists(sides(), min_size=4, max_size=4),
    match=st.sampled_from(get_args(Match)),
    range_rows=st.sampled_from([1, 10_000]),
)
def test_it_says_of_every_object_what_an_oracle_says_wherever_it_is_cut(
    tables: list[list[Row]], match: Match, range_rows: int
) -> None:
    source, *replicas = tables
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = side_by_side(
            "photos",
            _reports(folder, source, replicas, match),
            by_version=match == "version",
            csv=folder / "all.csv",
            range_rows=range_rows,
        )
        lines = read_csv(found.csv)
    expected = _expected(source, replicas, match)
    assert {
        _identity(line, match): {column: line[column] for column in next(iter(expected.values()))}
        for line in lines
    } == expected
    assert all(list(line) == columns_of("photos", REPLICAS) for line in lines)
    order = [(line["key"].encode(), line["version_id"]) for line in lines]
    assert order == sorted(order) and len(lines) == len(expected) == found.counts.rows
    assert Counter(line["status"] for line in lines) == {
        status: count for status, count in found.counts.by_status().items() if count
    }
    assert found.counts.total_objects == sum(line["photos:size"] != "" for line in lines)
    assert len(found.problems) == sum(line["status"] != "ok" for line in lines)


def test_a_tie_has_no_majority_and_three_of_four_have_one(tmp_path: Path) -> None:
    source = [row("clear"), row("tie"), row("unread")]
    one = [row("clear", "bb"), row("tie", "bb"), failed_row("unread")]
    other = [row("clear"), row("tie", "bb"), row("unread")]
    same = [row("clear"), row("tie"), failed_row("unread")]
    found = side_by_side(
        "photos",
        _reports(tmp_path, source, [one, other, same], "key"),
        by_version=False,
        csv=tmp_path / "all.csv",
    )
    lines = {line["key"]: line for line in read_csv(found.csv)}
    said = ("copies_compared", "majority", "differing", "detail")
    assert {key: tuple(line[name] for name in said) for key, line in lines.items()} == {
        "clear": ("4", "aa", "wasabi", ""),
        "tie": ("4", "", "", "no checksum has a majority"),
        "unread": ("2", "", "", ""),
    }


def test_a_report_that_lost_rows_since_it_was_made_makes_no_report(tmp_path: Path) -> None:
    objects = [row("a"), row("b")]
    of_all = _reports(tmp_path, objects, [objects] * 3, "key")
    text = of_all[1].csv.read_text()
    of_all[1].csv.write_text("".join(text.splitlines(keepends=True)[:-1]))
    with pytest.raises(ReportNotWhole, match="the report of source had 2 rows when it was made, and has 1"):
        side_by_side("photos", of_all, by_version=False, csv=tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()


def test_copies_that_rest_on_different_checks_of_the_source_say_so_and_the_newest_counts(
    tmp_path: Path,
) -> None:
    later = row()["checked_at"].replace(hour=23)
    made = []
    for name, source in (("wasabi", [row(checksum="old")]), ("tape", [row(checked_at=later)])):
        (tmp_path / name).mkdir()
        outcome = report(tmp_path / name, source, [row()])
        made.append(OfCopy(name, outcome.csv, outcome.rows))
    found = side_by_side("photos", made, by_version=False, csv=tmp_path / "all.csv")
    (line,) = read_csv(found.csv)
    assert line["detail"] == "copies were compared with different checks of the source"
    assert (line["photos:checksum"], line["status"], line["majority"]) == ("aa", "mismatch", "aa")


def _together(folder: Path, *reports: tuple[list[Row], list[Row]]) -> dict[str, dict[str, str]]:
    """The rows of all copies, by key. Arguments: `reports`, what each had of the source and its copy."""
    made = []
    for name, (source, copy) in zip(REPLICAS, reports, strict=False):
        (folder / name).mkdir()
        outcome = report(folder / name, source, copy)
        made.append(OfCopy(name, outcome.csv, outcome.rows))
    found = side_by_side("photos", made, by_version=False, csv=folder / "all.csv")
    return {line["key"]: line for line in read_csv(found.csv)}


def test_copies_that_were_the_same_as_the_source_at_different_times_are_no_match(tmp_path: Path) -> None:
    later = row()["checked_at"].replace(hour=23)
    lines = _together(
        tmp_path,
        ([row("k"), row("same")], [row("k"), row("same")]),
        ([row("k", "bb", checked_at=later), row("same", checked_at=later)], [row("k", "bb"), row("same")]),
    )
    assert {key: line["status"] for key, line in lines.items()} == {"k": "not_checked", "same": "ok"}
    assert lines["k"]["detail"] == "copies were compared with different checks of the source"


ALONE = "nothing of the source to compare with, and the checksums of its copies differ"


def test_copies_of_what_the_source_lacks_or_could_not_be_read_there_are_compared_with_each_other(
    tmp_path: Path,
) -> None:
    lines = _together(
        tmp_path,
        ([failed_row("unread")], [row(key, "bb") for key in ("alike", "differ", "one", "unread")]),
        ([failed_row("unread")], [row("alike", "bb"), row("differ", "cc"), row("unread", "cc")]),
    )
    said = ("status", "copies_compared", "majority", "detail")
    assert {key: tuple(line[name] for name in said) for key, line in lines.items()} == {
        "alike": ("missing_source", "2", "", ""),
        "differ": ("missing_source", "2", "", ALONE),
        "one": ("missing_source", "0", "", ""),
        "unread": ("failed_source", "2", "", ALONE),
    }


def test_copies_that_agree_with_each_other_against_the_source_are_no_majority(tmp_path: Path) -> None:
    lines = _together(tmp_path, ([row("k")], [row("k", "bb")]), ([row("k")], [row("k", "bb")]))
    said = ("status", "copies_compared", "majority", "differing", "detail")
    alike = "most copies are the same, which does not show that they are right"
    assert tuple(lines["k"][name] for name in said) == ("mismatch", "3", "", "", alike)
