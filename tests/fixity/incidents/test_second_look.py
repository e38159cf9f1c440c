"""The second look at a pair's suspects: flips in one read, objects that are there, limits, interruptions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from fixity.buckets import (
    DELETED,
    BucketReader,
    BucketUnreachable,
    ListedObject,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
)
from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.incidents import second_look
from fixity.incidents.one_side import OneSide
from fixity.incidents.second_look import SecondLook
from fixity.lake import LocalLake
from fixity.ledger import damage, known_so_far
from fixity.ledger.damage import Damage, damaged_now, keep_with_snapshot
from fixity.ledger.fold import settings_of
from fixity.ledger.fold_some import Known, known_of_some
from fixity.ledger.inventory import newest_inventory
from fixity.ledger.snapshot import in_force
from fixity.reports.pair import PairReport, make_report
from fixity.rolling.egress import EgressBudget, egress_left
from fixity.tables import CHECKSUMS, Provenance
from tests.fixity.reports.rows import read_csv
from tests.fixity.support import Unsteady, flipped, inventory_and_checks

NOT_TWICE = "suspect, not looked at twice"


class Two:
    """A pair of two buckets in memory, `a` and its replica `b`."""

    def __init__(self, folder: Path, **more: object) -> None:
        for name in "ab":
            (folder / name).mkdir()
            (folder / name / "a file").touch()  # else its disk may not be mounted
        said = {
            "lake": "./lake",
            "buckets": {name: {"path": f"./{name}"} for name in "ab"},
            "pairs": {"a": {"replica": "b", "replication_lag": "0s"}},
            **more,
        }
        (folder / "fixity.yaml").write_text(yaml.safe_dump(said))
        self.catalog = load_catalog(folder / "fixity.yaml")
        self.lake = LocalLake(folder / "lake")
        self.buckets = {"a": Unsteady(), "b": Unsteady()}
        self.unreachable: dict[str, str] = {}
        self.look: SecondLook | None = None
        self.reports = 0

    def put(self, key: str, body: bytes = b"the same", replica: bytes | None = None) -> None:
        self.buckets["a"].put(key, body)
        self.buckets["b"].put(key, body if replica is None else replica)

    def check(self, run_id: str = "first") -> None:
        """List and hash both, and forget what was read."""
        for name, store in self.buckets.items():
            inventory_and_checks(store, self.lake, f"{run_id}-{name}", name)
            store.read_keys.clear()

    def report(self) -> PairReport:
        self.reports += 1
        self.look = SecondLook(
            self.lake, self.catalog, self.catalog.pairs["a"], self, f"report-{self.reports}"
        )
        return make_report(
            self.lake, self.catalog.pairs["a"], settings_of(self.catalog.buckets["a"]), "run", self.look
        )

    def rows(self, report: PairReport) -> dict[str, tuple[str, str]]:
        """Status and detail of each row, as the CSV has them."""
        return {
            row["key"]: (row["status"], row["detail"])
            for row in read_csv(Path(self.lake.location(report.csv)))
        }

    def checks(self, bucket: str) -> list[dict[str, Any]]:
        """The checks of second looks in a bucket's ledger."""
        files = [each.name for each in self.lake.list(f"checksums/{bucket}/") if "-again-" in each.name]
        return [row for file in files for row in pq.read_table(self.lake.location(file)).to_pylist()]

    @property
    def read(self) -> dict[str, list[str]]:
        """The keys that were read since the check."""
        return {name: sorted(store.read_keys) for name, store in self.buckets.items()}

    # --- as the catalog's stores ---------------------------------------------------------------

    @contextmanager
    def open(self, bucket: str) -> Iterator[BucketReader]:
        if bucket in self.unreachable:
            raise BucketUnreachable(self.unreachable[bucket])
        yield self.buckets[bucket]

    def threads(self, bucket: str) -> int:
        return 2

    def etag_is_md5(self, bucket: str) -> Callable[[str, str | None], bool]:
        return lambda key, version_id: True


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_of_200_flips_in_one_first_read_none_is_called_damage(two: Two) -> None:
    for number in range(200):
        key, body = f"{number:03}", f"the bytes of {number}".encode()
        two.put(key, body)
        two.buckets["ab"[number % 2]].answers[key] = [flipped(body, number % 8)]
    two.check()
    report = two.report()
    assert report.outcome.counts.matches == report.outcome.rows == 200
    assert report.damaged == {"a": [], "b": []}
    assert two.look and (len(two.look.looked), two.look.turned_out_right(report.outcome.counts)) == (200, 200)
    # The side that was read wrong contradicts its first read, and is read a third time.
    assert [len(keys) for keys in two.read.values()] == [300, 300]
    wrong, right = ([row for row in two.checks("a") if row["key"] == key] for key in ("000", "001"))
    assert [(row["verdict"], row["expected_from"], row["error_code"]) for row in wrong] == [
        ("matched", "other-copy", "UnstableRead")
    ]
    assert [(row["verdict"], row["expected_from"], row["reads"]) for row in right] == [
        ("matched", "first_seen", 2)
    ]
    two.report()
    assert [len(keys) for keys in two.read.values()] == [300, 300]  # nothing is suspect any more
    assert two.lake.list("standing/") == []  # for a few objects, no bucket is folded


