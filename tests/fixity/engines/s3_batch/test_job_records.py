"""The records of jobs in the lake: a damaged one is named, not believed, and in nobody's way."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.catalog import Bucket, S3Batch
from fixity.engines.s3_batch.batch_jobs import JobManifest
from fixity.engines.s3_batch.errors import JobRecordUnusable, NoReport, ReportUnusable
from fixity.engines.s3_batch.finished import finished_job
from fixity.engines.s3_batch.job_records import (
    JobOutcome,
    JobRecord,
    Waiting,
    bucket_of,
    job_record,
    jobs_of,
    keep_outcome,
    keep_record,
    keep_waiting,
    open_jobs,
    outcome_of,
    receipt_file,
    waiting_requests,
)
from fixity.engines.s3_batch.report import fetch_report
from fixity.lake import LocalLake
from fixity.lake.proof import sealed
from tests.fixity.support import spoilt

FIRST = JobRecord(
    "b", "job-1", "r1", "2026-01-01T00:00:00+00:00", "inventory/b/r1.parquet", "SHA256", "FULL_OBJECT",
    "managed", "batch/reports", 7, "token",
)  # fmt: skip
SECOND = JobRecord(**{**asdict(FIRST), "job_id": "job-2", "created_at": "2026-01-02T00:00:00+00:00"})
MANIFEST = JobManifest("key", "etag", ("Bucket", "Key"))
WAITS, WAITS_TOO = (
    Waiting("b", token, f"2026-01-0{token}T00:00:00+00:00", "inventory/b/r1.parquet", MANIFEST, 7)
    for token in "12"
)
ROLE = "arn:aws:iam::111122223333:role/batch"
JOB, REQUEST = "s3_batch/b/jobs/job-2.json", "s3_batch/b/waiting/2/request.json"
REPORT = json.dumps(
    {"Format": "Report_CSV_20180820", "ReportCreationDate": "2026-01-24T01:26:27.366Z", "Results": []}
)


def _lake(folder: Path) -> LocalLake:
    """Two jobs, and two requests that wait."""
    lake = LocalLake(folder)
    for record in (FIRST, SECOND):
        keep_record(lake, record)
        lake.put_text(receipt_file(record.job_id), '{"bucket": "b", "source_job_id": "job"}')
    for waiting in (WAITS, WAITS_TOO):
        keep_waiting(lake, waiting)
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return _lake(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> LocalLake:
    return _lake(tmp_path_factory.mktemp("lake"))


@given(st.data())
def test_a_damaged_record_of_a_job_is_left_out_by_name_and_the_others_are_read(
    shared: LocalLake, data: st.DataObject
) -> None:
    file = Path(shared.location(JOB))
    file.write_bytes(data.draw(spoilt(sealed(asdict(SECOND)))))
    said: list[str] = []
    found = jobs_of(shared, "b", log=said.append)
    assert (found, len(said)) in (([FIRST], 1), ([FIRST, SECOND], 0))
    for text in said:
        assert text.startswith(f"{file} is damaged: ") and text.endswith("`fixity request b`")
        with pytest.raises(JobRecordUnusable):
            job_record(shared, "b", "job-2")


@given(st.data())
def test_a_damaged_request_is_left_out_by_name_and_the_others_wait(
    shared: LocalLake, data: st.DataObject
) -> None:
    file = Path(shared.location(REQUEST))
    file.write_bytes(data.draw(spoilt(sealed(asdict(WAITS_TOO)))))
    said: list[str] = []
    found = waiting_requests(shared, "b", said.append)
    assert (found, len(said)) in (([WAITS], 1), ([WAITS, WAITS_TOO], 0))
    assert all(str(file) in text for text in said)


@given(st.data())
def test_a_job_whose_outcome_is_damaged_has_one_and_is_not_loaded_again(
    shared: LocalLake, data: st.DataObject
) -> None:
    outcome = JobOutcome("job-1", "Complete", "r9")
    keep_outcome(shared, "b", outcome)
    file = Path(shared.location("s3_batch/b/outcomes/job-1.json"))
    file.write_bytes(data.draw(spoilt(file.read_text())))
    found = outcome_of(shared, "b", "job-1")
    assert found is not None and (found == outcome or "job-1.json" in found.run_id)
    assert "job-1" not in [record.job_id for record in open_jobs(shared, "b")]


@given(st.data())
def test_a_damaged_receipt_loses_no_job(shared: LocalLake, data: st.DataObject) -> None:
    file = Path(shared.location(receipt_file("job-1")))
    spoilt_text = data.draw(spoilt('{"bucket": "b", "source_job_id": "job"}'))
    file.write_bytes(spoilt_text)
    found = bucket_of(shared, "job-1")
    assert found == "b" or (found is not None and found.encode() in spoilt_text)  # a name with a flipped bit
    assert bucket_of(shared, "job-9") is None


def test_records_of_an_earlier_version_have_no_seal_and_are_read(lake: LocalLake) -> None:
    for name in (JOB, REQUEST):
        file = Path(lake.location(name))
        seal = file.read_text().splitlines()[-2]
        file.write_text(file.read_text().replace(f",\n{seal}", ""))
        assert "sha256_of_this" not in file.read_text()
    assert jobs_of(lake, "b") == [FIRST, SECOND] and waiting_requests(lake, "b") == [WAITS, WAITS_TOO]


def test_where_the_newest_job_is_damaged_no_older_one_is_taken_for_it(lake: LocalLake) -> None:
    Path(lake.location(JOB)).write_text("[]")
    bucket = Bucket(
        name="b", s3_batch=S3Batch(account_id="111122223333", role_arn=ROLE, report_bucket="managed")
    )
    with pytest.raises(
        JobRecordUnusable, match=r"which job of 'b' is the newest is not known: .*job-2\.json is damaged"
    ):
        finished_job(lake, None, bucket, "r9")  # type: ignore[arg-type]  # S3 is not asked


@given(st.data())
def test_a_manifest_of_a_report_of_another_shape_is_refused(shared: LocalLake, data: st.DataObject) -> None:
    file = Path(shared.location("report/manifest.json"))
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data.draw(spoilt(REPORT)))
    try:
        assert fetch_report(shared, "report/manifest.json", file.parent).results == []
    except ReportUnusable as error:
        assert str(file) in str(error)
    with pytest.raises(NoReport):
        fetch_report(shared, "report/none.json", file.parent)
