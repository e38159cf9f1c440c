"""What S3 and maps found to differ is read by the platform before it is damage, where it can be read."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fixity.buckets import BucketUnreachable, ListedObject, ObjectSkipped, ObjectUnreadable, Sink
from fixity.engines.stream.reported import look_at_reported, settle_reported
from fixity.engines.stream.second_look import Allowance, SecondReader
from fixity.ledger import ready
from fixity.ledger.damage import damaged_now
from fixity.ledger.fold import settings_of
from fixity.tables import Provenance
from tests.fixity.engines.s3_batch.reports import BUCKET, NOON, Ingest, etag, failed_row, listed, row
from tests.fixity.engines.s3_batch.test_verdicts import OTHER, later
from tests.fixity.support import Unsteady, sha256

KEYS = ("a", "b", "c", "d", "e", "f", "g")


@pytest.fixture
def checked(tmp_path: Path) -> Ingest:
    """A bucket whose objects were all checked by a job of S3."""
    ingest = Ingest(tmp_path)
    ingest.listing(*map(listed, KEYS))
    ingest.result("succeeded", "".join(map(row, KEYS)))
    ingest.run("first")
    return ingest


def looking(checked: Ingest, objects: int = 100) -> tuple[Ingest, Unsteady]:
    """The report of a later job, and the bucket as the platform reads it."""
    again, store = later(checked), Unsteady()
    for key in KEYS:
        item = ListedObject(key, None, True, 1, etag(key), NOON, "GLACIER")
        store.objects[key, None] = item, key.encode()
    again.look_again = partial(look_at_reported, SecondReader(store, 2), Allowance(objects, 1000))
    return again, store


def rows(ingest: Ingest) -> dict[str, tuple[Any, ...]]:
    names = ("status", "verdict", "evidence", "reads", "error_code")
    return {each["key"]: tuple(each[name] for name in names) for each in ingest.table("second")}


def damaged(ingest: Ingest) -> list[tuple[str, bool]]:
    snapshot = ready(ingest.lake, BUCKET, settings_of(ingest.bucket), "look")
    return [(each.key, each.suspect) for each in damaged_now(ingest.lake, snapshot)]


class Breaking(Unsteady):
    """Its reads break off after their first byte."""

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        sink.update(memoryview(b"x"))
        raise ObjectUnreadable("ConnectionError", "it broke")


AS_REPORTED = ("succeeded", "differs", "s3_batch", None, None)


def test_what_was_read_is_counted_though_the_read_broke_and_the_row_stays_as_it_was_reported(
    checked: Ingest,
) -> None:
    again, _ = looking(checked)
    again.look_again = partial(look_at_reported, SecondReader(Breaking(), 2), Allowance(1, 1000))
    again.result("succeeded", "".join(row(key, **OTHER) for key in KEYS[:2]))
    again.run("second")
    found = {each["key"]: each for each in checked.table("second")}
    assert rows(checked)["a"] == rows(checked)["b"] == AS_REPORTED
    assert found["a"]["bytes_read"] == found["b"]["bytes_read"] + 1


def test_each_object_that_s3_finds_to_differ_is_read_and_the_row_says_who_read_last(checked: Ingest) -> None:
    again, store = looking(checked)
    store.answers = {
        "b": [b"b"],
        "c": [b"other"],
        "d": [b"a third"],
        "e": [ObjectUnreadable("AccessDenied", "the role may not read it")],
        "f": [ObjectSkipped("Archived", "it has to be restored")],
        "g": [ObjectSkipped("ChangedSinceListed", "it was overwritten")],
    }
    again.result("succeeded", row("a") + "".join(row(key, **OTHER) for key in KEYS[1:]))
    again.run("second")
    assert rows(checked) == {
        "a": ("succeeded", "matched", "s3_batch", None, None),
        "b": ("succeeded", "matched", "streamed", 2, "UnstableRead"),
        "c": ("succeeded", "differs", "streamed", 2, None),
        "d": ("failed", "not_compared", "streamed", 2, "UnstableRead"),
        "e": AS_REPORTED,
        "f": AS_REPORTED,
        "g": ("skipped", "not_compared", "streamed", 2, "ChangedSinceListed"),
    }
    said = {each["key"]: each["error_message"] for each in checked.table("second")}
    assert said["e"] == "suspect, not looked at twice: AccessDenied: the role may not read it"
    assert said["f"] == "suspect, not looked at twice: Archived: it has to be restored"
    table = {each["key"]: each for each in checked.table("second")}
    assert (table["b"]["checksum"], table["b"]["expected"]) == (sha256(b"b"), sha256(b"b"))
    assert table["d"]["expected"] is None and table["e"]["checksum"] == sha256(b"other")
    assert table["c"]["checked_at"] > table["e"]["checked_at"]
    assert damaged(checked) == [("c", False), ("e", True), ("f", True)]


def test_a_bucket_that_the_platform_may_not_read_leaves_the_report_as_it_is_and_says_why(
    checked: Ingest,
) -> None:
    again, store = looking(checked)
    store.answers = {"b": [BucketUnreachable("the bucket refuses us\n")]}
    again.result("succeeded", row("a") + row("b", **OTHER))
    again.run("second")
    assert rows(checked)["b"] == AS_REPORTED
    assert checked.table("second")[1]["error_message"] == (
        "suspect, not looked at twice: the bucket refuses us\\n"
    )


def test_a_report_of_which_nearly_all_differs_is_not_read_twice(checked: Ingest) -> None:
    again, store = looking(checked, objects=2)
    again.result("succeeded", "".join(row(key, **OTHER) for key in KEYS))
    again.run("second")
    assert [each["reads"] for each in checked.table("second")] == [2, 2, *[None] * 5]
    assert store.afresh == ["a", "b"]


def test_a_report_that_is_right_has_nothing_read(checked: Ingest) -> None:
    again, store = looking(checked)
    again.result("succeeded", "".join(map(row, KEYS)))
    again.run("second")
    assert store.read_keys == [] and {each["verdict"] for each in checked.table("second")} == {"matched"}


def test_two_jobs_of_s3_settle_what_the_platform_cannot_read(checked: Ingest) -> None:
    third = {
        "checksum_base64": base64.b64encode(hashlib.sha256(b"a third").digest()).decode(),
        "checksum_hex": sha256(b"a third"),
    }
    again = later(checked)
    again.result("succeeded", row("a") + "".join(row(key, **OTHER) for key in KEYS[1:]))
    again.run("second")
    last = Ingest(checked.folder / "last", objects=5)
    last.lake = checked.lake
    last.manifest["ReportCreationDate"] = "2026-02-25T01:26:27Z"
    last.result("succeeded", row("b") + row("c", **OTHER) + row("d", **third) + row("f", ETag="new"))
    last.result("failed", failed_row("e", "SSE-C encryption type is not supported"))
    with checked.lake.workspace() as workspace:
        first = pq.read_table(checked.lake.fetch(f"checksums/{BUCKET}/second.parquet", workspace))
    last.look_again = partial(settle_reported, first)
    last.run("third")
    of_some, of_all = (
        Provenance.read(Path(checked.lake.location(f"checksums/{BUCKET}/{run}.parquet")))
        for run in ("third", "second")
    )
    assert (of_some.partial, of_all.partial) == (True, False)
    names = ("status", "verdict", "evidence", "reads", "error_code")
    assert {each["key"]: tuple(each[name] for name in names) for each in checked.table("third")} == {
        "b": ("succeeded", "matched", "s3_batch", 2, "UnstableRead"),
        "c": ("succeeded", "differs", "s3_batch", 2, None),
        "d": ("failed", "not_compared", "s3_batch", 2, "UnstableRead"),
        "f": ("skipped", "not_compared", "s3_batch", None, "ChangedSinceListed"),
    }  # that of `e` would hide that it differs
    table = {each["key"]: each for each in checked.table("third")}
    assert (table["c"]["error_message"], table["c"]["bytes_read"]) == (None, 2)
    assert sha256(b"a third") in table["d"]["error_message"] and table["d"]["checksum"] is None
    snapshot = ready(checked.lake, BUCKET, settings_of(checked.bucket), "look")
    assert [(each.key, each.reads) for each in damaged_now(checked.lake, snapshot)] == [
        ("c", 2), ("d", 0), ("e", 0), ("f", 0), ("g", 0)
    ]  # fmt: skip
