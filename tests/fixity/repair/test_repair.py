"""A repair: only a proved copy replaces a bad one, nothing newer is overwritten, and no bad bytes are
lost.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixity.buckets import ListedObject, Sink, open_bucket
from fixity.catalog.exclude import QUARANTINE
from fixity.incidents.closing import close_right
from fixity.incidents.state import incidents_now
from fixity.lake.paths import stats_file
from fixity.ledger.fold import settings_of
from fixity.repair import make_plan, repair
from fixity.repair.lease import RepairBusy, only_repair
from fixity.reports.pair import make_report
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import GOOD, Places
from tests.fixity.support import listed, sha256

KINDS = [("directory", "s3"), ("s3", "directory"), ("s3", "s3"), ("s3", "elsewhere"), ("s3", "versions")]


def kept_aside(pair: Places, bucket: str) -> dict[str, bytes]:
    return {key: pair.get(bucket, key) for key in pair.keys(bucket) if key.startswith(QUARANTINE)}


@pytest.mark.parametrize(("source", "replica"), KINDS)
def test_a_bad_and_a_missing_copy_are_replaced_and_checked_and_the_incidents_close(
    places: MakePlaces, source: str, replica: str
) -> None:
    pair = places(source, replica)
    pair.both("letters/1 & 2.txt", "gone/k", "other.txt")
    bad = pair.corrupt("b", "letters/1 & 2.txt")
    pair.delete("b", "gone/k")
    pair.check("b")
    pair.opened("gone/k")
    assert [each.state for each in pair.open_incidents] == ["open", "open"]

    gone, damaged = pair.plan()
    assert (gone.bad_bytes, gone.refused, damaged.refused) == (None, None, None)
    assert damaged.bad_bytes == ("version" if replica == "versions" else "quarantine")
    assert damaged.by_store == (source == "s3" and replica in ("s3", "versions"))
    assert damaged.evidence == f"SHA256 {sha256(GOOD)} by the first check of it"
    assert pair.get("b", "letters/1 & 2.txt") == bad  # a plan writes nothing

    with pair.run() as run:
        repaired = repair(pair.order(), run)
    assert [repaired.is_right(each) for each in repaired.done] == [True, True]
    assert (pair.get("b", "letters/1 & 2.txt"), pair.get("b", "gone/k")) == (GOOD, GOOD)
    assert [each.state for each in incidents_now(pair.lake)] == ["closed", "closed"]
    for row in pair.ledger("b", run.run_id):
        assert (row["verdict"], row["expected"], row["expected_from"]) == (
            "matched",
            sha256(GOOD),
            "first_seen",
        )
    proofs = pair.ledger("a", f"{run.run_id}-proofs")
    assert [(row["key"], row["verdict"]) for row in proofs] == [
        ("gone/k", "matched"),
        ("letters/1 & 2.txt", "matched"),
    ]
    if replica == "versions":
        assert kept_aside(pair, "b") == {}
        versions = pair.s3.list_object_versions(Bucket=pair.real["b"], Prefix="letters/")["Versions"]
        (older,) = [each["VersionId"] for each in versions if not each["IsLatest"]]
        answer = pair.s3.get_object(Bucket=pair.real["b"], Key="letters/1 & 2.txt", VersionId=older)
        assert answer["Body"].read() == bad
    else:
        ((name, kept),) = kept_aside(pair, "b").items()
        assert (name.endswith("/letters/1 & 2.txt"), kept) == (True, bad)
    pair.check("b")
    assert pair.open_incidents == []


def test_a_good_copy_that_is_bad_too_is_not_copied(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    pair.corrupt("a", "k")
    (done,) = pair.repair().done
    assert "the copy of a is not as expected either" in str(done.refused)
    assert (pair.get("b", "k"), len(pair.open_incidents)) == (bad, 1)
    assert done.is_damaged_too
    assert done.found is not None
    (read,) = pair.ledger("a", done.found["run_id"][0].as_py() + "-proofs")  # what was read is kept
    assert (read["key"], read["verdict"], read["reads"]) == ("k", "differs", 2)


def test_a_copy_that_was_bad_too_is_the_good_one_once_a_check_has_found_it_right_again(
    places: MakePlaces,
) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    for bucket in ("a", "b"):
        pair.corrupt(bucket, "k")
    pair.check()
    (done,) = (each for each in pair.repair().done if each.planned.damaged == "b")
    assert "the copy of a was found to be bad too" in str(done.refused)
    pair.corrupt("a", "k")  # the same bits again: somebody has put it back
    pair.check("a")
    newest = max(pair.lake.list("checksums/a/"), key=lambda file: file.name).name
    close_right(pair.lake, "a", Path(pair.lake.location(newest)), "check")
    (done,) = (each for each in pair.repair().done if each.planned.damaged == "b")
    assert (done.refused, pair.get("b", "k")) == (None, GOOD)


def test_a_good_copy_that_is_newer_than_its_check_proves_nothing(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    pair.put("a", "k", b"a newer version")
    (done,) = pair.repair().done
    assert "nothing is known that proves the copy of a" in str(done.refused)
    assert pair.get("b", "k") == bad


class Meanwhile:
    """A bucket in which something happens after an object is read."""

    def __init__(self, reader: Any, happens: Any) -> None:
        self._reader, self._happens = reader, happens

    def read(self, item: ListedObject, sink: Sink) -> None:
        self._reader.read(item, sink)
        self._happens()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@pytest.mark.parametrize(
    ("replica", "looks"), [("s3", False), ("elsewhere", False), ("directory", False), ("directory", True)]
)
def test_what_is_newer_is_never_overwritten(
    places: MakePlaces, replica: str, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the look before the write; and where that is too early, by the precondition of the write itself."""
    pair = places("s3", replica)
    pair.both("gone", "k")
    pair.corrupt("b", "k")
    pair.delete("b", "gone")
    pair.check("b")
    pair.opened("gone")

    def upload_newer() -> None:
        pair.put("b", "k", b"newer")
        pair.put("b", "gone", b"newer")

    with pair.run() as run:
        good, damaged = run.sides["a"], run.sides["b"]
        object.__setattr__(good, "reader", Meanwhile(good.reader, upload_newer))
        if not looks:
            planned = {key: damaged.reader.find(key) for key in ("k", "gone")}
            object.__setattr__(damaged, "reader", Meanwhile(damaged.reader, lambda: None))
            monkeypatch.setattr(damaged.reader, "find", planned.get, raising=False)
        done = repair(pair.order(quarantine=looks), run).done
    assert ["it was not overwritten" in str(each.refused) for each in done] == [True, True]
    assert (pair.get("b", "k"), pair.get("b", "gone")) == (b"newer", b"newer")


