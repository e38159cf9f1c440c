"""Each row of an ingest report: a read error is no mismatch, and what was not compared is no match."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fixity.buckets import ListedObject, ObjectUnreadable, Sink
from fixity.buckets.s3.attributes import Attributes, Head
from fixity.engines.stream.shards import hash_shard
from fixity.ingest.plan import ingest_scratch, plan_ingest
from fixity.ingest.records import SOURCES, keep_given, read_given, take_baselines
from fixity.ingest.report import IngestReport, make_ingest_report
from fixity.ingest.verdict import verdict
from fixity.lake import Lake, LakeError, LocalLake
from fixity.ledger.inventory import take_inventory
from tests.fixity.ingest.test_restore import head
from tests.fixity.support import NOON, MemoryStore

MD5 = hashlib.md5(b"abc").hexdigest()
WRONG = "0" * 32


class Troubled(MemoryStore):
    """Objects whose keys begin with `bad` cannot be read; those with `gone` are deleted since."""

    def read(self, item: ListedObject, sink: Sink) -> None:
        if item.key.startswith("bad"):
            raise ObjectUnreadable("AccessDenied", "not yours")
        if item.key.startswith("gone"):
            self.objects.pop((item.key, item.version_id), None)
        super().read(item, sink)

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        found, _ = self.objects.get((key, version_id), (None, b""))
        return found


def report(
    store: Troubled,
    lake: Lake,
    given: str,
    hashed: bool = True,
    everything: bool = True,
    taking: dict[str, Any] | None = None,
    attributes: Attributes | None = None,
    **more: Any,  # noqa: ANN401
) -> IngestReport:
    if given:
        keep_given(lake, "b", read_given(f"key,checksum\n{given}", "list.csv"))
    inventory = take_inventory(store, lake, "b", "r", now=lambda: NOON)
    with lake.workspace() as workspace:
        objects = lake.fetch(inventory.file, workspace)
        baselines = take_baselines(
            store,
            attributes,
            lake,
            "b",
            objects,
            "MD5",
            workspace,
            "scratch/r/",
            2,
            everything=True,
            **taking or {},
        )
        plans = plan_ingest(lake, "scratch/r/", objects, baselines.file, "SHA256", workspace)
        for algorithm, plan in plans.items() if hashed else ():
            for shard in plan.shards:
                hash_shard(store, lake, ingest_scratch("scratch/r/", algorithm), plan, shard, "r", 2)
        return make_ingest_report(
            lake, "scratch/r/", plans, objects, baselines.file, "b", "r", workspace, everything, **more
        )


def rows(tmp_path: Path, made: IngestReport) -> dict[str, tuple[str, str, str, str | None]]:
    return {
        row["key"]: (row["result"], row["compared_with"], row["status"], row["algorithm"])
        for row in pq.read_table(tmp_path / made.table).to_pylist()
    }


class Recorded(Attributes):
    """What stands with each object: kinds of records, all of them right."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def head(
        self, key: str, version_id: str | None = None, etag: str | None = None, part: int | None = None
    ) -> Head:
        return head(
            etag=etag if "object-etag" in self.kinds else f"{etag}-2",
            metadata={"md5": MD5} if "object-metadata" in self.kinds else {},
            checksums={"SHA1": hashlib.sha1(b"abc").hexdigest()} if "s3-checksum" in self.kinds else {},
        )

    def tags(self, key: str, version_id: str | None = None) -> dict[str, str]:
        return {"computed-md5": MD5} if "object-tagging" in self.kinds else {}


