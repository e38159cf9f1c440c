"""Writes lists of a bucket as S3 Inventory does, from what boto3 lists."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "lists/source/daily/"
LISTED_AT = datetime(2026, 11, 28, 1, 0, tzinfo=UTC)
FORMATS = ("CSV", "ORC", "Parquet")
_CURRENT = {
    "Bucket": pa.string(),
    "Key": pa.string(),
    "Size": pa.int64(),
    "LastModifiedDate": pa.timestamp("ms", "UTC"),
    "ETag": pa.string(),
    "StorageClass": pa.string(),
    "IsMultipartUploaded": pa.bool_(),
    "ChecksumAlgorithm": pa.string(),
}
_VERSIONS = {"VersionId": pa.string(), "IsLatest": pa.bool_(), "IsDeleteMarker": pa.bool_()}
_SNAKE = {
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "IsMultipartUploaded": "is_multipart_uploaded",
    "ChecksumAlgorithm": "checksum_algorithm",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}
Row = dict[str, Any]


def rows_of(s3: S3Client, bucket: str, versions: bool = False) -> list[Row]:
    """The rows that S3 would write, in another order than that of keys."""
    if not versions:
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return [_row(bucket, each) for each in reversed(listed)]
    answer = s3.list_object_versions(Bucket=bucket)
    rows = [
        # An object from before versioning has no version there.
        _row(bucket, each)
        | {
            "VersionId": None if each["VersionId"] == "null" else each["VersionId"],
            "IsLatest": each["IsLatest"],
            "IsDeleteMarker": False,
        }
        for each in answer.get("Versions", [])
    ]
    rows += [
        {
            "Bucket": bucket,
            "Key": each["Key"],
            "VersionId": each["VersionId"],
            "IsLatest": each["IsLatest"],
            "IsDeleteMarker": True,
            "LastModifiedDate": each["LastModified"],
        }
        for each in answer.get("DeleteMarkers", [])
    ]
    return rows[::-1]


def _row(bucket: str, each: Any) -> Row:
    return {
        "Bucket": bucket,
        "Key": each["Key"],
        "Size": each["Size"],
        "LastModifiedDate": each["LastModified"],
        "ETag": each["ETag"].strip('"'),
        "StorageClass": each.get("StorageClass", "STANDARD"),
        "IsMultipartUploaded": False,
    }


@dataclass
class Lists:
    """A folder of lists in a bucket. The attributes are what tests make wrong."""

    s3: S3Client
    bucket: str
    manifest: dict[str, Any] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    encode: bool | None = None
    written_as: str | None = None

    @property
    def place(self) -> str:
        """As in the catalog."""
        return f"s3://{self.bucket}/{PREFIX}"

    def read(self, name: str, file: str) -> bytes:
        """A file of a list."""
        return self.s3.get_object(Bucket=self.bucket, Key=f"{PREFIX}{name}/{file}")["Body"].read()

    def write(
        self,
        source: str,
        rows: list[Row],
        form: str = "CSV",
        at: datetime = LISTED_AT,
        name: str | None = None,
    ) -> str:
        """Write a list in two files; returns its name."""
        name = name or f"{at:%Y-%m-%dT%H-%MZ}"
        columns = {**_CURRENT, **(_VERSIONS if any("IsLatest" in row for row in rows) else {})}
        columns = {each: kind for each, kind in columns.items() if each not in self.leave_out}
        encode = self.encode if self.encode is not None else form == "CSV"
        written = [{**row, "Key": quote_plus(row["Key"], safe="/") if encode else row["Key"]} for row in rows]
        files = []
        for number, part in enumerate((written[::2], written[1::2])):
            body = _body(part, columns, self.written_as or form)
            key = f"{PREFIX}data/{name}-{number}.{form.lower()}"
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
            files.append({"key": key, "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()})
        manifest = {
            "sourceBucket": source,
            "destinationBucket": f"arn:aws:s3:::{self.bucket}",
            "version": "2016-11-30",
            "creationTimestamp": str(int(at.timestamp() * 1000)),
            "fileFormat": form,
            "fileSchema": _schema(columns, form),
            "files": files,
            **self.manifest,
        }
        text = json.dumps(manifest).encode()
        self.s3.put_object(Bucket=self.bucket, Key=f"{PREFIX}{name}/manifest.json", Body=text)
        self.s3.put_object(
            Bucket=self.bucket,
            Key=f"{PREFIX}{name}/manifest.checksum",
            Body=hashlib.md5(text).hexdigest().encode(),
        )
        return name


def _snake(name: str) -> str:
    return _SNAKE.get(name, name.lower())


def _schema(columns: dict[str, pa.DataType], form: str) -> str:
    if form == "CSV":
        return ", ".join(columns)
    if form == "ORC":
        return f"struct<{','.join(f'{_snake(name)}:{kind}' for name, kind in columns.items())}>"
    said = [f"required binary {_snake(name)} (UTF8);" for name in columns]
    return f"message s3.inventory {{  {'  '.join(said)} }}"


def _body(rows: list[Row], columns: dict[str, pa.DataType], form: str) -> bytes:
    out = io.BytesIO()
    if form == "CSV":
        text = io.StringIO()
        lines = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        lines.writerows([_text(row.get(name)) for name in columns] for row in rows)
        return gzip.compress(text.getvalue().encode())
    table = pa.table(
        {_snake(name): pa.array([row.get(name) for row in rows], kind) for name, kind in columns.items()}
    )
    if form == "ORC":
        orc.write_table(table, out, compression="zlib")
    else:
        pq.write_table(table, out, compression="snappy")
    return out.getvalue()


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
