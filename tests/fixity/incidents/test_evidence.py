"""What is kept of the checks of both sides gives the diagnosis of each suspect row."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fixity.buckets import open_bucket
from fixity.lake import open_lake
from fixity.lake.paths import inventory_file
from tests.fixity.incidents.archive import BAD, GOOD, Archive, add_check, ledger_file, write
from tests.fixity.support import keep_table, take_inventory


@pytest.mark.parametrize(("rotten", "word"), [("a", "source_damaged"), ("b", "replica_damaged")])
def test_the_copy_that_changed_since_both_were_the_same_is_the_bad_one(
    local: Archive, rotten: str, word: str
) -> None:
    local.check("1")
    write(local.folder / rotten / "letter", BAD)
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == (word, [rotten])
    assert row["last_agreed_at"] == local.checks(rotten, "1")["letter"]["checked_at"]
    side, other = ("source", "replica") if rotten == "a" else ("replica", "source")
    today = f"{row['last_agreed_at']:%Y-%m-%d}"
    assert row["diagnosis_rests_on"] == (
        f"the {side}'s own baseline of {today} (first seen) held until {today} and its bytes differ "
        f"from it now; the {other}'s bytes match the {side}'s own baseline of {today} (first seen)"
    )


@pytest.mark.parametrize("day", [3, 1], ids=["a later time", "the time of before"])
def test_a_replica_that_was_replaced_after_it_was_right_is_the_bad_one(local: Archive, day: int) -> None:
    """A truncated file has another size and time, so that its own checks begin anew."""
    write(local.folder / "b" / "letter", GOOD, day=2)
    local.check("1")
    write(local.folder / "b" / "letter", GOOD[:5], day=day)
    for run_id in "23":
        local.check(run_id)
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert row["last_agreed_at"] == local.checks("b", "1")["letter"]["checked_at"]
    assert row["diagnosis_rests_on"] == (
        f"the replica was replaced since both sides were the same on {row['last_agreed_at']:%Y-%m-%d}: what "
        f"is there now was written on 2026-01-0{day}; the source's bytes are still those that both had on "
        f"{row['last_agreed_at']:%Y-%m-%d}"
    )


def test_a_source_that_was_replaced_by_something_older_tells_nothing_but_that(local: Archive) -> None:
    write(local.folder / "a" / "letter", GOOD, day=2)
    local.check("1")
    write(local.folder / "a" / "letter", b"something else", day=1)
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("cannot_tell", [])
    assert row["last_agreed_at"] == local.checks("a", "1")["letter"]["checked_at"]
    assert row["diagnosis_rests_on"].startswith(
        f"the source was replaced since both sides were the same on {row['last_agreed_at']:%Y-%m-%d}: what "
        "is there now was written on 2026-01-01; the replica's bytes have not changed"
    )


def test_both_sides_agreed_only_where_neither_had_other_bytes_before_the_other_had_these(
    local: Archive,
) -> None:
    local.check("1", "a")
    write(local.folder / "a" / "letter", BAD, day=2)
    local.check("2", "a")
    local.check("3")  # only now has the replica the bytes that the source had at first
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["last_agreed_at"]) == ("replica_stale", None)


def test_a_key_under_which_much_was_written_is_diagnosed_by_the_last_of_it(local: Archive) -> None:
    local.check("1")
    write(local.folder / "b" / "letter", BAD)
    local.check("2")
    for bucket in ("a", "b"):
        at = local.checks(bucket, "1")["letter"]["checked_at"]
        for day in range(1, 6):
            values = {"checked_at": at - timedelta(days=day), "size": day, "checksum": f"{day:064x}"}
            add_check(local, bucket, f"before-{day}", **values)
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert row["last_agreed_at"] == local.checks("b", "1")["letter"]["checked_at"]


def test_where_only_one_side_was_ever_read_before_nobody_can_tell(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1", "a")
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"], row["last_agreed_at"]) == ("cannot_tell", [], None)
    assert "the source's bytes have not changed since its first check of" in row["diagnosis_rests_on"]


@pytest.mark.parametrize("has_proof", [True, False], ids=["with its record", "of an earlier version"])
def test_a_rotten_file_of_the_ledger_does_not_count(local: Archive, has_proof: bool) -> None:
    """The replica's first check is all that tells the bad copy from the good one."""
    local.check("1", "b")
    write(local.folder / "b" / "letter", BAD)
    local.check("2")
    assert local.diagnose()["letter"]["diagnosis"] == "replica_damaged"
    name = ledger_file("b", "1")
    file = Path(local.lake.location(name))
    if has_proof:  # a bit flips in it
        body = bytearray(file.read_bytes())
        body[len(body) // 2] ^= 1
    else:  # its data are cut out of it
        (local.folder / "lake" / "log" / "records" / f"{name}.json").unlink()
        table = pq.read_table(file)
        without = {key: value for key, value in table.schema.metadata.items() if key == b"fixity"}
        pq.write_table(table.replace_schema_metadata(without), file)
        body = bytearray(file.read_bytes())
        footer = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
        body[4:footer] = bytes(footer - 4)
    file.chmod(0o644)
    file.write_bytes(body)
    again = Archive(local.folder, local.catalog, open_lake(local.catalog))
    assert again.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_checks_of_earlier_versions_count(local: Archive) -> None:
    """Their tables have fewer columns."""
    local.check("1")
    write(local.folder / "b" / "letter", BAD)
    local.check("2")
    newer = ("expected", "expected_algorithm", "expected_from", "verdict", "reads", "other_checksums")
    for bucket, run_id in (("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")):
        name = ledger_file(bucket, run_id)
        keep_table(local.lake, name, pq.read_table(local.lake.location(name)).drop_columns(list(newer)))
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])


