"""PREMIS events that are of no check, and documents: bounded, and each valid by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest
from lxml import etree

from fixity.catalog import Pair
from fixity.incidents.events import Event, append
from fixity.lake import LocalLake
from fixity.lake.csv_files import csv_line
from fixity.reports.columns import COLUMNS
from fixity.reports.premis import export_events
from tests.fixity.reports.premis.support import NAMES, ODD, events_of, of_catalog, printed, texts, valid
from tests.fixity.rolling.support import Rolling
from tests.fixity.support import keep_table, sha256

REPORT = "reports/0000-00-00-LATEST/checksums/p_checksum-report.csv"
TIMES = ("2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z")


def _keep_report(bucket: Rolling, *rows: dict[str, str]) -> None:
    lines = [csv_line(COLUMNS), *(csv_line(row.get(name) for name in COLUMNS) for row in rows)]
    bucket.lake.put_text(REPORT, "".join(lines), replace=True)


def test_a_repair_is_a_recovery_and_the_check_after_it_says_whether_it_is_right(bucket: Rolling) -> None:
    bucket.rolled()
    at = datetime(2026, 1, 2, tzinfo=UTC)
    place: dict[str, Any] = {"incident_id": "20260101-ab", "pair": "p", "bucket": "b", "key": ODD[1]}
    more = {"detail": "copied from <c>", "person": "Ann & co", "expected": "SHA256:aa", "run_id": "repair"}
    append(bucket.lake, [Event(event="repaired", happened_at=at, **place, **more)])
    document = printed(bucket, Pair(name="p", source="c", replica="b"))
    (event,) = document.findall("p:event[p:eventType='recovery']", NAMES)
    assert event.find("p:eventType", NAMES).get("valueURI").endswith("/rec")  # type: ignore[union-attr]
    assert event.findtext(".//p:eventOutcomeDetailNote", None, NAMES) == (
        "copied from <c>; incident 20260101-ab; asked for by Ann & co; expected sha256:aa (other-copy)"
    )
    assert [unquote(each) for each in texts(event, "linkingObjectIdentifierValue")] == [
        f"s3://other/{ODD[1]}", f"s3://real/pre fix/{ODD[1]}"
    ]  # fmt: skip
    assert texts(event, "linkingObjectRole") == ["source", "outcome"]
    export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert export_events(bucket.lake, of_catalog(), "e2", now=bucket.now).events == 0


def test_what_a_report_finds_the_same_is_a_replication_once_for_each_copy(bucket: Rolling) -> None:
    bucket.rolled()
    same = {"status": "ok", "version_id": "v1", "checksum_algorithm": "MD5", "etag_replication": "e"}
    same |= {"checksum_source": "aa", "checksum_replication": "aa", "size_replication": "5"}
    same |= dict(zip(("checked_source", "checked_replication"), TIMES, strict=True))
    _keep_report(bucket, {"key": ODD[2], **same}, {"key": "plain", **same, "status": "mismatch"})
    by_key = of_catalog(Pair(name="p", source="c", replica="b", match="key"))
    as_source = of_catalog(Pair(name="p", source="b", replica="c", match="key"))
    assert export_events(bucket.lake, as_source, "e1", now=bucket.now).events == len(ODD)
    assert export_events(bucket.lake, by_key, "e2", now=bucket.now).events == 1
    document = etree.parse(str(bucket.folder / "premis/b/e2.xml")).getroot()
    assert texts(valid(document), "eventType") == ["replication"]
    assert texts(document, "eventDateTime") == [TIMES[1]]
    places = [unquote(each) for each in texts(document, "linkingObjectIdentifierValue")]
    assert places == [f"s3://other/{ODD[2]}?versionId=v1", f"s3://real/pre fix/{ODD[2]}"]
    assert export_events(bucket.lake, by_key, "e3", now=bucket.now).events == 0
    _keep_report(bucket, {"key": ODD[2], **same, "etag_replication": "another"})
    assert export_events(bucket.lake, by_key, "e4", now=bucket.now).events == 1
    by_version = printed(bucket, Pair(name="p", source="c", replica="b", match="version"), key=ODD[2])
    assert sum(each.endswith("?versionId=v1") for each in texts(by_version, "objectIdentifierValue")) == 1


@pytest.mark.parametrize("text", [b"key,status\nplain,ok\n", b"\xff\xfe"])
def test_a_report_that_is_damaged_tells_no_replication_and_is_named(bucket: Rolling, text: bytes) -> None:
    bucket.rolled()
    file = bucket.folder / REPORT
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    said: list[str] = []
    subject = of_catalog(Pair(name="p", source="c", replica="b"))
    assert export_events(bucket.lake, subject, "e1", said.append, bucket.now).events == len(ODD)
    assert [REPORT in each for each in said] == [True]


def test_a_second_look_says_that_it_is_one_and_how_often_the_bytes_were_read(bucket: Rolling) -> None:
    rolled = bucket.roll(keys=["plain"])
    (row,) = bucket.ledger(rolled).to_pylist()
    schema = bucket.ledger(rolled).schema
    again = row | {"reads": 2, "checked_at": bucket.time + timedelta(minutes=1)}
    name = f"checksums/b/{row['run_id']}-again-1.parquet"
    keep_table(bucket.lake, name, pa.Table.from_pylist([again], schema))
    details = sorted(texts(printed(bucket, key="plain"), "eventDetail"))
    assert [each.partition(";")[0] for each in details] == [
        "Fixity check against registered checksum",
        "Second look: fixity check against registered checksum",
    ]
    assert "; read 2 times; run: " in details[1]


@pytest.mark.parametrize(
    ("most_events", "most_bytes", "documents"), [(2, 10**6, 3), (99, 4000, 5), (99, 1, 5)]
)
def test_a_document_has_no_more_events_or_bytes_than_it_may_and_is_valid_by_itself(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch, most_events: int, most_bytes: int, documents: int
) -> None:
    bucket.roll()
    monkeypatch.setattr("fixity.reports.premis.documents.MOST_EVENTS", most_events)
    monkeypatch.setattr("fixity.reports.premis.documents.MOST_BYTES", most_bytes)
    exported = export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert len(exported.xml) == documents
    files = [bucket.folder / name for name in exported.xml]
    assert all(file.stat().st_size <= most_bytes for file in files) or most_bytes == 1
    found = [texts(valid(etree.parse(str(file)).getroot()), "eventIdentifierValue") for file in files]
    assert max(map(len, found)) <= most_events
    assert sorted(each for names in found for each in names) == sorted(events_of(bucket))


def test_a_document_without_events_is_valid_and_names_the_bucket(bucket: Rolling) -> None:
    bucket.roll()
    assert texts(printed(bucket, key="no such"), "objectIdentifierValue") == ["s3://real/pre%20fix/"]


def test_an_object_has_the_checksum_that_is_expected_of_it_and_its_size(bucket: Rolling) -> None:
    bucket.roll()
    (found,) = printed(bucket, key="plain").findall("p:object", NAMES)
    assert texts(found, "messageDigestAlgorithm") == ["SHA-256"]
    assert texts(found, "messageDigest") == [sha256(b"plain")]
    assert texts(found, "size") == ["5"]


def test_an_export_that_is_killed_between_its_documents_has_them_all_in_the_end(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.roll()
    monkeypatch.setattr("fixity.reports.premis.documents.MOST_EVENTS", 2)
    put = LocalLake.put

    def killed(lake: LocalLake, name: str, file: Path, replace: bool = False, keep: bool = False) -> None:
        if name.endswith("-000003.xml"):
            raise KeyboardInterrupt
        put(lake, name, file, replace, keep)

    with monkeypatch.context() as killing, pytest.raises(KeyboardInterrupt):
        killing.setattr(LocalLake, "put", killed)
        export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert not (bucket.folder / "premis/b/e1.xml").exists()
    assert export_events(bucket.lake, of_catalog(), "e2", now=bucket.now).events == 0
    documents = sorted((bucket.folder / "premis/b").glob("*.xml"))
    assert [file.name for file in documents] == ["e1-000002.xml", "e1-000003.xml", "e1.xml"]
    found = [texts(valid(etree.parse(str(file)).getroot()), "eventIdentifierValue") for file in documents]
    assert sorted(each for names in found for each in names) == sorted(events_of(bucket))
