"""Inventory reports in Google's form: as the listing of the same bucket, or refused."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.inventories.folder import ListRefused
from fixity.inventories.provider import open_provider
from tests.fixity.inventories.archive import ODD_KEYS, Archive
from tests.fixity.inventories.lists import LISTED_AT, PREFIX, rows_of

_ID = "3f5d1c2e-0000-4000-8000-000000000001"
_FIELDS = (
    "project",
    "bucket",
    "name",
    "size",
    "timeDeleted",
    "updated",
    "storageClass",
    "etag",
    "md5Hash",
    "crc32c",
)


def _write(
    archive: Archive,
    form: str = "csv",
    delimiter: str = ",",
    header: bool = True,
    composite: tuple[str, ...] = (),
    source: str = "",
    **more: Any,
) -> None:
    """A report in two shards, of what boto3 lists."""
    rows = [
        {
            "project": "1",
            "bucket": source or archive.name,
            "name": row["Key"],
            "size": str(row["Size"]),
            "timeDeleted": "",
            "updated": row["LastModifiedDate"].isoformat(),
            "storageClass": row["StorageClass"],
            "etag": "CJf+",
            "md5Hash": ""
            if row["Key"] in composite
            else base64.b64encode(bytes.fromhex(row["ETag"])).decode(),
            "crc32c": "AAAAAA==",
        }
        for row in rows_of(archive.s3, archive.name)
    ]
    rows.append(rows[0] | {"timeDeleted": "2026-01-01T00:00:00Z", "size": "99"})  # a generation before
    stem = f"{_ID}_{LISTED_AT:%Y-%m-%dT%H:%M}"
    shards = []
    for number, part in enumerate((rows[::2], rows[1::2])):
        if form == "csv":
            text = io.StringIO()
            lines = csv.DictWriter(text, _FIELDS, delimiter=delimiter)
            if header:
                lines.writeheader()
            lines.writerows(part)
            body = text.getvalue().encode()
        else:
            out = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(part), out)
            body = out.getvalue()
        shards.append(f"{stem}_{number}.{form}")
        archive.s3.put_object(Bucket=archive.lists.bucket, Key=PREFIX + shards[-1], Body=body)
    manifest = {
        "report_config": {},
        "records_processed": len(rows),
        "snapshot_time": LISTED_AT.isoformat(),
        "shard_count": 2,
        "report_shards_file_names": shards,
        **more,
    }
    key = f"{PREFIX}{stem}_manifest.json"
    archive.s3.put_object(Bucket=archive.lists.bucket, Key=key, Body=json.dumps(manifest).encode())


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("csv", "|"), ("parquet", "")])
def test_a_report_is_row_by_row_the_listing_of_the_bucket(
    archive: Archive, form: str, delimiter: str
) -> None:
    archive.source = "gcs_inventory"
    archive.put(*ODD_KEYS)
    _write(archive, form, delimiter)
    taken, listed = archive.take(), archive.list_now()
    assert archive.rows(taken.file) == archive.rows(listed.file)
    assert taken.listed_at == LISTED_AT


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"records_processed": 4}, "have 3 rows, but it says 4"),
        ({"shard_count": 3}, "is no manifest of an inventory report .*2 of 3 shards"),
        ({"shard_count": 0, "report_shards_file_names": []}, "have 0 rows, but it says 3"),
        ({"report_shards_file_names": ["one.csv", "one.csv"]}, "a shard is named twice"),
        ({"report_shards_file_names": ["gone.csv", "also.csv"]}, r"gone\.csv is not there"),
        ({"snapshot_time": "2026-11-20T00:00:00+00:00"}, r"older than `inventory\.max_age`"),
        ({"header": False}, r"_0\.csv lacks the columns bucket, name, .*a header"),
        ({"source": "other"}, r"_0\.csv has a row of the bucket 'other': '[ab]'"),
    ],
)
def test_a_report_that_is_not_whole_is_refused(archive: Archive, wrong: dict[str, Any], said: str) -> None:
    archive.source = "gcs_inventory"
    archive.put("a", "b")
    _write(archive, **wrong)
    with pytest.raises(ListRefused, match=said):
        archive.take()


def test_a_composite_object_has_no_md5_and_is_marked_to_be_asked_for_its_crc32c(
    archive: Archive, tmp_path: Path
) -> None:
    archive.source = "gcs_inventory"
    archive.put("whole", "z-composite")
    _write(archive, composite=("z-composite",))
    catalog = archive.catalog
    reports = open_provider(catalog, catalog.buckets["b"])
    table = reports.rows(
        reports.describe(None, catalog.buckets["b"], archive.now), catalog.buckets["b"], tmp_path, print
    )
    rows = pq.read_table(table).to_pylist()
    assert [(row["key"], row["checksum_algorithm"]) for row in rows] == [
        ("whole", None),
        ("z-composite", "CRC32C"),
    ]
    assert rows[1]["etag"] == "-CJf+"