def test_a_check_of_a_wrong_clock_is_no_evidence(local: Archive) -> None:
    local.check("1")
    write(local.folder / "b" / "letter", BAD)
    local.check("2")
    name = ledger_file("b", "1")
    table = pq.read_table(local.lake.location(name))
    later = pc.add(table["checked_at"], pa.scalar(timedelta(days=9_000)))
    place = table.schema.get_field_index("checked_at")
    keep_table(local.lake, name, table.set_column(place, table.schema.field(place), later))
    assert local.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_the_source_and_a_third_copy_make_a_majority(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1", "a", "b", "c")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert row["diagnosis_rests_on"] == "2 of 3 copies are the same (a, c)"


@pytest.mark.parametrize("times", [1, 2])
def test_two_copies_of_one_source_are_no_majority_against_it_however_often_they_are_checked(
    local: Archive, times: int
) -> None:
    for copy in ("b", "c"):
        write(local.folder / copy / "letter", b"")
    for number in range(times):
        local.check(str(number), "a", "b", "c")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("cannot_tell", [])
    assert "2 of 3 copies are the same (b, c), but only copies" in (row["diagnosis_rests_on"])


def test_a_bucket_of_which_the_source_is_a_copy_makes_a_majority_against_the_source(local: Archive) -> None:
    buckets = {name: {"path": f"./{name}"} for name in ("a", "b", "c")}
    pairs = {"a": {"replica": "b"}, "other": {"source": "c", "replica": "a"}}
    chain = Archive.of(local.folder, buckets, pairs)
    write(local.folder / "a" / "letter", BAD)
    chain.check("1", "a", "b", "c")
    row = chain.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("source_damaged", ["a"])
    assert row["diagnosis_rests_on"] == "2 of 3 copies are the same (b, c)"


def test_a_third_copy_that_was_replaced_since_its_check_makes_none(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1", "a", "b", "c")
    write(local.folder / "c" / "letter", b"something else", day=2)
    with closing(open_bucket(local.catalog, local.catalog.buckets["c"])) as store:
        take_inventory(store, local.lake, "c", "c2")
    assert local.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_a_bucket_that_was_never_listed_has_no_copies(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1")
    assert local.diagnose()["letter"]["diagnosis"] == "cannot_tell"


def test_a_replica_with_the_bytes_of_an_earlier_check_of_the_source_is_stale(local: Archive) -> None:
    local.check("1")
    write(local.folder / "a" / "letter", b"the second edition", day=2)
    local.check("2")
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_stale", ["b"])
    assert row["diagnosis_rests_on"] == (
        "the replica's bytes are those of the source's older version of 2026-01-01"
    )


def test_a_source_that_was_written_anew_since_it_was_compared_has_changed_meanwhile(local: Archive) -> None:
    write(local.folder / "b" / "letter", BAD)
    local.check("1")
    inventory = Path(local.lake.location(inventory_file("a", "a1")))
    before = pq.read_table(inventory)
    write(local.folder / "a" / "letter", b"the second edition", day=2)
    local.check("2", "a")
    name = inventory_file("a", "a2")  # as if the newest listing were the older one
    keep_table(local.lake, name, before)
    row = local.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("changed_meanwhile", [])
    assert row["diagnosis_rests_on"].startswith("the source was another one when it was read on ")


def test_a_missing_object_has_no_diagnosis_but_what_is_known_of_it(local: Archive) -> None:
    write(local.folder / "a" / "new", GOOD)
    local.check("1")
    (local.folder / "b" / "letter").unlink()
    local.check("2")
    found = local.diagnose()
    today = f"{local.checks('b', '1')['letter']['checked_at']:%Y-%m-%d}"
    unchanged = f"the source's bytes have not changed since its first check of {today}"
    assert [(row["diagnosis"], row["damaged"]) for row in found.values()] == [(None, []), (None, [])]
    assert found["letter"]["last_agreed_at"] == local.checks("b", "1")["letter"]["checked_at"]
    assert found["new"]["last_agreed_at"] is None
    assert found["letter"]["diagnosis_rests_on"] == (
        f"the replica had it on {today}, and no delete marker of it is known; {unchanged}"
    )
    assert found["new"]["diagnosis_rests_on"] == f"no check of it in the replica is known; {unchanged}"
