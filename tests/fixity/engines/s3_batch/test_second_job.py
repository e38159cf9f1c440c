"""What a job found to differ, and the platform cannot read, is requested of S3 once more, and only that."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from fixity.buckets import ListedObject, ObjectSkipped
from fixity.engines.s3_batch.job_records import JobRecord, Waiting, keep_record, new_record, waiting_requests
from fixity.engines.s3_batch.second_job import (
    first_checks,
    note_look_at,
    note_second_look,
    note_second_look_at_map,
)
from fixity.engines.stream.reported import look_at_reported
from fixity.engines.stream.second_look import Allowance, SecondReader
from tests.fixity.engines.s3_batch.reports import BUCKET, NOON, Ingest, etag, listed, row
from tests.fixity.engines.s3_batch.test_verdicts import OTHER, later
from tests.fixity.support import Unsteady

KEYS = ("a", "b", "c é", "d")
SECOND = f"checksums/{BUCKET}/second.parquet"
JOB = JobRecord(
    BUCKET, "j", "submitter", NOON.isoformat(), f"inventory/{BUCKET}/listing.parquet", "SHA256",
    "FULL_OBJECT", "managed", "prefix", token="of the request",
)  # fmt: skip


@pytest.fixture
def differing(ingest: Ingest) -> Ingest:
    """A bucket whose second report differs: of `b` and `c é`, which are archived, and of `d`, which is beyond
    the limits."""
    ingest.listing(*map(listed, KEYS))
    ingest.result("succeeded", "".join(map(row, KEYS)))
    ingest.run("first")
    again, store = later(ingest), Unsteady()
    for key in KEYS:
        store.objects[key, None] = ListedObject(key, None, True, len(key), etag(key), NOON, "GLACIER"), b"?"
        store.answers[key] = [ObjectSkipped("Archived", "it has to be restored")]
    again.look_again = partial(look_at_reported, SecondReader(store, 2), Allowance(2, 100))
    again.result("succeeded", row("a") + "".join(row(key, **OTHER) for key in KEYS[1:]))
    again.run("second")
    return ingest


def noted(ingest: Ingest, job: JobRecord = JOB, checks: str = SECOND) -> Waiting | None:
    return note_second_look(ingest.lake, ingest.reports, ingest.bucket, job, checks)


def test_only_what_differs_and_cannot_be_read_is_requested_and_not_what_is_beyond_the_limits(
    differing: Ingest,
) -> None:
    waiting = noted(differing)
    assert waiting is not None and waiting.manifest is not None
    assert differing.reports.read_text(waiting.manifest.key) == "deposit,b\ndeposit,c%20%C3%A9\n"
    assert (waiting.objects, waiting.inventory, waiting.first) == (2, JOB.inventory, SECOND)
    assert waiting_requests(differing.lake, BUCKET) == [waiting]


def test_the_same_second_look_is_requested_once_however_often_the_report_is_loaded(differing: Ingest) -> None:
    waiting, again = noted(differing), noted(differing)
    assert waiting is not None and again is not None and waiting.token == again.token
    assert len(waiting_requests(differing.lake, BUCKET)) == 1
    job = new_record(differing.bucket, "j2", "run", waiting.inventory, waiting)
    keep_record(differing.lake, job)
    assert noted(differing) is None
    next_campaign = noted(differing, replace(JOB, job_id="j3"))  # it may have become right by then
    assert next_campaign is not None and next_campaign.token != waiting.token
    first = first_checks(differing.lake, job)
    assert first is not None and first["key"].to_pylist() == ["b", "c é", "d"]


def test_nothing_is_requested_a_third_time_nor_for_a_job_of_others_nor_where_nothing_differs(
    differing: Ingest,
) -> None:
    assert noted(differing, replace(JOB, first=SECOND)) is None
    assert noted(differing, replace(JOB, token=None)) is None
    assert noted(differing, checks=f"checksums/{BUCKET}/first.parquet") is None
    assert waiting_requests(differing.lake, BUCKET) == [] and first_checks(differing.lake, JOB) is None


def test_what_a_pair_s_report_could_not_read_is_requested_once_for_each_finding(differing: Ingest) -> None:
    def asked(checksum: str) -> Waiting | None:
        unread: dict[tuple[str, str | None], str | None] = {("b", None): checksum, ("d", None): None}
        return note_look_at(differing.lake, differing.reports, differing.bucket, unread)

    first, again = asked("x"), asked("x")
    assert first is not None and first == again and (first.objects, first.first) == (2, None)
    keep_record(differing.lake, new_record(differing.bucket, "j2", "run", first.inventory, first))
    assert asked("x") is None and asked("y") is not None
    assert note_look_at(differing.lake, differing.reports, differing.bucket, {}) is None


def test_what_a_map_found_to_differ_is_requested_once_if_it_is_as_the_newest_inventory_lists_it(
    differing: Ingest,
) -> None:
    def asked() -> Waiting | None:
        return note_second_look_at_map(differing.lake, differing.reports, differing.bucket, SECOND)

    overwritten = listed("b", tag=etag("another one"))
    differing.listing(listed("a"), overwritten, listed("c é"), listed("d"), name="newer")
    waiting, again = asked(), asked()
    assert waiting is not None and again is not None and waiting.manifest is not None
    assert differing.reports.read_text(waiting.manifest.key) == "deposit,c%20%C3%A9\n"
    assert (waiting.inventory, waiting.first) == (f"inventory/{BUCKET}/newer.parquet", SECOND)
    assert [each.token for each in waiting_requests(differing.lake, BUCKET)] == [waiting.token]
    keep_record(differing.lake, new_record(differing.bucket, "j2", "run", waiting.inventory, waiting))
    assert asked() is None