FAILS = ObjectUnreadable("Timeout", "slow")
ARCHIVED = ObjectSkipped("Archived", "in Glacier")


@dataclass
class Case:
    """An object of a pair, and what the report says of it.

    reads: how often the second look reads each side, without reads that fail. a, b: its bytes there, None for
    none. answers: to the reads of a side, instead of its bytes. then: what happens after the check.
    """

    status: str
    detail: str
    reads: tuple[int, int]
    a: bytes | None = b"the same"
    b: bytes | None = b"the same"
    answers: dict[str, list[bytes | Exception | None]] = field(default_factory=dict)
    then: Callable[[Two, str], object] = lambda two, key: None


CASES = {
    "ok": Case("ok", "", (0, 0)),
    "differs": Case("mismatch", "", (1, 1), b"one", b"two"),
    "flips at first": Case("ok", "", (2, 1), answers={"a": [b"other"]}),
    "flips at the second look": Case("mismatch", "", (2, 1), b"one", b"two", {"a": [None, b"two"]}),
    "differs from itself": Case(
        "failed_source",
        "the source could not be read: UnstableRead: two reads gave different bytes",
        (2, 1),
        answers={"a": [b"1", b"2", b"3"]},
    ),
    "fails at first": Case("ok", "", (1, 0), answers={"a": [FAILS]}),
    "fails at first, and differs": Case("mismatch", "", (2, 1), b"one", b"two", {"a": [FAILS]}),
    "fails": Case(
        "failed_replication",
        "the replica could not be read: Timeout: slow",
        (0, 0),
        answers={"b": [FAILS, FAILS]},
    ),
    "differs, and fails": Case(
        "mismatch", f"{NOT_TWICE}: Timeout: slow", (0, 1), b"one", b"two", {"a": [None, FAILS]}
    ),
    "differs, and is archived": Case(
        "mismatch", f"{NOT_TWICE}: Archived: in Glacier", (1, 0), b"one", b"two", {"b": [None, ARCHIVED]}
    ),
    "missing": Case("missing_replica", "", (0, 0), b=None),
    "not listed": Case(
        "ok", "", (0, 1), b=None, then=lambda two, key: two.buckets["b"].put(key, b"the same")
    ),
    "not listed, and differs": Case(
        "mismatch", "", (2, 1), a=None, then=lambda two, key: two.buckets["a"].put(key, b"another")
    ),
    "gone by now": Case(
        "not_checked",
        "not in the replica; the source was not checked: DeletedSinceListed",
        (0, 0),
        b=None,
        then=lambda two, key: two.buckets["a"].objects.pop((key, None)),
    ),
    "another one by now": Case(
        "not_checked",
        "not in the replica; the source was not checked: ChangedSinceListed",
        (0, 0),
        b=None,
        then=lambda two, key: two.buckets["a"].put(key, b"newer"),
    ),
}


def _put_all(two: Two, cases: Mapping[str, Case]) -> None:
    for key, case in cases.items():
        for name, body in (("a", case.a), ("b", case.b)):
            two.buckets[name].answers[key] = list(case.answers.get(name, []))
            if body is not None:
                two.buckets[name].put(key, body)