class Flips:
    """A bucket of which the first read gives a wrong byte."""

    def __init__(self, reader: Any) -> None:
        self._reader, self.flips = reader, 1

    def read(self, item: ListedObject, sink: Sink) -> None:
        if self.flips:
            self.flips -= 1
            sink.update(memoryview(bytes(item.size)))
        else:
            self._reader.read(item, sink)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def test_a_wrong_read_of_either_copy_is_neither_copied_nor_believed(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    with pair.run() as run:
        for side in run.sides.values():
            object.__setattr__(side, "reader", Flips(side.reader))
        (done,) = repair(pair.order(), run).done
        assert [side.reader.flips for side in run.sides.values()] == [0, 0]  # type: ignore[attr-defined]
    assert (done.refused, pair.get("b", "k"), pair.open_incidents) == (None, GOOD, [])
    assert [row["reads"] for row in pair.ledger("b", run.run_id)] == [2]
    assert [row["reads"] for row in pair.ledger("a", f"{run.run_id}-proofs")] == [2]


def test_what_was_seen_only_once_is_not_repaired(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    pair.delete("b", "k")
    pair.opened("k", confirmed=False)
    assert "not looked at twice" in str(pair.repair().done[0].refused)
    assert pair.keys("b") == set()


def test_a_source_that_changes_after_it_is_proved_is_not_copied(places: MakePlaces) -> None:
    pair = places("s3", "s3")
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    with pair.run() as run:
        good = run.sides["a"]
        object.__setattr__(good, "reader", Meanwhile(good.reader, lambda: pair.put("a", "k", b"newer")))
        (done,) = repair(pair.order(), run).done
    assert done.refused
    assert pair.get("b", "k") == bad


def test_without_a_diagnosis_a_person_says_which_copy_is_good_and_why(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.put("a", "k")
    pair.put("b", "k", b"other bytes")
    pair.check()
    pair.opened(
        "k", bucket=None, found=f"{sha256(GOOD)},SHA256:{sha256(b'other bytes')}", diagnosis="cannot_tell"
    )
    assert "nothing says which copy is good (cannot_tell)" in str(pair.plan()[0].refused)
    assert pair.plan(take_from="source")[0].refused
    pair.repair(take_from="source", reason="the depositor sent it again")
    assert (pair.get("b", "k"), pair.open_incidents) == (GOOD, [])
    (incident,) = incidents_now(pair.lake)
    assert "the depositor sent it again" in [event.reason for event in incident.events]


def test_a_copy_that_is_known_to_be_bad_is_not_planned_to_be_the_good_one(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    pair.corrupt("a", "k")
    pair.corrupt("b", "k")
    pair.check()
    (replica,) = (each for each in pair.plan() if each.damaged == "b")
    assert (replica.refused or "").startswith("the copy of a was found to be bad too (incident ")


def test_a_copy_of_other_bytes_than_the_incident_expects_is_not_made(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.put("a", "k", b"a newer version")
    pair.put("b", "k", b"an old and bad one")
    pair.check()
    pair.opened("k", found=sha256(b"an old and bad one"))
    assert "other bytes than the incident expects" in str(pair.plan()[0].refused)
    assert pair.repair().done[0].refused
    assert pair.get("b", "k") == b"an old and bad one"


def test_a_copy_that_was_repaired_and_is_right_is_left_alone_while_its_incident_is_open(
    places: MakePlaces,
) -> None:
    pair = places("directory", "directory")
    pair.both("k", "other")
    pair.corrupt("b", "k")
    pair.corrupt("b", "other")
    pair.corrupt("a", "other")
    pair.check("b")
    (incident,) = pair.open_incidents
    assert len(incident.objects) == 2
    pair.repair()
    assert pair.get("b", "k") == GOOD and len(pair.open_incidents) == 1
    assert [each.key for each in pair.plan()] == ["other"]
    pair.corrupt("b", "k")
    pair.check("b")
    assert [each.key for each in pair.plan()] == ["k", "other"]  # new damage is repaired


def test_nobody_overrides_a_diagnosis(places: MakePlaces) -> None:
    pair = places("directory", "directory", pair={"repair": "both"})
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    (planned,) = pair.plan(take_from="replica", reason="I like it better")
    assert "by the diagnosis" in str(planned.refused)


def test_the_catalog_says_where_a_repair_may_write(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    bad = pair.corrupt("a", "k")
    pair.check("a")
    (done,) = pair.repair().done
    assert "pairs.p.repair is `replica`" in str(done.refused)
    pair.pair["repair"] = "never"
    assert "pairs.p.repair is `never`" in str(pair.repair().done[0].refused)
    assert pair.get("a", "k") == bad
    pair.pair["repair"] = "both"
    pair.repair()
    assert (pair.get("a", "k"), pair.open_incidents) == (GOOD, [])


def test_bad_bytes_are_not_kept_if_nobody_wants_them(places: MakePlaces) -> None:
    pair = places("directory", "s3")
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    pair.repair(quarantine=False)
    assert (pair.get("b", "k"), pair.keys("b")) == (GOOD, {"k"})


def test_a_second_repair_at_once_says_so_and_ends(places: MakePlaces) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    with (
        pair.run() as first,
        only_repair(first),
        pytest.raises(RepairBusy, match=f"is being repaired by the run {first.run_id}"),
    ):
        pair.repair()
    pair.repair()
    assert pair.get("b", "k") == GOOD


def test_where_most_objects_are_wrong_nothing_is_repaired_without_a_person_s_reason(
    places: MakePlaces,
) -> None:
    """The catalog may name the wrong directory."""
    pair = places("directory", "directory")
    keys = [f"k{number}" for number in range(5)]
    pair.both(*keys, "kept")
    for key in keys:
        pair.delete("b", key)
        pair.opened(key)
    pair.check()
    make_report(pair.lake, pair.catalog.pairs["p"], settings_of(pair.catalog.buckets["a"]), "run")
    refused = {each.refused for each in pair.plan()}
    assert refused == {each.refused for each in pair.repair().done}
    (why,) = refused
    assert why and why.startswith(
        "by the newest report of p, 5 of 6 objects differ or are missing. Look whether"
    )
    assert pair.keys("b") == {"kept"}
    assert [each.refused for each in pair.plan(reason="the disk of b was lost")] == [None] * 5
    pair.lake.put_text(stats_file("p", None), "{", replace=True)
    assert "cannot be read: run fixity verify" in str(pair.plan()[0].refused)
    pair.put("b", "k0")
    pair.check("b")
    make_report(pair.lake, pair.catalog.pairs["p"], settings_of(pair.catalog.buckets["a"]), "run")
    assert {each.refused for each in pair.plan() if each.key != "k0"} == {None}  # few enough to be seen


def test_a_version_is_not_repaired_by_a_copy_and_what_helps_is_said(places: MakePlaces) -> None:
    pair = places("versions", "versions", settings={"versions": "all"})
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    (planned,) = pair.plan()
    assert "copy its object onto itself there" in str(planned.refused)
    pair.opened("missing", version="v1")
    assert "have S3 Batch Replication copy this version" in str(pair.plan()[1].refused)


@pytest.mark.parametrize("replica", ["s3", "versions"])
def test_in_a_pair_that_matches_versions_objects_without_version_ids_are_repaired_as_long_as_they_get_none(
    places: MakePlaces, replica: str
) -> None:
    pair = places("s3", "s3", settings={"versions": "all"}, pair={"match": "version"})
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    if replica == "versions":
        versions: Any = {"Status": "Enabled"}
        pair.s3.put_bucket_versioning(Bucket=pair.real["b"], VersioningConfiguration=versions)
        assert "a copy has an id of its own" in str(pair.repair().done[0].refused)
        assert pair.get("b", "k") == bad
        return
    repaired = pair.repair()
    assert [repaired.is_right(each) for each in repaired.done] == [True]
    assert (pair.get("b", "k"), pair.open_incidents) == (GOOD, [])


def test_what_was_set_aside_is_in_no_listing(places: MakePlaces) -> None:
    pair = places("directory", "s3")
    pair.both("k")
    pair.put("b", f"{QUARANTINE}run/k", b"bad")
    pair.put("a", f"{QUARANTINE}run/k", b"bad")
    pair.check()
    for bucket in ("a", "b"):
        reader = open_bucket(pair.catalog, pair.catalog.buckets[bucket])
        assert f"{QUARANTINE}run/k" in {item.key for item in listed(reader)}
        reader.close()
        newest = max(
            file.name for file in pair.lake.list(f"checksums/{bucket}/") if file.name.endswith("parquet")
        )
        rows = pair.ledger(bucket, newest.removeprefix(f"checksums/{bucket}/").removesuffix(".parquet"))
        assert [row["key"] for row in rows] == ["k"]


def test_a_bad_copy_that_the_source_cannot_repair_is_taken_from_another_replica_that_is_as_expected(
    places: MakePlaces,
) -> None:
    pair = places("directory", "s3", "directory")
    for bucket in "abc":
        for key in ("k", "other bytes there", "there too"):
            pair.put(bucket, key)
        if bucket == "c":
            pair.put(bucket, "other bytes there", b"never the same")
        pair.check(bucket)
    for key in ("k", "other bytes there", "there too"):
        pair.corrupt("b", key)
    for key in ("k", "other bytes there"):
        pair.delete("a", key)
    pair.check("b")
    plans = {each.key: each for each in pair.plan()}
    assert {key: (each.good, each.refused is None) for key, each in plans.items()} == {
        "k": ("c", True),
        "other bytes there": ("a", False),
        "there too": ("a", True),
    }
    assert plans["other bytes there"].refused == "a has no such object"
    repaired = pair.repair()
    assert {each.planned.key for each in repaired.done if repaired.is_right(each)} == {"k", "there too"}
    assert pair.get("b", "k") == pair.get("b", "there too") == GOOD
    assert pair.keys("c") == {"k", "other bytes there", "there too"}  # nothing was written there


def test_what_the_source_lacks_is_taken_from_a_replica_only_if_its_other_replicas_have_the_same(
    places: MakePlaces,
) -> None:
    pair = places("directory", "directory", "directory", pair={"repair": "both"})
    for bucket in "bc":
        for key in ("alike", "differ", "unchecked"):
            pair.put(bucket, key, b"other bytes" if (bucket, key) == ("c", "differ") else GOOD)
        if bucket == "b":
            pair.put("b", "one")
        else:
            (pair.folder / "c" / "unchecked").unlink()
    for bucket in "abc":
        pair.check(bucket)
    pair.put("c", "unchecked")
    for key in ("alike", "differ", "one", "unchecked"):
        pair.opened(key, bucket="a")
    plans = {each.key: each.refused for each in pair.plan()}
    why = "a has no such object, and it is not known whether the copy of c is the same as that of b"
    assert {key: refused and refused.partition(":")[0] for key, refused in plans.items()} == {
        "alike": None,
        "differ": why,
        "one": None,
        "unchecked": why,
    }
    with pair.run() as run:
        kept = {name: side for name, side in run.sides.items() if name != "c"}
        away = make_plan(pair.order(), replace(run, sides=kept, away=["c"]), incidents_now(pair.lake))
    assert {each.refused and each.refused.partition(":")[0] for each in away} == {why}
    by_person = pair.repair(take_from="replica", reason="seen")
    assert {each.planned.key for each in by_person.done if by_person.is_right(each)} == plans.keys()
