"""Blob inventories in Azure's form: as the listing of the same bucket, or refused."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.inventories.folder import ListRefused
from tests.fixity.inventories.archive import ODD_KEYS, Archive
from tests.fixity.inventories.lists import LISTED_AT, PREFIX, rows_of

_FIELDS = (
    "Name",
    "Last-Modified",
    "Etag",
    "Content-Length",
    "AccessTier",
    "Snapshot",
    "Deleted",
    "hdi_isfolder",
    "VersionId",
    "IsCurrentVersion",
)
_RUN = f"{LISTED_AT:%Y/%m/%d/%H-%M-%S}"


def _rows(archive: Archive) -> list[dict[str, Any]]:
    """What Azure would write: the blobs, and rows of what is no blob or in another container."""
    rows = [
        {
            "Name": f"{archive.name}/{row['Key']}",
            "Last-Modified": row["LastModifiedDate"],
            "Etag": row["ETag"],
            "Content-Length": row["Size"],
            "AccessTier": row["StorageClass"],
        }
        for row in rows_of(archive.s3, archive.name)
    ]
    rows.append(rows[0] | {"Snapshot": "2026-01-01T00:00:00.0000000Z", "Content-Length": 99})
    former = rows[0] | {"Content-Length": 98}
    rows[0] |= {"VersionId": "2026-02-02T00:00:00.0000000Z", "IsCurrentVersion": True}
    rows.append(former | {"VersionId": "2026-01-02T00:00:00.0000000Z", "IsCurrentVersion": False})
    rows.append(former | {"VersionId": "2026-01-01T00:00:00.0000000Z"})
    rows.append({"Name": f"{archive.name}/folder", "hdi_isfolder": True})
    rows.append({"Name": f"{archive.name}/gone", "Deleted": True, "Content-Length": 1})
    rows.append(rows[0] | {"Name": f"{archive.name}2/of another container"})
    return rows


def _write(
    archive: Archive, form: str = "csv", rule: str = "Rule_1", leave: str = "", all_of: str = "", **more: Any
) -> None:
    """A run of a rule, in two files. Arguments: `leave`, a column that it lacks; `all_of`, the container of
    all rows; `more`, of the manifest."""
    rows, files = _rows(archive), []
    if all_of:
        rows = [row | {"Name": f"{all_of}/{row['Name'].partition('/')[2]}"} for row in rows]
    fields = [name for name in _FIELDS if name != leave]
    for number, part in enumerate((rows[::2], rows[1::2])):
        if form == "csv":
            text = io.StringIO()
            lines = csv.DictWriter(text, fields, extrasaction="ignore")
            lines.writeheader()
            lines.writerows({name: _text(value) for name, value in row.items()} for row in part)
            body = text.getvalue().encode()
        else:
            out = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(part, _SCHEMA), out)
            body = out.getvalue()
        name = f"{_RUN}/{rule}/{rule}_{number}.{form}"
        archive.s3.put_object(Bucket=archive.lists.bucket, Key=PREFIX + name, Body=body)
        files.append({"blob": name, "size": len(body)})
    manifest = {
        "destinationContainer": archive.lists.bucket,
        "files": files,
        "inventoryStartTime": LISTED_AT.isoformat(),
        "ruleDefinition": {"filters": more.pop("filters", {}), "objectType": "blob"},
        "ruleName": rule,
        "status": "Succeeded",
        "summary": {"objectCount": len(rows)},
    }
    text_ = json.dumps(manifest | more).encode()
    place = f"{PREFIX}{_RUN}/{rule}/{rule}-manifest"
    checksum = hashlib.md5(text_).hexdigest().encode()
    archive.s3.put_object(Bucket=archive.lists.bucket, Key=f"{place}.json", Body=text_)
    archive.s3.put_object(Bucket=archive.lists.bucket, Key=f"{place}.checksum", Body=checksum)


_SCHEMA = pa.schema(
    [
        ("Name", pa.string()),
        ("Last-Modified", pa.timestamp("ms", "UTC")),
        ("Etag", pa.string()),
        ("Content-Length", pa.int64()),
        ("AccessTier", pa.string()),
        ("Snapshot", pa.string()),
        ("Deleted", pa.bool_()),
        ("hdi_isfolder", pa.bool_()),
        ("VersionId", pa.string()),
        ("IsCurrentVersion", pa.bool_()),
    ]
)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture
def container(archive: Archive) -> Archive:
    """A bucket whose lists are Azure's."""
    archive.source = "azure_inventory"
    return archive


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_inventory_is_row_by_row_the_listing_of_the_bucket(container: Archive, form: str) -> None:
    container.put(*ODD_KEYS)
    _write(container, form)
    taken, listed = container.take(), container.list_now()
    assert container.rows(taken.file) == container.rows(listed.file)
    assert taken.listed_at == LISTED_AT
    assert not taken.notes


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"status": "PartiallySucceeded"}, "its run is PartiallySucceeded: wait for the next one"),
        ({"summary": {"objectCount": 3}}, "have 8 rows, but it says 3"),
        ({"summary": {}}, "is no manifest of a blob inventory"),
        ({"files": [{"blob": "gone.csv", "size": 1}]}, r"gone\.csv is not there"),
        ({"files": [{"blob": "a.csv", "size": 1}] * 2}, "with 2 files"),
        ({"inventoryStartTime": "2026-11-20T00:00:00Z"}, r"older than `inventory\.max_age`"),
        ({"filters": {"prefixMatch": ["other", "mine"]}}, "lists only other, mine, which is not all of 'b'"),
        ({"filters": {"creationTime": {"lastNDays": 7}}}, "lists only blobs that were created in the last"),
        ({"leave": "Etag"}, r"_0\.csv lacks the columns ETag"),
    ],
)
def test_an_inventory_that_is_not_whole_is_refused(
    container: Archive, wrong: dict[str, Any], said: str
) -> None:
    container.put("a", "b")
    _write(container, **wrong)
    with pytest.raises(ListRefused, match=said):
        container.take()