def test_each_suspect_gets_the_look_that_it_needs_all_of_them_together(two: Two) -> None:
    _put_all(two, CASES)
    two.check()
    for key, case in CASES.items():
        case.then(two, key)
    report = two.report()
    rows, read = two.rows(report), two.read
    assert {key: rows[key][0] for key in CASES} == {key: case.status for key, case in CASES.items()}
    assert {key: rows[key][1][: len(case.detail)] for key, case in CASES.items()} == {
        key: case.detail for key, case in CASES.items()
    }
    assert {key: (read["a"].count(key), read["b"].count(key)) for key in CASES} == {
        key: case.reads for key, case in CASES.items()
    }
    not_twice = {"differs, and fails", "differs, and is archived"}
    found = report.findings.to_pylist()
    assert {each["key"] for each in found if not each["looked"]} == not_twice
    assert [each["key"] for each in found] == report.suspects.column("key").to_pylist()
    assert report.damaged == {"a": [], "b": []}
    # The next report finds the same, and reads only what this one could not.
    for store in two.buckets.values():
        store.read_keys.clear()
    rows = two.rows(two.report())
    assert {key: rows[key][0] for key in CASES} == {key: case.status for key, case in CASES.items()}
    assert {*two.read["a"], *two.read["b"]} == not_twice


def _folded_rows(two: Two, bucket: str) -> list[dict[str, Any]]:
    """What the ledger has of a bucket's listed objects; when they were last listed is not asked."""
    with two.lake.workspace() as workspace:
        inventory = two.lake.fetch(newest_inventory(two.lake, bucket), workspace)
        rows = known_of_some(two.lake, two.catalog.buckets[bucket], inventory, workspace).rows
    found: list[dict[str, Any]] = rows.drop_columns(["last_listed_at"]).to_pylist()
    return found


def test_a_report_after_a_look_is_to_the_byte_the_one_that_is_made_anew_from_the_ledger(two: Two) -> None:
    settled = {key: case for key, case in CASES.items() if NOT_TWICE not in case.detail}
    _put_all(two, settled)
    two.check()
    for name in "ab":
        known_so_far(two.lake, name, settings_of(two.catalog.buckets[name]), f"fold-{name}")
    for key, case in settled.items():
        case.then(two, key)
    report = two.report()
    after_look = Path(two.lake.location(report.csv)).read_bytes()
    taken_in = {name: _folded_rows(two, name) for name in "ab"}
    two.lake.remove("standing/")
    for store in two.buckets.values():
        store.read_keys.clear()
    anew = two.report()
    assert Path(two.lake.location(anew.csv)).read_bytes() == after_look
    assert (anew.suspects, anew.findings, anew.damaged) == (report.suspects, report.findings, report.damaged)
    assert {name: _folded_rows(two, name) for name in "ab"} == taken_in
    assert two.read == {"a": [], "b": []}


def test_a_renamed_object_is_told_with_the_key_under_which_the_other_side_has_it(two: Two) -> None:
    two.put("same")
    for bucket, keys in (("a", ("here", "here too", "alone", "empty here")), ("b", ("there", "empty there"))):
        for key in keys:
            body = b"" if "empty" in key else key.encode() if key == "alone" else b"renamed"
            two.buckets[bucket].put(key, body)
    two.check()
    report = two.report()
    details = {key: detail for key, (_, detail) in two.rows(report).items() if detail}
    assert details == {
        "here": "the same bytes are under there, which only the replica has",
        "here too": "the same bytes are under there, which only the replica has",
        "there": "the same bytes are under here, which only the source has",
    }
    assert report.findings.column("looked").to_pylist() == [True] * 6  # it is no reason not to be looked at


@pytest.mark.parametrize("limits", [{"objects": 2}, {"bytes": 12}])
def test_what_is_beyond_the_limits_is_not_looked_at_and_says_so(
    tmp_path: Path, limits: dict[str, int]
) -> None:
    two = Two(tmp_path, second_look=limits)
    for key in "pqrs":
        two.put(key, b"one", replica=b"two")
    two.check()
    report = two.report()
    beyond = f"{NOT_TWICE}: `second_look` allows no more in this run"
    assert list(two.rows(report).values()) == [("mismatch", "")] * 2 + [("mismatch", beyond)] * 2
    assert two.read == {"a": ["p", "q"], "b": ["p", "q"]}
    assert report.findings.column("looked").to_pylist() == [True, True, False, False]


