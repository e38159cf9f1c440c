"""Each row of an ingest report: a read error is no mismatch, and what was not compared is no match."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fixity.buckets import ListedObject, ObjectUnreadable, Sink
from fixity.buckets.s3.attributes import Attributes, Head
from fixity.catalog import Algorithm, Bucket
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Reading, hash_shard, make_plan
from fixity.ingest.counts import counts_of_bucket
from fixity.ingest.records import SOURCES, Gathering, Objects, Record, keep_given, read_given, take_baselines
from fixity.ingest.report import IngestReport, IngestRun, make_ingest_report
from fixity.ingest.verdict import verdict
from fixity.lake import Lake, LakeError, LocalLake
from fixity.lake.paths import baselines_file, checksums_file
from fixity.ledger.expected import with_expectations
from fixity.ledger.fold import settings_of
from fixity.ledger.refresh import ready
from fixity.ledger.snapshot import in_force
from tests.fixity.ingest.test_restore import head
from tests.fixity.support import NOON, MemoryStore, inventory_and_checks, take_inventory
from tests.platform import read_report

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
    given: str = "",
    run_id: str = "r",
    preferred: Algorithm = "SHA256",
    attributes: Any = None,
    selected: dict[str, Any] | None = None,
    **more: Any,
) -> IngestReport:
    """A run over the whole bucket, by the stream engine: list, gather records, read, judge, keep, report."""
    if given:
        keep_given(lake, "b", read_given(f"key,checksum\n{given}", "list.csv"))
    inventory = take_inventory(store, lake, "b", run_id, now=lambda: NOON)
    scratch = f"scratch/{run_id}/"
    with lake.workspace() as workspace:
        objects = lake.fetch(inventory.file, workspace)
        records = take_baselines(
            Gathering("b", store, attributes, 2, preferred),
            Objects(objects, **{"everything": True, **(selected or {})}),
            lake,
            scratch,
            workspace,
        ).file
        expected = with_expectations(lake, in_force(lake, "b"), objects, records, workspace)
        plan = make_plan(f"{scratch}expected.parquet", expected, preferred)
        lake.put(plan.inventory, Path(shutil.copy(expected, workspace / "copy.parquet")), replace=True)
        for shard in plan.shards:
            hash_shard(Reading(store, 2), lake, scratch, plan, shard, run_id)
        kept = keep_checksums(lake, scratch, plan, "b", run_id)
        lake.put(baselines_file("b", run_id), Path(shutil.copy(records, workspace / "records.parquet")))
        return report_again(lake, run_id, kept.file, workspace, **more)


def report_again(
    lake: Lake,
    run_id: str,
    checks: str,
    workspace: Path,
    **more: Any,
) -> IngestReport:
    records = lake.fetch(baselines_file("b", run_id), workspace)
    run = IngestRun("b", run_id, checks, lake.fetch(checks, workspace), records)
    return make_ingest_report(lake, run, workspace, **more)


def csv_rows(lake: Lake, made: IngestReport) -> list[dict[str, str]]:
    return read_report(lake.location(made.csv))


def rows(lake: Lake, made: IngestReport) -> dict[str, tuple[str, str, str, str | None]]:
    return {
        row["key"]: (row["result"], row["compared_with"], row["status"], row["algorithm"])
        for row in csv_rows(lake, made)
    }


class Recorded(Attributes):
    """What stands with each object: kinds of records, all of them right."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def md5_in(self, etag: str | None) -> str | None:
        return etag if "object-etag" in self.kinds else None

    def head(
        self, key: str, version_id: str | None = None, etag: str | None = None, part: int | None = None
    ) -> Head:
        return head(
            md5=etag if "object-etag" in self.kinds else None,
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
    made = rows(lake, report(store, lake, given, attributes=Recorded(*there)))["bag/data/a"]
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
    assert rows(lake, made) == {
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
        "records_usable": 0,
        "all_tags_written": 0,
    }
    told = {check.name: check.description for check in verdict(made.counts)}
    assert told["no_notmatched"].endswith(" (wrong)") and told["no_missing"].endswith(" (lost)")
    assert told["no_failures"].endswith(" (bad-unrecorded, bad-wrong)")
    figures = made.counts.figures
    lines = figures["objects"] + figures["missing"]
    assert lines == sum(figures[each] for each in ("matched", "not_matched", "skipped"))
    with lake.workspace() as workspace:
        of_bucket = counts_of_bucket(lake, "b", workspace)
    assert {check.name: check.description for check in verdict(of_bucket)} == told
    assert made.counts.compared_with == {"api": 2, "none": 5}
    assert json.loads(lake.read_text(made.stats)) == {
        "objects": 6, "matched": 1, "not_matched": 1, "skipped": 5, "failed": 2, "missing": 1, "conflicts": 0,
        "without_record": 2, "unusable_records": 0, "lost_records": 0, "etag_conflicts": 0, "tags_written": 0,
        "tags_not_written": 0, "unread": 0,
        "compared_with": {"api": 2, "none": 5},
    }  # fmt: skip
    assert made.latest_csv is not None
    assert lake.read_text(made.latest_csv) == lake.read_text(made.csv)


def test_a_tag_that_could_not_be_written_is_a_warning_on_a_good_check(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("right", b"abc")
    made = report(store, lake, f"right,{MD5}\n", write_tags=lambda rows: iter(["no: AccessDenied"]))
    assert rows(lake, made)["right"][0] == "MATCHED"
    failed = {check.name: check.severity for check in verdict(made.counts) if not check.passed}
    assert failed == {"all_tags_written": "WARN"}


def test_what_was_given_last_counts_and_what_it_corrects_is_a_conflict(tmp_path: Path) -> None:
    for order in ([WRONG, MD5], [MD5, WRONG], [WRONG, MD5, WRONG]):
        store, lake = Troubled(), LocalLake(tmp_path / "-".join(each[:2] for each in order))
        store.put("a", b"abc")
        for hours, checksum in enumerate(order):
            records = read_given(f"key,checksum\na,{checksum}\n", f"list-{checksum[:2]}.csv")
            keep_given(lake, "b", records, partial(add, NOON, timedelta(hours=hours)))
        (row,) = csv_rows(lake, report(store, lake))
        assert (row["expected"], row["conflicts"]) == (order[-1], "1")
        assert row["result"] == ("MATCHED" if order[-1] == MD5 else "NOTMATCHED")


def test_every_record_that_the_bytes_refute_is_a_conflict_whatever_its_algorithm(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("bag/data/a", b"abc")
    store.put("bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    store.put("bag/manifest-sha1.txt", f"{'1' * 40}  data/a\n".encode())
    given = f"bag/data/a,{MD5}\nbag/data/a,{'2' * 40}\n"  # the MD5 is right, the SHA-1 is not
    (row,) = [
        each for each in csv_rows(lake, report(store, lake, given, preferred="MD5")) if each["expected"]
    ]
    assert (row["result"], row["algorithm"], row["conflicts"]) == ("MATCHED", "MD5", "2")
    assert row["detail"] == f"list.csv, line 3 says {'2' * 40}; bag/manifest-sha1.txt says {'1' * 40}"


def test_what_was_named_and_is_not_there_is_missing(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    made = report(store, lake, f"lost,{MD5}\n", selected={"gone": [("lost", None), ("typo", None)]})
    found = {row["key"]: row["detail"] for row in csv_rows(lake, made)}
    assert found["lost"] == "it is recorded, but the bucket does not have it"
    assert found["typo"] == "it was to be read, but the bucket does not have it"
    assert made.counts.missing == 2


def test_what_the_catalog_leaves_out_is_not_missing(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    out = {"excluded": lambda key: key.endswith(".tmp")}
    assert report(store, lake, f"x.tmp,{MD5}\n", selected=out).counts.missing == 0


def test_a_step_that_is_tried_again_finishes_the_report_and_writes_no_tag_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("right", b"abc")
    store.put("wrong", b"abc")
    put, written = lake.put, list[str]()

    def write_tags(rows: Iterable[dict[str, Any]]) -> Iterator[str | None]:
        for row in rows:
            written.append(row["key"])
            yield "yes" if row["result"] == "MATCHED" else None

    def away(name: str, file: Path, replace: bool = False) -> None:
        if name.startswith("reports/"):
            raise LakeError("the lake is away")
        put(name, file, replace)

    monkeypatch.setattr(lake, "put", away)
    with pytest.raises(LakeError, match="is away"):
        report(store, lake, f"right,{MD5}\nwrong,{WRONG}\n", write_tags=write_tags)
    monkeypatch.setattr(lake, "put", put)
    for hours in (1, 2):  # the second is tried again though all is there
        with lake.workspace() as workspace:
            checks, now = checksums_file("b", "r"), NOON + timedelta(hours=hours)
            made = report_again(lake, "r", checks, workspace, write_tags=write_tags, now=lambda now=now: now)
        assert written == ["right", "wrong"]
        assert (made.counts.objects, made.counts.matched, made.counts.not_matched) == (2, 1, 1)
        assert [row["key"] for row in made.rows_not_ok] == ["wrong"]
        assert [row["tags_written"] for row in csv_rows(lake, made)] == ["yes", ""]
        assert json.loads((tmp_path / made.stats).read_text()) == {
            **made.counts.figures,
            "compared_with": made.counts.compared_with,
        }


def test_a_crc_never_stands_before_a_cryptographic_record_and_is_a_conflict_where_the_bytes_refute_it(
    tmp_path: Path,
) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    given = "a,CRC32:00000000\n"
    (row,) = csv_rows(lake, report(store, lake, given, attributes=Recorded("object-etag")))
    assert (row["result"], row["compared_with"], row["conflicts"]) == ("MATCHED", "object-etag", "1")
    assert row["detail"] == "list.csv, line 2 says 00000000"


def test_a_record_that_the_bytes_prove_is_a_conflict_of_a_stronger_one_that_they_refute(
    tmp_path: Path,
) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    made = report(store, lake, f"a,SHA1:{'0' * 40}\n", attributes=Recorded("object-etag"))
    (row,) = csv_rows(lake, made)
    assert (row["result"], row["algorithm"], row["conflicts"]) == ("NOTMATCHED", "SHA1", "1")
    assert (row["checksum"], row["expected"]) == (hashlib.sha1(b"abc").hexdigest(), "0" * 40)
    assert row["detail"] == f"ETag says {MD5}"


class NoMd5(Recorded):
    """The ETag of each object has the form of an MD5, and is another digest."""

    def head(
        self, key: str, version_id: str | None = None, etag: str | None = None, part: int | None = None
    ) -> Head:
        return replace(super().head(key, version_id, etag, part), md5=WRONG)


def test_an_etag_that_is_no_md5_is_a_conflict_where_anything_else_is_known_of_the_bytes(
    tmp_path: Path,
) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    for key in ("alone", "given"):
        store.put(key, b"abc")
    given = f"given,SHA256:{hashlib.sha256(b'abc').hexdigest()}\n"
    made = report(store, lake, given, attributes=NoMd5())
    alone, recorded = csv_rows(lake, made)
    assert (recorded["result"], recorded["compared_with"], recorded["conflicts"]) == ("MATCHED", "api", "1")
    assert recorded["detail"] == f"ETag says {WRONG}"
    assert (alone["result"], alone["compared_with"]) == ("NOTMATCHED", "object-etag")
    assert "set `etag_is_md5: false`" in alone["detail"]
    found = {each.name: each.passed for each in verdict(made.counts)}
    assert not found["no_conflicts"]


def test_an_etag_that_contradicts_bytes_registered_before_is_an_error_though_no_damage(
    tmp_path: Path,
) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    inventory_and_checks(store, lake, "campaign")
    ready(lake, "b", settings_of(Bucket(name="b")), "fold")
    made = report(store, lake, attributes=NoMd5())
    (row,) = csv_rows(lake, made)
    assert (row["result"], row["error_code"]) == ("SKIPPED", "EtagConflict")
    assert {check.name: check.severity for check in verdict(made.counts) if not check.passed}[
        "no_conflicts"
    ] == "ERROR"


def test_a_correction_given_by_hand_counts_though_it_is_of_another_algorithm(tmp_path: Path) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    for hours, checksum in enumerate(("0" * 64, MD5)):  # the first is of the bucket's own algorithm
        records = read_given(f"key,checksum\na,{checksum}\n", "list.csv")
        keep_given(lake, "b", records, partial(add, NOON, timedelta(hours=hours)))
    (row,) = csv_rows(lake, report(store, lake))
    assert (row["result"], row["algorithm"], row["conflicts"]) == ("MATCHED", "MD5", "1")


def test_the_ledger_has_the_buckets_own_checksum_and_that_of_the_record_of_one_reading(
    tmp_path: Path,
) -> None:
    store, lake = Troubled(), LocalLake(tmp_path)
    store.put("a", b"abc")
    report(store, lake, f"a,{MD5}\n")
    (row,) = pq.read_table(tmp_path / checksums_file("b", "r")).to_pylist()
    assert (row["checksum"], row["other_checksums"]) == (hashlib.sha256(b"abc").hexdigest(), [("MD5", MD5)])
    assert (row["verdict"], row["expected"], row["expected_from"]) == ("matched", MD5, "api")
    assert store.read_keys == ["a"]
    assert not (tmp_path / "ingest").exists()


def test_the_csv_of_keys_with_any_character_is_read_back(tmp_path: Path) -> None:
    lake, store = LocalLake(tmp_path), Troubled()
    keys = ["Icon\r", "a\r\nb", '"', " a ", "=1,2", "\ufeff"]
    for key in keys:
        store.put(key, b"abc")
    keep_given(lake, "b", [Record(key, None, "MD5", MD5, "api", "list") for key in keys])
    made = report(store, lake)
    assert rows(lake, made) == dict.fromkeys(keys, ("MATCHED", "api", "succeeded", "MD5"))


@pytest.mark.parametrize("everything", [True, False])
def test_a_file_of_records_that_cannot_be_read_is_a_row_and_the_others_count(
    tmp_path: Path, everything: bool
) -> None:
    lake, store = LocalLake(tmp_path), Troubled()
    store.put("a", b"abc")
    lake.put_text("expected/b/0.csv", "key,checksum\nx\n")
    made = report(store, lake, f"a,{MD5}", selected={"everything": everything})
    a, lost = sorted(csv_rows(lake, made), key=lambda row: row["key"])
    assert (a["key"], a["result"]) == ("a", "MATCHED")
    assert (lost["key"], lost["error_code"]) == ("expected/b/0.csv, line 2", "RecordUnreadable")
    assert "a record cannot be read, so its object is not known" in lost["detail"]
    assert "no_missing" in {check.name for check in verdict(made.counts) if not check.passed}