@pytest.mark.parametrize("excluded", ["", "/", "/pri", "/private/2024"])
def test_a_rule_that_excludes_what_the_bucket_has_is_refused(container: Archive, excluded: str) -> None:
    container.put("private/a")
    container.settings = {"prefix": "private/"}
    _write(container, filters={"excludePrefix": [container.name + excluded]})
    with pytest.raises(ListRefused, match=r"excludes .* which is not all of 'b'"):
        container.take()


def test_a_rule_that_lists_the_bucket_and_more_is_taken(container: Archive) -> None:
    container.put("private/a", "private/b", "elsewhere")
    container.settings = {"prefix": "private/"}
    filters = {"prefixMatch": ["x", container.name[:-1]], "blobTypes": ["blockBlob"]}
    _write(container, filters=filters)
    taken = container.take()
    assert [row["key"] for row in container.rows(taken.file)] == ["a", "b"]
    assert any("lists only blobs of the type blockBlob" in note for note in taken.notes)


def test_an_inventory_of_other_containers_alone_is_refused_of_a_bucket_with_objects_and_told_of_an_empty_one(
    container: Archive,
) -> None:
    container.put("a")
    _write(container, all_of="other")
    with pytest.raises(ListRefused, match="has no object, but the bucket has 'a'"):
        container.take()
    container.s3.delete_object(Bucket=container.name, Key="a")
    taken = container.take()
    assert not container.rows(taken.file)
    (told,) = taken.notes
    assert (
        f"lists nothing of '{container.name}': all of its 7 rows are of other buckets, such as 'other'"
        in told
    )


def test_a_manifest_that_is_not_the_one_of_its_checksum_is_refused(container: Archive) -> None:
    container.put("a")
    _write(container)
    place = f"{PREFIX}{_RUN}/Rule_1/Rule_1-manifest.checksum"
    container.s3.put_object(Bucket=container.lists.bucket, Key=place, Body=b"0" * 32)
    with pytest.raises(ListRefused, match=r"manifest\.checksum beside it says '0000"):
        container.take()


def test_of_two_rules_in_one_container_none_is_guessed(container: Archive) -> None:
    container.put("a")
    _write(container)
    _write(container, rule="Rule_2")
    for name in (None, f"{LISTED_AT:%Y-%m-%dT%H-%M-%S} Rule_1"):  # the sensor asks for one by its name
        with pytest.raises(ListRefused, match="of the rules Rule_1, Rule_2: let each rule have a container"):
            container.take(name=name)


def test_a_container_without_a_complete_run_is_said_to_have_none(container: Archive) -> None:
    container.put("a")
    _write(container)
    place = f"{PREFIX}{_RUN}/Rule_1/Rule_1-manifest.checksum"
    container.s3.delete_object(Bucket=container.lists.bucket, Key=place)
    with pytest.raises(ListRefused, match="no complete blob inventory"):
        container.take()
