"""The live inventory table of S3 Metadata: as the listing of the bucket, as of one moment, or refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from botocore.stub import Stubber

from devstack.seaweedfs import REGION
from fixity.catalog import Bucket, Store
from fixity.catalog.clients import s3_client
from fixity.inventories.folder import ListRefused
from fixity.inventories.s3_metadata import S3Metadata, table_of
from tests.fixity.inventories.archive import ODD_KEYS, Archive
from tests.fixity.inventories.lists import rows_of

if TYPE_CHECKING:
    from pyiceberg.table import Table

pytest.importorskip("pyiceberg")
_SCHEMA = pa.schema(
    [
        ("bucket", pa.string()),
        ("key", pa.string()),
        ("sequence_number", pa.string()),
        ("version_id", pa.string()),
        ("is_delete_marker", pa.bool_()),
        ("size", pa.int64()),
        ("last_modified_date", pa.timestamp("us", "UTC")),
        ("e_tag", pa.string()),
        ("storage_class", pa.string()),
        ("checksum_algorithm", pa.string()),
        ("object_tags", pa.map_(pa.string(), pa.string())),
    ]
)
ANSWER = "GetBucketMetadataConfigurationResult"


def _table(folder: Path) -> Table:
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("here", uri=f"sqlite:///{folder}/iceberg.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace_if_not_exists("b_archive")
    return catalog.create_table("b_archive.inventory", schema=_SCHEMA)


def _rows(archive: Archive) -> pa.Table:
    """The rows that S3 would keep of a versioned bucket."""
    rows = [
        {
            "bucket": archive.name,
            "key": row["Key"],
            # Larger where it is newer; that of the current one is the largest of its key.
            "sequence_number": f"{row['LastModifiedDate'].timestamp():020.6f}{'z' * row['IsLatest']}",
            "version_id": row["VersionId"],
            "is_delete_marker": row["IsDeleteMarker"],
            "size": row.get("Size"),
            "last_modified_date": row["LastModifiedDate"],
            "e_tag": row.get("ETag"),
            "storage_class": row.get("StorageClass"),
        }
        for row in rows_of(archive.s3, archive.name, versions=True)
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)


def test_a_live_table_is_row_by_row_the_listing_of_the_bucket_as_when_it_was_opened(
    make_archive: Callable[..., Archive],
    tmp_path: Path,
) -> None:
    archive = make_archive(versioned=True)
    archive.put(*ODD_KEYS, "deleted")
    archive.put("plain.txt", body=b"other")
    archive.s3.delete_object(Bucket=archive.name, Key="deleted")
    table = _table(tmp_path)
    rows = _rows(archive)
    unseen = {"bucket": archive.name, "key": "overwritten at once", "sequence_number": "1", "version_id": "1"}
    table.append(rows.slice(0, 3))
    table.append(pa.concat_tables([rows.slice(3), pa.Table.from_pylist([unseen], _SCHEMA)]))
    opened = S3Metadata(table)
    catalog = archive.catalog
    bucket = catalog.buckets["b"]
    archive.now = datetime.now(UTC)
    provided = opened.describe(None, bucket, archive.now)
    table.append(pa.Table.from_pylist([unseen | {"key": "written meanwhile", "size": 1}], _SCHEMA))
    assert timedelta(minutes=59) < archive.now - provided.listed_at < timedelta(minutes=62)
    for settings in ({"versions": "all"}, {}):
        archive.settings = settings
        which = "-".join(settings) or "none"
        taken, listed = (
            archive.take(which, provider=_Opened(opened, provided)),
            archive.list_now(f"l-{which}"),
        )
        assert archive.rows(taken.file) == archive.rows(listed.file)
        assert taken.taken_from == f"b_archive.inventory@{provided.name}"
        (note,) = [each for each in taken.notes if "no current version" in each]
        assert "of 1 of its keys, such as 'overwritten at once'" in note


def test_a_key_whose_newest_version_s3_has_not_looked_at_is_told(
    make_archive: Callable[..., Archive], tmp_path: Path
) -> None:
    archive = make_archive(versioned=True)
    archive.put("old", "other")
    table = _table(tmp_path)
    newest = {"bucket": archive.name, "key": "old", "sequence_number": "zz", "version_id": "2"}
    table.append(pa.concat_tables([_rows(archive), pa.Table.from_pylist([newest], _SCHEMA)]))
    archive.now = datetime.now(UTC)
    taken = archive.take(provider=S3Metadata(table))
    (note,) = [each for each in taken.notes if "no current version" in each]
    assert "of 1 of its keys, such as 'old'" in note and archive.keys() == ["before", "other"]


class _Opened:
    """A table that was described before it was written to."""

    def __init__(self, opened: S3Metadata, provided: Any) -> None:
        self.describe = lambda *_: provided
        self.rows = opened.rows


def test_a_table_that_is_empty_or_another_one_is_refused_and_one_that_is_old_is_not(tmp_path: Path) -> None:
    bucket = Bucket.model_validate({"name": "b", "inventory": {"from": "s3_metadata"}})
    now = datetime.now(UTC)
    table = _table(tmp_path)
    with pytest.raises(ListRefused, match="has nothing in it yet"):
        S3Metadata(table).describe(None, bucket, now)
    table.append(_SCHEMA.empty_table())
    S3Metadata(table).describe(None, bucket, now)
    # A bucket in which nothing changes has a table that does not change.
    (note,) = S3Metadata(table).describe(None, bucket, now + timedelta(days=2)).notes
    assert "was last changed at" in note
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("e_tag")
    with pytest.raises(ListRefused, match=r"has no e_tag: it is no live inventory"):
        S3Metadata(table).describe(None, bucket, now)


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [
        ("ENABLED", "BACKFILLING", "is BACKFILLING, not ACTIVE: wait until S3 has filled it"),
        ("DISABLED", "ACTIVE", "has no live inventory table: enable S3 Metadata"),
    ],
)
def test_a_table_that_s3_has_not_filled_is_no_list(state: str, status: str, said: str) -> None:
    bucket = Bucket.model_validate({"name": "b", "inventory": {"from": "s3_metadata"}})
    client = s3_client(Store(name="aws", region=REGION))
    with Stubber(client) as s3:
        s3.add_response("get_bucket_metadata_configuration", _answer(state, status))
        with pytest.raises(ListRefused, match=said):
            table_of(client, bucket)
        s3.add_client_error("get_bucket_metadata_configuration", "NotFound", http_status_code=404)
        with pytest.raises(ListRefused, match="has no live inventory table"):
            table_of(client, bucket)
        s3.add_response("get_bucket_metadata_configuration", _answer("ENABLED", "ACTIVE"))
        assert table_of(client, bucket) == ("arn:aws:s3tables:r:1:bucket/aws-s3", "b_b", "inventory")


def _answer(state: str, status: str) -> dict[str, Any]:
    inventory = {
        "ConfigurationState": state,
        "TableStatus": status,
        "TableName": "inventory",
        "TableArn": "arn:aws:s3tables:r:1:bucket/aws-s3/table/1",
    }
    place = {
        "TableBucketType": "aws",
        "TableBucketArn": "arn:aws:s3tables:r:1:bucket/aws-s3",
        "TableNamespace": "b_b",
    }
    found = {"DestinationResult": place, "InventoryTableConfigurationResult": inventory}
    return {ANSWER: {"MetadataConfigurationResult": found}}
