"""What a new run takes over from interrupted ones: what is still true, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.buckets import ListedObject, Sink
from fixity.catalog import Algorithm
from fixity.clock import utc_now
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Plan, Reading, hash_shard, make_plan, plan_file, states_folder
from fixity.engines.stream.takeover import take_over
from fixity.lake import Lake, LocalLake
from fixity.ledger.judge import EXPECTATIONS
from fixity.tables import INVENTORY, Provenance
from tests.fixity.support import NOON, MemoryStore, keep_table, sha256, take_inventory

DAY = timedelta(days=1)
WRONG = "0" * 64


class Killed(BaseException):
    """The process is gone."""


class Bucket:
    """A bucket in memory, and runs over it that list anew, take over, and may be killed."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.store = _Mortal()
        self.time = NOON + DAY
        self.said: list[str] = []
        self.runs = 0

    def now(self) -> datetime:
        return self.time

    def run(
        self,
        expected: dict[str, list[dict[str, Any]]] | None = None,
        **chosen: Any,
    ) -> list[str]:
        """A run over the whole bucket; the keys that it read. A killed one leaves its scratch.

        Arguments: `expected` of some keys; `chosen`, fields of the plan.
        """
        self.runs += 1
        self.store.read_keys = []
        run_id = f"r{self.runs}"
        scratch = f"scratch/{run_id}/checksums/"
        algorithm: Algorithm = chosen.pop("algorithm", "SHA256")
        taken = take_inventory(
            self.store, self.lake, "b", run_id, now=self.now, place=chosen.pop("place", "here")
        )
        with self.lake.workspace() as workspace:
            objects = _expecting(self.lake.fetch(taken.file, workspace), expected or {}, workspace)
            plan = make_plan(f"{scratch}objects.parquet", objects, algorithm)
            plan = replace(plan, run_id=run_id, **chosen)
            found = take_over(self.lake, plan, objects, workspace, self.said.append, self.now)
            self.lake.put(plan.inventory, objects, replace=True, keep=True)
            if found:
                plan = replace(plan, taken=found.checks)
                found.keep(self.lake, scratch, plan)
            self.lake.put_text(plan_file(scratch), plan.to_json())
        try:
            for shard in plan.shards:
                reading = Reading(self.store, 1, chunk_size=10, now=self.now)
                hash_shard(reading, self.lake, scratch, plan, shard, run_id)
        except Killed:
            return self.store.read_keys
        keep_checksums(self.lake, scratch, plan, "b", run_id)
        self.lake.remove(scratch)
        return self.store.read_keys

    def rows(self) -> dict[str, dict[str, Any]]:
        """The newest run's rows, by key."""
        with self.lake.workspace() as workspace:
            table = pq.read_table(self.lake.fetch(f"checksums/b/r{self.runs}.parquet", workspace))
        return {row["key"]: row for row in table.to_pylist()}


class _Mortal(MemoryStore):
    """Dies at one object."""

    kill_at: str | None = None

    def read(self, item: ListedObject, sink: Sink) -> None:
        if item.key == self.kill_at:
            raise Killed
        super().read(item, sink)


def _expecting(objects: Path, expected: dict[str, list[dict[str, Any]]], workspace: Path) -> Path:
    """The objects with what is expected of them."""
    table = pq.read_table(objects)
    column = pa.array([expected.get(key) for key in table.column("key").to_pylist()], EXPECTATIONS.type)
    schema = Provenance.read(objects).attach(INVENTORY.append(EXPECTATIONS))
    file = workspace / "expecting.parquet"
    pq.write_table(table.append_column(EXPECTATIONS, column).cast(schema), file)
    return file