def test_what_was_never_read_or_is_missing_is_not_said_to_be_looked_at_once(tmp_path: Path) -> None:
    two = Two(tmp_path, second_look={"objects": 0})
    two.put("differs", b"one", replica=b"two")
    two.buckets["a"].put("missing", b"here only")
    two.put("unread")
    two.buckets["b"].answers["unread"] = [FAILS]
    two.check()
    rows = two.rows(two.report())
    why = "`second_look` allows no more in this run"
    assert rows == {
        "differs": ("mismatch", f"{NOT_TWICE}: {why}"),
        "missing": ("missing_replica", f"not asked for again: {why}"),
        "unread": (
            "failed_replication",
            f"the replica could not be read: Timeout: slow; not read again: {why}",
        ),
    }


class Together(Unsteady):
    """Its reads wait until the other side is read as well."""

    def __init__(self, both: threading.Barrier) -> None:
        super().__init__()
        self.both = both

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        self.both.wait(timeout=20)
        super().read_afresh(item, sink)


def test_both_sides_are_read_at_once(two: Two) -> None:
    both = threading.Barrier(2)
    two.buckets = {"a": Together(both), "b": Together(both)}
    two.put("k", b"one", replica=b"two")
    two.check()
    assert two.rows(two.report()) == {"k": ("mismatch", "")}


def test_an_interruption_ends_the_reads_of_both_sides(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step's own thread gets it while it waits for both sides, as from Dagster."""
    many = 60

    class Waits(Unsteady):
        def read_afresh(self, item: ListedObject, sink: Sink) -> None:
            assert two.look
            two.look._stop.wait(timeout=0.2)
            super().read_afresh(item, sink)

    two.buckets = {"a": Waits(), "b": Waits()}
    for number in range(many):
        two.put(f"{number:03}", b"one", replica=b"two")
    two.check()

    result, own = Future.result, threading.current_thread()

    def interrupted(self: Future[Any], timeout: float | None = None) -> object:
        looks = any(each.name.startswith("look") for each in threading.enumerate())
        if looks and threading.current_thread() is own:
            raise KeyboardInterrupt
        return result(self, timeout)

    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            two.report()
    assert len(two.read["a"]) < many / 2 and len(two.read["b"]) < many / 2
    assert not [each for each in threading.enumerate() if each.name.startswith(("look", "hash"))]


class Breaking(Unsteady):
    """Its second reads break off after two bytes."""

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        sink.update(memoryview(self.objects[item.key, item.version_id][1][:2]))
        raise ObjectUnreadable("ConnectionError", "it broke")


def test_what_a_look_read_counts_as_egress_though_its_check_is_not_kept(two: Two) -> None:
    """The check before says more than that the second read broke."""
    two.buckets["b"] = Breaking()
    two.put("p", b"one", replica=b"two")
    two.check()

    def left(*buckets: str) -> int:
        return egress_left(two.lake, [EgressBudget(100, buckets)], None, utc_now()).size

    assert (left("a"), left("b")) == (100 - 3, 100 - 3)
    two.report()
    assert two.checks("b") == []
    assert (left("a"), left("b"), left("a", "b")) == (100 - 6, 100 - 3 - 2, 100 - 6 - 5)
    later = utc_now() + timedelta(days=40)
    assert egress_left(two.lake, [EgressBudget(100, ("a", "b"))], None, later).size == 100


@pytest.mark.parametrize("stores", ["ss", "st"], ids=["one store", "two stores"])
def test_no_more_is_looked_at_twice_than_the_egress_of_a_store_allows(tmp_path: Path, stores: str) -> None:
    """What was read in the last thirty days counts too."""
    store = {"endpoint_url": "http://localhost:1", "region": "r"}
    first = 12 * len(set("ab" if stores == "ss" else "a"))
    two = Two(
        tmp_path,
        stores={"s": {**store, "monthly_egress": first + 6}, "t": store},
        buckets={name: {"store": of} for name, of in zip("ab", stores, strict=True)},
    )
    for key in "pqrs":
        two.put(key, b"one", replica=b"two")
    two.check()
    looked = 1 if stores == "ss" else 2
    beyond = f"{NOT_TWICE}: `monthly_egress` of the store 's' allows no more"
    assert list(two.rows(two.report()).values()) == [("mismatch", "")] * looked + [("mismatch", beyond)] * (
        4 - looked
    )
    assert two.read == {"a": list("pqrs")[:looked], "b": list("pqrs")[:looked]}


def test_a_mass_of_suspects_is_one_finding_and_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "MASS_ROWS", 5)
    two = Two(tmp_path, second_look={"objects": 3})
    for number in range(5):
        two.put(f"{number}", b"one", replica=b"two")
    two.check()
    said = f"{NOT_TWICE}: so many suspects are one finding"
    assert [detail for _, detail in two.rows(two.report()).values()] == [said] * 5
    assert two.read == {"a": [], "b": []}
    assert two.look and two.look.one_finding
    assert two.look.one_finding.startswith("5 of 5 rows say that something is wrong (5 mismatch): ")


