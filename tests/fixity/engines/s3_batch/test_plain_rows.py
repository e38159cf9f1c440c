"""Rows of S3's own form, which are read without a reader of CSV and JSON: nothing changes by it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixity.catalog import Bucket, S3Batch
from fixity.digests.algorithms import SIZES
from fixity.engines.s3_batch import plain_rows
from fixity.engines.s3_batch.errors import ReportUnusable
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.plain_rows import PlainForm, Rows
from fixity.engines.s3_batch.report import Report, ResultFile
from fixity.engines.s3_batch.stage import staged
from tests.fixity.engines.s3_batch.reports import (
    BUCKET,
    CRC32_ROW,
    NOON,
    REAL_ROW,
    Ingest,
    listed,
    row,
)

CHARACTERS = st.sampled_from(
    [*"ab/%2F+ é😀\"',\\{}\0;\t", "\n", "\r", '"{""checksum_base64"":""', '}"\n', "box/"]
)
KEYS = st.one_of(st.from_regex(r"\A(box/)?[a-z/]{1,9}\Z"), st.lists(CHARACTERS, max_size=6).map("".join))
VERSIONS = st.sampled_from(["", "", "null", "v1", "FOnd2QGDWnvlayX7twmpossPZCggjvkW", "abcd", "." * 32])
MD5 = hashlib.md5(b"").hexdigest()
ETAGS = st.sampled_from(
    [None, MD5, MD5, f"{MD5}-2", f"{MD5}-10000", f'"{MD5}"', "e" * 31 + "é", "e" * 31 + '"', "\\" * 32, ""]
)


@st.composite
def rows(draw: st.DrawFn, algorithm: str) -> str:
    """A row as S3 writes it, or nearly so."""
    key = draw(KEYS)
    octets = SIZES[algorithm]
    digest = hashlib.shake_256(key.encode()).digest(octets)
    other: dict[str, Any] = {
        "checksum_base64": base64.b64encode(digest).decode(),
        "checksum_hex": digest.hex().upper(),
        "checksumAlgorithm": algorithm,
        "ETag": draw(ETAGS),
    }
    odd: dict[str, list[Any]] = {
        "checksum_hex": [None, "00" * octets, "zz" * octets, digest.hex(), digest.hex()[2:]],
        "checksum_base64": [
            None,
            "=" * len(other["checksum_base64"]),
            base64.b64encode(bytes(octets)).decode(),
            "!",
        ],
        "checksumAlgorithm": [None, "MD5"],
        "checksumType": [None, "COMPOSITE"],
    }
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(odd)))
        other[name] = draw(st.sampled_from(odd[name]))
    return row(key, draw(VERSIONS), **other)


def read(folder: Path, text: str, algorithm: str, of_bucket: dict[str, Any]) -> list[dict[str, Any]] | str:
    """The judged rows of a report, or why it is refused."""
    (folder / "result").write_bytes(text.encode())
    md5 = hashlib.md5(text.encode()).hexdigest()
    report = Report([ResultFile("succeeded", folder / "result", md5, "place")], NOON)
    batch = S3Batch(
        account_id="1" * 12,
        role_arn="arn:aws:iam::111122223333:role/jobs",
        report_bucket="managed",
        decode_report_keys=of_bucket.get("decode", False),
    )
    prefix = of_bucket.get("prefix", "")
    bucket = Bucket(name=BUCKET, engine="s3_batch", s3_batch=batch, algorithm=algorithm, prefix=prefix)
    job = JobRecord(
        BUCKET, "j", "r", NOON.isoformat(), "inventory", algorithm, "FULL_OBJECT", "managed", "prefix"
    )
    try:
        found = staged(report, bucket, job, ["a/", "b"], folder, None)
    except ReportUnusable:
        return "refused"
    kept = [{"range": number, **each} for number in range(3) for each in found.of_range(number).to_pylist()]
    return sorted(kept, key=repr)


@pytest.mark.parametrize(
    ("algorithm", "of_bucket"),
    [("SHA256", {}), ("SHA256", {"prefix": "box/"}), ("CRC32", {"decode": True}), ("CRC64NVME", {})],
)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), size=st.sampled_from([600, 4096]))
def test_a_row_means_the_same_whether_it_is_read_as_plain_or_as_csv_and_json(
    tmp_path_factory: pytest.TempPathFactory,
    algorithm: str,
    of_bucket: dict[str, Any],
    data: st.DataObject,
    size: int,
) -> None:
    text = "".join(data.draw(st.lists(rows(algorithm), max_size=12)))
    folder = tmp_path_factory.mktemp("report")
    with patch.object(plain_rows, "_CHUNK", size):
        fast = read(folder, text, algorithm, of_bucket)
    with patch.object(PlainForm, "rows", lambda form, chunk: Rows([], [chunk])):
        assert read(folder, text, algorithm, of_bucket) == fast


@pytest.mark.parametrize(
    ("text", "algorithm", "plain"),
    [
        (REAL_ROW, "SHA256", 1),
        (REAL_ROW.replace("7c0f0bf09b6", "7c0f0bf09b6-12"), "SHA256", 1),
        (REAL_ROW.replace("FOnd2QGDWnvlayX7twmpossPZCggjvkW", "null"), "SHA256", 1),
        (REAL_ROW.replace("wasteland01", "été"), "SHA256", 1),
        (REAL_ROW.replace("9769", "9768"), "SHA256", 0),
        (REAL_ROW.replace("succeeded", "failed"), "SHA256", 0),
        (CRC32_ROW, "CRC32", 0),
    ],
)
def test_a_row_as_s3_writes_it_is_plain_and_an_odd_one_is_left(text: str, algorithm: str, plain: int) -> None:
    form = PlainForm(algorithm, "FULL_OBJECT", text.partition(",")[0], "", encoded=False)
    read = form.rows(memoryview(text.encode()))
    assert sum(each.num_rows for each in read.plain) == plain
    assert b"".join(read.others) == (b"" if plain else text.encode())


def test_a_plain_row_within_the_quotes_of_another_is_refused(ingest: Ingest) -> None:
    ingest.listing(listed("k"))
    broken = row("a\nb").split("\n")
    ingest.result("succeeded", f"{broken[0]}\n{row('k')}{broken[1]}\n")
    with pytest.raises(ReportUnusable, match=r"is no CSV: a row has a quote that does not end"):
        ingest.run()
    assert ingest.kept == []


def test_rows_with_other_line_ends_or_a_carriage_return_in_the_first_key_are_read(ingest: Ingest) -> None:
    ingest.listing(listed("\r"), listed("k"), listed("l"))
    ingest.result("succeeded", row("k").replace("\n", "\r\n") + row("l").replace("\n", "\r\n"))
    ingest.result("succeeded", row("\r"))
    assert ingest.run().succeeded == 3