def expecting(algorithm: str, checksum: str) -> list[dict[str, Any]]:
    return [{"algorithm": algorithm, "checksum": checksum, "source": "api", "known_to_differ": False}]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Ten objects in shards of four and parts of two; the first run is killed at the seventh object."""
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 4)
    monkeypatch.setattr("fixity.engines.stream.shards.PART_OBJECTS", 2)
    made = Bucket(LocalLake(tmp_path))
    for number in range(10):
        made.store.put(f"k{number}", b"%d" % number)
    made.store.kill_at = "k6"
    made.run()
    made.store.kill_at = None
    return made


def test_a_new_run_reads_only_what_the_killed_one_has_not_kept(bucket: Bucket) -> None:
    bucket.time += DAY
    assert bucket.run() == ["k6", "k7", "k8", "k9"]
    rows = bucket.rows()
    assert {key: row["checksum"] for key, row in rows.items()} == {
        f"k{number}": sha256(b"%d" % number) for number in range(10)
    }
    assert {key: (row["run_id"], row["checked_at"]) for key, row in rows.items()} == {
        f"k{number}": ("r1", NOON + DAY) if number < 6 else ("r2", NOON + 2 * DAY) for number in range(10)
    }


def test_a_run_that_is_killed_too_hands_on_what_it_took_over(bucket: Bucket) -> None:
    bucket.store.kill_at = "k8"
    bucket.run()
    bucket.store.kill_at = None
    bucket.lake.remove("scratch/r1/")
    assert bucket.run() == ["k8", "k9"]
    assert {row["run_id"] for row in bucket.rows().values()} == {"r1", "r2", "r3"}


def test_after_a_run_that_ended_the_next_one_reads_everything(bucket: Bucket) -> None:
    bucket.run()
    assert len(bucket.run()) == 10
    assert {row["run_id"] for row in bucket.rows().values()} == {"r3"}


def test_objects_that_changed_are_read_and_new_ones_and_none_that_is_gone(bucket: Bucket) -> None:
    bucket.store.put("k1", b"another")
    bucket.store.put("k45", b"new")
    del bucket.store.objects["k3", None]
    assert bucket.run() == ["k1", "k45", "k6", "k7", "k8", "k9"]
    assert bucket.rows()["k1"]["checksum"] == sha256(b"another")
    assert "k3" not in bucket.rows()


@pytest.mark.parametrize(
    "other", [{"place": "there"}, {"selection": "a few"}, {"algorithm": "MD5"}, {"bucket": "another"}]
)
def test_of_another_place_selection_algorithm_or_bucket_nothing_is_taken_over(
    bucket: Bucket, other: dict[str, Any]
) -> None:
    assert len(bucket.run(**other)) == 10


@pytest.mark.parametrize(("days", "read"), [(29, 4), (31, 10)])
def test_a_check_older_than_scratch_is_kept_is_made_again(bucket: Bucket, days: int, read: int) -> None:
    bucket.time += days * DAY
    assert len(bucket.run()) == read


@pytest.mark.parametrize("column", ["status", "verdict"])
def test_a_check_that_failed_or_differs_is_made_again(bucket: Bucket, column: str) -> None:
    (part,) = [file.name for file in bucket.lake.list("scratch/r1/") if "/000000000002-" in file.name]
    with bucket.lake.workspace() as workspace:
        table = pq.read_table(bucket.lake.fetch(part, workspace))
    at = table.column_names.index(column)
    said = pa.array(["failed" if column == "status" else "differs", table.column(column)[1].as_py()])
    keep_table(bucket.lake, part, table.set_column(at, table.schema.field(column), said))
    assert bucket.run() == ["k2", "k6", "k7", "k8", "k9"]


def test_a_later_check_by_another_run_is_not_hidden_by_an_earlier_one(bucket: Bucket) -> None:
    bucket.time += DAY
    with bucket.lake.workspace() as workspace:
        part = next(file.name for file in bucket.lake.list("scratch/r1/") if "/000000000002-" in file.name)
        table = pq.read_table(bucket.lake.fetch(part, workspace))
    at = pa.array([NOON + 2 * DAY] * 2, table.schema.field("checked_at").type)
    later = table.set_column(
        table.column_names.index("checked_at"), table.schema.field("checked_at"), at
    ).slice(0, 1)
    provenance = Provenance("b", "rolling", "r1", NOON, partial=True)
    keep_table(bucket.lake, "checksums/b/rolling.parquet", later.cast(provenance.attach(later.schema)))
    assert bucket.run() == ["k2", "k6", "k7", "k8", "k9"]


def test_where_a_later_file_of_the_ledger_cannot_be_read_nothing_is_taken_over(bucket: Bucket) -> None:
    bucket.lake.put_text("checksums/b/damaged.parquet", "no table")
    assert len(bucket.run()) == 10
    assert any("nothing is taken over" in text and "damaged.parquet" in text for text in bucket.said)


def test_a_damaged_part_is_named_and_its_objects_are_read(bucket: Bucket) -> None:
    (part,) = [file.name for file in bucket.lake.list("scratch/r1/") if "/000000000002-" in file.name]
    Path(bucket.lake.location(part)).write_bytes(b"damaged")
    assert bucket.run() == ["k2", "k3", "k6", "k7", "k8", "k9"]
    assert any(part in text and "read again" in text for text in bucket.said)


def test_a_check_that_is_taken_over_is_compared_with_what_is_expected_now(bucket: Bucket) -> None:
    expected = {"k0": expecting("SHA256", sha256(b"0")), "k1": expecting("SHA256", WRONG)}
    assert bucket.run(expected) == ["k1", "k6", "k7", "k8", "k9"]  # what differs is read once more
    rows = bucket.rows()
    assert [rows[key]["verdict"] for key in ("k0", "k1", "k2")] == ["matched", "differs", "registered"]
    assert (rows["k1"]["expected"], rows["k1"]["expected_from"]) == (WRONG, "api")
    assert (rows["k1"]["reads"], rows["k1"]["run_id"]) == (2, "r2")


def test_an_object_is_read_where_an_algorithm_is_expected_that_was_not_computed(bucket: Bucket) -> None:
    assert sorted(set(bucket.run({"k1": expecting("MD5", "0" * 32)}))) == ["k1", "k6", "k7", "k8", "k9"]
    assert bucket.rows()["k1"]["verdict"] == "differs"


def test_other_checksums_of_the_same_read_are_taken_over_with_it(bucket: Bucket) -> None:
    bucket.run()
    bucket.time += DAY
    md5 = {"k1": expecting("MD5", "c4ca4238a0b923820dcc509a6f75849b")}  # of the byte "1"
    bucket.store.kill_at = "k6"
    bucket.run(md5)
    bucket.store.kill_at = None
    assert bucket.run(md5) == ["k6", "k7", "k8", "k9"]
    row = bucket.rows()["k1"]
    assert (row["run_id"], row["verdict"], row["expected_algorithm"]) == ("r3", "matched", "MD5")


def test_a_large_object_goes_on_in_the_new_run_where_the_killed_one_stopped(tmp_path: Path) -> None:
    bucket, store = Bucket(LocalLake(tmp_path)), _InPieces()
    bucket.store, bucket.time = store, utc_now()  # that of the lake's files
    store.put("film", bytes(95))
    store.kill_after = 42
    bucket.run()
    store.kill_after = None
    bucket.run()
    assert store.given[-1] == 95 - 40
    assert bucket.rows()["film"]["checksum"] == sha256(bytes(95))
    bucket.run()  # the state of the killed run is still there
    assert bucket.lake.list(states_folder("scratch/r1/checksums/"))
    assert store.given[-1] == 95


class _InPieces(_Mortal):
    """Gives bytes one by one, from where a digest stands; may die in the middle."""

    kill_after: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def read(self, item: ListedObject, sink: Sink) -> None:
        _, body = self.objects[item.key, item.version_id]
        self.given.append(0)
        while sink.count < len(body):
            if sink.count == self.kill_after:
                raise Killed
            sink.update(memoryview(body)[sink.count : sink.count + 1])
            self.given[-1] += 1


def test_an_older_plan_that_says_less_is_left_alone(bucket: Bucket) -> None:
    name = plan_file("scratch/r1/checksums/")
    plan = Plan.from_json(bucket.lake.read_text(name))
    bucket.lake.put_text(name, replace(plan, bucket=None).to_json(), replace=True)
    assert len(bucket.run()) == 10
    bucket.lake.put_text(name, "{", replace=True)
    assert len(bucket.run()) == 10
    assert any(name in text and "cannot be used" in text for text in bucket.said)