def test_of_a_mass_of_suspects_those_that_a_look_before_has_confirmed_are_not_said_to_be_once_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Two(tmp_path, second_look={"objects": 2})
    for key in "klm":
        two.put(key, b"one", replica=b"two")
    two.check()
    assert [detail for _, detail in two.rows(two.report()).values()][:2] == ["", ""]
    monkeypatch.setattr(second_look, "MASS_ROWS", 3)
    said = f"{NOT_TWICE}: so many suspects are one finding"
    assert [detail for _, detail in two.rows(two.report()).values()] == ["", "", said]
    assert two.look and two.look.one_finding


def test_a_bucket_that_cannot_be_reached_leaves_its_rows_and_the_report_is_made(two: Two) -> None:
    two.put("k", b"one", replica=b"two")
    two.check()
    two.unreachable["b"] = "b: no rights"
    assert two.rows(two.report())["k"] == ("mismatch", f"{NOT_TWICE}: b: no rights")
    assert two.read == {"a": ["k"], "b": []}
    two.unreachable.clear()
    (file,) = (two.catalog.file.parent / "b").iterdir()
    file.unlink()
    assert "is empty or not there: mount its disk" in two.rows(two.report())["k"][1]
    file.touch()
    assert two.rows(two.report())["k"] == ("mismatch", "")
    assert two.read == {"a": ["k"], "b": ["k"]}


def test_a_bucket_that_becomes_unreachable_keeps_what_was_read_until_then(two: Two) -> None:
    for key in ("k", "l"):
        two.put(key, b"one", replica=b"two")
    two.check()
    two.threads = lambda bucket: 1  # type: ignore[method-assign]
    two.buckets["b"].answers["l"] = [BucketUnreachable("b: gone")]
    assert two.rows(two.report()) == {"k": ("mismatch", ""), "l": ("mismatch", f"{NOT_TWICE}: b: gone")}


def test_a_report_that_is_killed_goes_on_after_the_checks_that_were_kept(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.put("k", b"one", replica=b"two")
    two.check()
    keep = SecondLook._keep

    def keep_and_die(self: SecondLook, side: OneSide, checks: list[dict[str, Any]]) -> None:
        keep(self, side, checks)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SecondLook, "_keep", keep_and_die)
        with pytest.raises(KeyboardInterrupt):
            two.report()
    two.reports -= 1  # the step is tried again, with the same run id
    for store in two.buckets.values():
        store.read_keys.clear()
    assert two.rows(two.report())["k"] == ("mismatch", "")
    assert two.read == {"a": [], "b": ["k"]}


