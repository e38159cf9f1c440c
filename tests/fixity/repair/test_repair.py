"""A repair: only a proved copy replaces a bad one, nothing newer is overwritten, and no bad bytes are
lost.
"""

from __future__ import annotations

from typing import Any

import pytest

from fixity.buckets import ListedObject, Sink, open_bucket
from fixity.catalog.exclude import QUARANTINE
from fixity.incidents.state import incidents_now
from fixity.repair import repair
from fixity.repair.lease import RepairBusy, only_repair
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import GOOD, Places
from tests.fixity.support import listed, sha256

KINDS = [
    ("directory", "directory"),
    ("directory", "s3"),
    ("s3", "directory"),
    ("s3", "s3"),
    ("s3", "elsewhere"),
    ("s3", "versions"),
]


def kept_aside(pair: Places, bucket: str) -> dict[str, bytes]:
    return {key: pair.get(bucket, key) for key in pair.keys(bucket) if key.startswith(QUARANTINE)}


@pytest.mark.parametrize(("source", "replica"), KINDS)
def test_a_bad_copy_is_replaced_and_checked_and_its_incident_closes(
    places: MakePlaces, source: str, replica: str
) -> None:
    pair = places(source, replica)
    pair.both("letters/1 & 2.txt", "other.txt")
    bad = pair.corrupt("b", "letters/1 & 2.txt")
    pair.check("b")
    assert [each.state for each in pair.open_incidents] == ["open"]

    repaired = pair.repair()

    assert pair.get("b", "letters/1 & 2.txt") == GOOD
    assert [repaired.is_right(each) for each in repaired.done] == [True]
    assert pair.open_incidents == []
    assert [each.state for each in incidents_now(pair.lake)] == ["closed"]
    if replica == "versions":
        assert kept_aside(pair, "b") == {}
        (older,) = [
            each["VersionId"]
            for each in pair.s3.list_object_versions(Bucket=pair.real["b"])["Versions"]
            if not each["IsLatest"]
        ]
        answer = pair.s3.get_object(Bucket=pair.real["b"], Key="letters/1 & 2.txt", VersionId=older)
        assert answer["Body"].read() == bad
    else:
        ((name, kept),) = kept_aside(pair, "b").items()
        assert (name.endswith("/letters/1 & 2.txt"), kept) == (True, bad)
    reader = open_bucket(pair.catalog, pair.catalog.buckets["b"])
    pair.check("b")  # its inventory has no row for what was set aside
    reader.close()
    assert pair.open_incidents == []


def test_its_checks_are_in_the_ledgers(places: MakePlaces) -> None:
    pair = places("s3", "directory")
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    with pair.run() as run:
        repair(pair.order(), run)
    (row,) = pair.ledger("b", run.run_id)
    assert (row["verdict"], row["expected"], row["expected_from"]) == ("matched", sha256(GOOD), "first_seen")
    (proof,) = pair.ledger("a", f"{run.run_id}-proofs")
    assert (proof["verdict"], proof["checksum"]) == ("matched", sha256(GOOD))


@pytest.mark.parametrize(("source", "replica"), [("s3", "directory"), ("directory", "s3"), ("s3", "s3")])
def test_a_missing_copy_is_put_back(places: MakePlaces, source: str, replica: str) -> None:
    pair = places(source, replica)
    pair.both("folder/k")
    pair.delete("b", "folder/k")
    pair.opened("folder/k")
    pair.repair()
    assert (pair.get("b", "folder/k"), kept_aside(pair, "b"), pair.open_incidents) == (GOOD, {}, [])


def test_a_plan_writes_nothing(places: MakePlaces) -> None:
    pair = places("s3", "s3")
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    before = {file.name for file in pair.lake.list("")}
    (planned,) = pair.plan()
    assert (planned.damaged, planned.good, planned.size, planned.by_store) == ("b", "a", len(GOOD), True)
    assert (planned.bad_bytes, planned.refused) == ("quarantine", None)
    assert planned.evidence == f"SHA256 {sha256(GOOD)} by the first check of it"
    assert pair.get("b", "k") == bad
    assert {name for name in (file.name for file in pair.lake.list("")) if "incidents/" in name} <= before


def test_a_good_copy_that_is_bad_too_is_not_copied(places: MakePlaces) -> None:
    pair = places("s3", "elsewhere")
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    pair.corrupt("a", "k")
    (done,) = pair.repair().done
    assert "the copy of a is not as expected either" in str(done.refused)
    assert (pair.get("b", "k"), len(pair.open_incidents)) == (bad, 1)


def test_a_good_copy_that_is_newer_than_its_check_proves_nothing(places: MakePlaces) -> None:
    pair = places("s3", "s3")
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    pair.put("a", "k", b"a newer version")
    (done,) = pair.repair().done
    assert "nothing is known that proves the copy of a" in str(done.refused)
    assert pair.get("b", "k") == bad


class Meanwhile:
    """A bucket in which something happens after an object is read."""

    def __init__(self, reader: Any, happens: Any) -> None:  # noqa: ANN401
        self._reader, self._happens = reader, happens

    def read(self, item: ListedObject, sink: Sink) -> None:
        self._reader.read(item, sink)
        self._happens()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._reader, name)


@pytest.mark.parametrize(("source", "replica"), [("s3", "s3"), ("s3", "elsewhere"), ("s3", "directory")])
@pytest.mark.parametrize("looks", [True, False])
def test_what_is_newer_is_never_overwritten(
    places: MakePlaces, source: str, replica: str, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the look before the write; and where that is too early, by the precondition of the write itself."""
    pair = places(source, replica)
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    with pair.run() as run:
        good, damaged = run.sides["a"], run.sides["b"]
        object.__setattr__(good, "reader", Meanwhile(good.reader, lambda: pair.put("b", "k", b"newer")))
        if not looks:
            planned = damaged.reader.find("k")
            object.__setattr__(damaged, "reader", Meanwhile(damaged.reader, lambda: None))
            monkeypatch.setattr(damaged.reader, "find", lambda key: planned, raising=False)
        (done,) = repair(pair.order(quarantine=looks), run).done
    assert "it was not overwritten" in str(done.refused)
    assert pair.get("b", "k") == b"newer"


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
    with pair.run() as first, only_repair(first), pytest.raises(RepairBusy, match=first.run_id):
        pair.repair()
    pair.repair()
    assert pair.get("b", "k") == GOOD


def test_versions_cannot_be_repaired_by_a_copy(places: MakePlaces) -> None:
    pair = places("versions", "versions", settings={"versions": "all"})
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    (planned,) = pair.plan()
    assert "S3 Batch Replication" in str(planned.refused)


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