@pytest.mark.parametrize("first", range(len(SOURCES) + 1))
def test_of_all_kinds_of_records_the_first_that_is_there_is_compared_with(tmp_path: Path, first: int) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    there = SOURCES[first:]
    store.put("bag/data/a", b"abc")
    if "manifest" in there:
        store.put("bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        store.put("bag/manifest-md5.txt", f"{MD5}  data/a\n".encode())
    given = f"bag/data/a,{MD5}\n" if "api" in there else ""
    made = rows(tmp_path, report(store, lake, given, attributes=Recorded(*there)))["bag/data/a"]
    assert made == (
        ("MATCHED", there[0], "succeeded", "SHA1" if there[0] == "s3-checksum" else "MD5")
        if there
        else ("SKIPPED", "none", "succeeded", "SHA256")
    )


def test_each_way_that_an_object_can_end(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    for key in ("bad-unrecorded", "bad-wrong", "gone", "right", "unrecorded", "wrong"):
        store.put(key, b"abc")
    given = "".join(
        f"{key},{checksum}\n"
        for key, checksum in {
            "right": MD5, "wrong": WRONG, "bad-wrong": WRONG, "gone": WRONG, "lost": MD5
        }.items()
    )  # fmt: skip
    made = report(store, lake, given)
    assert rows(tmp_path, made) == {
        "bad-unrecorded": ("SKIPPED", "none", "failed", "SHA256"),
        "bad-wrong": ("SKIPPED", "none", "failed", "MD5"),
        "gone": ("SKIPPED", "none", "skipped", "MD5"),
        "lost": ("SKIPPED", "none", "missing", "MD5"),
        "right": ("MATCHED", "api", "succeeded", "MD5"),
        "unrecorded": ("SKIPPED", "none", "succeeded", "SHA256"),
        "wrong": ("NOTMATCHED", "api", "succeeded", "MD5"),
    }
    assert {check.name: check.rows for check in verdict(made.counts)} == {
        "no_notmatched": 1,
        "no_failures": 2,
        "no_missing": 1,
        "no_conflicts": 0,
        "all_compared": 2,
        "all_records_usable": 0,
        "all_tags_written": 0,
    }
    assert made.counts.compared_with == {"api": 2, "none": 5}
    assert json.loads(lake.read_text(made.stats)) == {
        "objects": 6, "matched": 1, "not_matched": 1, "skipped": 5, "failed": 2, "missing": 1, "conflicts": 0,
        "without_record": 2, "unusable_records": 0, "tags_written": 0, "tags_not_written": 0, "unread": 0,
        "compared_with": {"api": 2, "none": 5},
    }  # fmt: skip
    assert made.latest_csv is not None
    assert lake.read_text(made.latest_csv) == lake.read_text(made.csv)


def test_a_tag_that_could_not_be_written_is_a_warning_on_a_good_check(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("right", b"abc")
    made = report(store, lake, f"right,{MD5}\n", write_tags=lambda rows: iter(["no: AccessDenied"]))
    assert rows(tmp_path, made)["right"][0] == "MATCHED"
    failed = {check.name: check.severity for check in verdict(made.counts) if not check.passed}
    assert failed == {"all_tags_written": "WARN"}


def test_a_report_that_lacks_parts_is_never_kept(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    with pytest.raises(LakeError, match="hash the bucket in a new run"):
        report(store, lake, "", hashed=False)
    assert lake.list("ingest/b/") == []


def test_what_was_given_last_counts_and_what_it_corrects_is_a_conflict(tmp_path: Path) -> None:
    for order in ([WRONG, MD5], [MD5, WRONG], [WRONG, MD5, WRONG]):
        store, lake = Troubled(), LocalLake(tmp_path / "-".join(each[:2] for each in order))
        store.put("a", b"abc")
        for hours, checksum in enumerate(order):
            records = read_given(f"key,checksum\na,{checksum}\n", f"list-{checksum[:2]}.csv")
            keep_given(lake, "b", records, partial(add, NOON, timedelta(hours=hours)))
        made = report(store, lake, "")
        (row,) = pq.read_table(lake.location(made.table)).to_pylist()
        assert (row["expected"], row["conflicts"]) == (order[-1], 1)
        assert row["result"] == ("MATCHED" if order[-1] == MD5 else "NOTMATCHED")


def test_records_of_another_algorithm_than_the_first_contradict_each_other_too(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("bag/data/a", b"abc")
    store.put("bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    store.put("bag/manifest-sha1.txt", f"{'1' * 40}  data/a\n".encode())
    given = f"bag/data/a,{MD5}\nbag/data/a,{'2' * 40}\n"
    made = report(store, lake, given)
    (row,) = [each for each in pq.read_table(tmp_path / made.table).to_pylist() if each["expected"]]
    assert (row["result"], row["conflicts"]) == ("MATCHED", 1)
    assert row["detail"] == f"bag/manifest-sha1.txt says {'1' * 40}"


def test_what_was_named_and_is_not_there_is_missing(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    made = report(store, lake, f"lost,{MD5}\n", gone=[("lost", None), ("typo", None)])
    found = {row["key"]: row["detail"] for row in pq.read_table(tmp_path / made.table).to_pylist()}
    assert found["lost"] == "it is recorded, but the bucket does not have it"
    assert found["typo"] == "it was to be read, but the bucket does not have it"
    assert made.counts.missing == 2


def test_what_the_catalog_leaves_out_is_not_missing(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    out = {"excluded": lambda key: key.endswith(".tmp")}
    assert report(store, lake, f"x.tmp,{MD5}\n", taking=out).counts.missing == 0


def test_a_report_whose_plans_are_gone_is_never_kept(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    report(store, lake, "")
    objects = tmp_path / "inventory" / "b" / "r.parquet"
    with lake.workspace() as workspace, pytest.raises(LakeError, match="are of 0 of 1 objects"):
        make_ingest_report(lake, "scratch/r/", {}, objects, objects, "b", "s", workspace, everything=True)
    assert [file.name for file in lake.list("ingest/b/")] == ["ingest/b/r.parquet"]


def test_a_step_that_is_tried_again_leaves_its_table_and_finishes_the_report_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("right", b"abc")
    store.put("wrong", b"abc")
    given = f"right,{MD5}\nwrong,{WRONG}\n"
    put = lake.put

    def away(name: str, file: Path, replace: bool = False) -> None:
        if name.startswith("reports/"):
            raise LakeError("the lake is away")
        put(name, file, replace)

    monkeypatch.setattr(lake, "put", away)
    with pytest.raises(LakeError, match="is away"):
        report(store, lake, given, now=lambda: NOON)
    monkeypatch.setattr(lake, "put", put)
    table = tmp_path / "ingest" / "b" / "r.parquet"
    first = table.read_bytes()
    for hours in (1, 2):  # the second is tried again though all is there
        made = report(store, lake, "", now=lambda hours=hours: NOON + timedelta(hours=hours))
        assert table.read_bytes() == first
        assert (made.counts.objects, made.counts.matched, made.counts.not_matched) == (2, 1, 1)
        assert [row["key"] for row in made.rows_not_ok] == ["wrong"]
        assert len((tmp_path / made.csv).read_text().splitlines()) == 3
        assert json.loads((tmp_path / made.stats).read_text()) == vars(made.counts)