def test_a_report_tells_damage_after_both_snapshots_have_taken_in_the_new_checks(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.put("k", b"one", replica=b"two")
    two.check()
    awaited, taken_in, told = threading.Event(), list[str](), list[list[str]]()
    take_in, complete, known_damage = SecondLook._take_in, SecondLook.complete, damage.known_damage

    def take_in_late(self: SecondLook, name: str, *of: Any) -> None:
        assert awaited.wait(60)
        take_in(self, name, *of)
        taken_in.append(name)

    def say_that_it_is_awaited(self: SecondLook) -> None:
        if self._taken_in:
            awaited.set()
        complete(self)

    def tell(*of: Any) -> list[Damage]:
        told.append(sorted(taken_in))
        awaited.set()  # if it was not awaited, the threads end all the same
        return known_damage(*of)

    monkeypatch.setattr(SecondLook, "_take_in", take_in_late)
    monkeypatch.setattr(SecondLook, "complete", say_that_it_is_awaited)
    monkeypatch.setattr("fixity.reports.pair.known_damage", tell)
    two.report()
    assert told == [["replica", "source"]] * 2


def _known_of_b(two: Two) -> Known:
    """What the folded ledger of b has of its only object, before a run reads it again."""
    two.put("k")
    two.check()
    bucket = two.catalog.buckets["b"]
    known_so_far(two.lake, "b", settings_of(bucket), "fold")
    with two.lake.workspace() as workspace:
        inventory = two.lake.fetch(newest_inventory(two.lake, "b"), workspace)
        return known_of_some(two.lake, bucket, inventory, workspace)


def _keep_run_of_b(two: Two, run_id: str, after: int, known: Known | None = None, **check: object) -> None:
    """Keep another check of that object with the snapshot, so many microseconds after the first one."""
    first = Path(two.lake.location("checksums/b/first-b.parquet"))
    (row,) = pq.read_table(first).cast(CHECKSUMS).to_pylist()
    row |= {"run_id": run_id, "checked_at": row["checked_at"] + timedelta(microseconds=after), **check}
    schema = replace(Provenance.read(first), run_id=run_id).attach(CHECKSUMS)
    with two.lake.workspace() as workspace:
        file = workspace / "run.parquet"
        pq.write_table(pa.Table.from_pylist([row], schema), file)
        keep_with_snapshot(two.lake, two.catalog.buckets["b"], file, workspace, known)


FAILED = {"status": "failed", "checksum": None, "checksum_type": None, "verdict": "not_compared"}


def test_a_check_that_another_run_keeps_while_objects_are_read_again_is_not_lost(two: Two) -> None:
    known = _known_of_b(two)
    right = known.rows["baseline"][0].as_py()
    expected = {"expected": right, "expected_algorithm": "SHA256", "expected_from": "first_seen"}
    _keep_run_of_b(two, "other", 1, checksum="0" * 64, verdict="differs", **expected)
    _keep_run_of_b(two, "own", 2, known, **FAILED)
    snapshot = in_force(two.lake, "b")
    assert snapshot and [each.key for each in damaged_now(two.lake, snapshot)] == ["k"]


def test_the_rows_that_were_read_before_the_look_are_not_read_again(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = _known_of_b(two)
    monkeypatch.delattr(damage, "fold_keys")
    _keep_run_of_b(two, "own", 1, known, **FAILED)
    snapshot = in_force(two.lake, "b")
    assert snapshot
    (since,) = snapshot.since(two.lake)
    (row,) = pq.read_table(two.lake.location(since.name)).to_pylist()
    (before,) = known.rows.to_pylist()
    assert (row["failures"], row["status"], row["run_id"]) == (1, "failed", "own")
    assert {each: row[each] for each in ("baseline", "good_at", "verified_at", "listed")} == {
        each: before[each] for each in ("baseline", "good_at", "verified_at", "listed")
    }


@pytest.mark.parametrize("is_known", [True, False])
def test_an_object_that_a_look_found_gone_was_last_seen_when_it_was_listed(two: Two, is_known: bool) -> None:
    known = _known_of_b(two)
    gone = {**FAILED, "status": "skipped", "error_code": DELETED}
    _keep_run_of_b(two, "own", 1, known if is_known else None, **gone)
    snapshot = in_force(two.lake, "b")
    assert snapshot
    (since,) = snapshot.since(two.lake)
    (row,) = pq.read_table(two.lake.location(since.name)).to_pylist()
    assert row["error_code"] == DELETED
    assert row["last_listed_at"] == snapshot.provenance.listed_at
