"""Reports that are not what they should be: what is refused, and that nothing is kept then."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fixity.engines.s3_batch import plain_rows
from fixity.engines.s3_batch.batch_jobs import COMPLETE, JobState
from fixity.engines.s3_batch.errors import NoReport, ReportUnusable
from fixity.engines.s3_batch.failed_tasks import convert
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.keep import ingest_report
from fixity.ledger.bucket_run import BucketRun
from tests.fixity.engines.s3_batch.reports import (
    NOON,
    Ingest,
    failed_row,
    listed,
    row,
)


@pytest.mark.parametrize(("succeeded", "failed"), [(2, 1), (1, 2), (1, 0)])
def test_a_report_with_other_rows_than_s3_counted_is_refused(
    ingest: Ingest, succeeded: int, failed: int
) -> None:
    ingest.bucket_settings["prefix"] = "box/"
    ingest.listing(listed("a"), listed("b"))
    ingest.result("succeeded", row("outside"))
    ingest.result("failed", failed_row("box/b", "Key not found"))
    ingest.state = JobState("j", COMPLETE, 3, succeeded, failed, counted=True)
    with pytest.raises(ReportUnusable, match=r"has 1 rows of tasks that .*, but S3 counted [02]: nothing"):
        ingest.run()
    assert ingest.kept == []
    ingest.state = JobState("j", COMPLETE, 3, 1, 1, counted=True)
    with pytest.raises(ReportUnusable, match=r"had 3 tasks, but only 2 ended"):
        ingest.run()
    ingest.state = JobState("j", COMPLETE, 2, 1, 1, counted=True)
    assert ingest.run().failed == 1


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("succeeded", row("a") + "deposit,k,,succeeded,200,\n", "Expected Number of Columns: 7 Found: 6"),
        (
            "succeeded",
            row("a") + "deposit,k,,succeeded,200,,{},8,9\n",
            "Expected Number of Columns: 7 Found:",
        ),
        ("failed", "deposit,k,,failed,200,PermanentFailure\n", "at byte 0 there is no row of the bucket"),
        ("failed", failed_row("k", "x") + "deposit,k,,fai", "at byte 147 there is no row of the bucket"),
        ("failed", b"deposit,\xff,,failed,200,x,y\n", "'utf-8' codec can't decode"),
        ("succeeded", row("k", bucket="somebody-else-s"), "a row is of the bucket somebody-else-s, not of"),
        ("succeeded", b"deposit,\xff\xfe,,succeeded,200,,x\n", "cannot be read"),
        ("succeeded", 'deposit,k,,succeeded,200,,"' + "x" * 40_000_000 + '"\n', "CSV Error on Line: 1"),
    ],
)
def test_a_file_that_is_no_result_is_refused_and_nothing_is_kept(
    ingest: Ingest, kind: str, text: str | bytes, said: str
) -> None:
    ingest.listing(listed("a"), listed("k"))
    ingest.result("succeeded", row("a") + row("k"))
    ingest.run("before")
    ingest.result(kind, text)
    ingest.put_manifest()
    with pytest.raises(
        ReportUnusable, match=r"the report of the job j of 'deposit' cannot be read"
    ) as refused:
        ingest.run("after")
    assert said in str(refused.value)
    assert ingest.kept == ["checksums/deposit/NEWEST.json", "checksums/deposit/before.parquet"]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ('{"Format": "Report_CSV_20180820", "Resu', "is not a manifest of a completion report"),
        ("[]", "is not a manifest of a completion report"),
        ('{"Format": "Report_JSON"}', "has the format 'Report_JSON', not Report_CSV_20180820"),
        ('{"Format": "Report_CSV_20180820", "ReportCreationDate": "2026-01-24T01:26:27Z"}', "'Results'"),
        (
            '{"Format": "Report_CSV_20180820", "ReportCreationDate": "2026-01-24T01:26:27Z", "Results": '
            '[{"TaskExecutionStatus": "succeeded", "Key": "prefix/job-j/gone.csv", "MD5Checksum": "00"}]}',
            "gone.csv, but there is no such file",
        ),
        (
            '{"Format": "Report_CSV_20180820", "ReportCreationDate": "2026-01-24T01:26:27Z", "Results": '
            '[{"TaskExecutionStatus": "failed", "Key": "prefix/job-jj/0.csv", "MD5Checksum": "00"}]}',
            "prefix/job-jj/0.csv, which is not in the folder of this job",
        ),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(ingest: Ingest, manifest: str, said: str) -> None:
    ingest.listing(listed("k"))
    ingest.put_manifest(manifest)
    with pytest.raises(ReportUnusable) as refused:
        ingest.run()
    assert said in str(refused.value) and ingest.kept == []


def test_a_report_that_is_older_than_its_job_is_refused(ingest: Ingest) -> None:
    ingest.listing(listed("k"))
    ingest.result("succeeded", row("k"))
    written_at = datetime.fromisoformat(ingest.manifest["ReportCreationDate"])
    ingest.state = JobState("j", COMPLETE, created_at=written_at + timedelta(minutes=2))
    with pytest.raises(ReportUnusable, match=r"created at 2026-01-24 01:28:27 UTC: it is an earlier job's"):
        ingest.run()
    assert ingest.kept == []
    ingest.state = JobState("j", COMPLETE, created_at=written_at + timedelta(seconds=30))  # clocks differ
    assert ingest.run().succeeded == 1


def test_without_a_manifest_there_is_no_report(ingest: Ingest) -> None:
    ingest.listing(listed("k"))
    ingest.put_manifest()
    (ingest.folder / "reports/prefix/job-j/manifest.json").rename(ingest.folder / "elsewhere")
    record = JobRecord(
        "deposit", "j", "r", NOON.isoformat(), "inventory/deposit/listing.parquet", "SHA256",
        "FULL_OBJECT", "managed", "prefix",
    )  # fmt: skip
    with pytest.raises(NoReport, match=r"prefix/job-j/manifest\.json is not there"):
        ingest_report(BucketRun(ingest.lake, ingest.bucket, "run"), ingest.reports, record)
    assert ingest.kept == []


def test_a_result_file_that_was_cut_short_is_refused_by_its_md5(ingest: Ingest) -> None:
    ingest.listing(listed("k"))
    ingest.result("succeeded", row("k"))
    ingest.manifest["Results"][0]["MD5Checksum"] = hashlib.md5(b"whole").hexdigest()
    with pytest.raises(ReportUnusable, match=r"its MD5 is .* the file may be truncated or changed"):
        ingest.run()


@pytest.mark.parametrize("kind", ["succeeded", "failed"])
@pytest.mark.parametrize("place", [0, -1])
def test_a_letter_that_changed_in_a_result_file_of_several_pieces_is_seen_in_its_md5(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, kind: str, place: int
) -> None:
    monkeypatch.setattr(plain_rows, "_CHUNK", 1024)
    keys = [f"k{number:02}" for number in range(20)]
    ingest.listing(*map(listed, keys))
    ingest.result(kind, "".join(row(key) if kind == "succeeded" else failed_row(key, "No") for key in keys))
    (file,) = (ingest.folder / "reports").rglob("0.csv")
    right = file.read_bytes()
    key = keys[place].encode()
    file.write_bytes(right.replace(key, b"K" + key[1:]))
    with pytest.raises(ReportUnusable, match=r"its MD5 is .* the file may be truncated or changed"):
        ingest.run()
    assert ingest.kept == []
    file.write_bytes(right)
    assert ingest.run().objects == len(keys)


@pytest.mark.parametrize(
    ("begin", "why"), [("deposit,k,,failed,200,P,", "a message of more than"), ("deposit,", "no row")]
)
def test_a_cell_of_four_gigabytes_is_refused_and_not_read(tmp_path: Path, begin: str, why: str) -> None:
    file = tmp_path / "failed.csv"
    file.write_text(begin)
    os.truncate(file, 4 * 1024**3)  # sparse
    with pytest.raises(ReportUnusable, match=why):
        convert([(file, "failed.csv")], "deposit", tmp_path / "rows.parquet")
