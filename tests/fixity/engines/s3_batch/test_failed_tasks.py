"""Rows of failed tasks, which are no CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixity.engines.s3_batch.batch_jobs import COMPLETE, JobState
from fixity.engines.s3_batch.failed_tasks import convert
from tests.fixity.engines.s3_batch.reports import (
    FAILED_ROWS,
    Ingest,
    failed_row,
    listed,
    quoted,
    row,
)


def only(ingest: Ingest) -> dict[str, Any]:
    """The one row that was kept."""
    ingest.run()
    (kept,) = ingest.table()
    return kept


def test_failed_rows_are_read_though_they_are_no_csv(ingest: Ingest) -> None:
    ingest.bucket_settings["bucket"] = "amzn-s3-demo-bucket1"
    ingest.listing(listed("image_14975"), listed("image_14976"))
    ingest.result("failed", FAILED_ROWS)
    kept = ingest.run()
    assert (kept.failed, kept.succeeded, kept.reasons) == (2, 0, {"PermanentFailure": 2})
    assert [(each["status"], each["error_message"]) for each in ingest.table()] == [
        ("failed", "SSE-C encryption type is not supported for this operation (400)"),
        ("failed", "Key not found (404)"),
    ]


WORDS = st.lists(
    st.sampled_from(
        [
            "a, b",
            '"',
            '""',
            ",",
            " ",
            "KMS key disabled",
            "\n",
            "deposit",
            "{",
            "\\",
            "é",
            '",""',
            "\r\n",
        ]
    ),
    max_size=6,
).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(messages=st.lists(WORDS, min_size=1, max_size=6))
def test_whatever_a_message_says_no_failed_row_is_lost(tmp_path: Path, messages: list[str]) -> None:
    keys = [f"k{number}\ndeposit,x" for number in range(len(messages))]
    said = [message.strip() for message in messages]
    file = tmp_path / "failed.csv"
    file.write_bytes(
        "".join(failed_row(quoted(key), why) for key, why in zip(keys, said, strict=True)).encode()
    )
    assert convert([(file, "here")], "deposit", tmp_path / "to") == len(keys)
    assert pq.read_table(tmp_path / "to").column("key").to_pylist() == keys


def test_a_message_with_commas_and_quotes_keeps_to_its_row(ingest: Ingest) -> None:
    said = {
        "b": "Access Denied, KMS key disabled",
        "c": "Key not found",
        "d": 'the key "k, and more',
        "e": "SSE-C",
    }
    ingest.listing(*(listed(key) for key in ["a", *said]))
    ingest.result("succeeded", row("a"))
    ingest.result("failed", "".join(failed_row(key, why) for key, why in said.items()))
    ingest.state = JobState("j", COMPLETE, 5, 1, 4, counted=True)
    ingest.run()
    assert {each["key"]: each["error_message"] for each in ingest.table() if each["status"] == "failed"} == {
        key: f"{why} (403)" for key, why in said.items()
    }


def test_a_message_that_is_no_json_is_a_failed_row(ingest: Ingest) -> None:
    ingest.listing(listed("k"), listed("l"))
    ingest.result("succeeded", row("l"))
    ingest.result("succeeded", 'deposit,k,,succeeded,200,,"{""checksum_hex"":"\n')
    ingest.run()
    assert [each["error_code"] for each in ingest.table()] == ["MalformedResult", None]
