"""Lists that a provider wrote: as the listing of the same bucket, proved, completed, or refused."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from fixity.catalog import Bucket, Store
from fixity.catalog.clients import s3_client
from fixity.errors import BucketUnreachable
from fixity.inventories.folder import ListFolder, ListRefused
from fixity.inventories.s3_inventory import refuse_other_prefix
from fixity.ledger.inventory import newest_inventory
from fixity.tables import Provenance
from tests.fixity.inventories.archive import ODD_KEYS, Archive
from tests.fixity.inventories.lists import FORMATS, LISTED_AT, PREFIX, rows_of


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_of_current_versions_is_row_by_row_the_listing_of_the_bucket(
    archive: Archive, form: str
) -> None:
    archive.put(*ODD_KEYS)
    archive.lists.write(archive.name, rows_of(archive.s3, archive.name), form)
    taken, listed = archive.take(), archive.list_now()
    assert archive.rows(taken.file) == archive.rows(listed.file)
    assert taken.objects == len(ODD_KEYS) and not taken.notes
    assert Provenance.read(archive.folder / "lake" / taken.file).listed_at == LISTED_AT == taken.listed_at


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_of_all_versions_is_the_listing_of_all_or_of_the_current_ones(
    make_archive: Callable[..., Archive], form: str
) -> None:
    archive = make_archive(versioned=True)
    archive.put("twice", "deleted", "in/once")
    archive.put("twice", body=b"other")
    archive.s3.delete_object(Bucket=archive.name, Key="deleted")
    archive.lists.write(archive.name, rows_of(archive.s3, archive.name, versions=True), form)
    for settings, count in (({"versions": "all"}, 5), ({}, 3), ({"prefix": "in/"}, 1)):
        archive.settings = settings
        which = "-".join(settings) or "none"
        taken, listed = archive.take(f"list-{which}"), archive.list_now(f"listing-{which}")
        assert archive.rows(taken.file) == archive.rows(listed.file)
        assert taken.objects == count


def _write(archive: Archive, form: str = "CSV", **wrong: Any) -> str:
    for attribute, value in wrong.items():
        setattr(archive.lists, attribute, value)
    return archive.lists.write(archive.name, rows_of(archive.s3, archive.name), form)


def _data(change: Callable[[bytes], bytes | None]) -> Callable[[Archive], None]:
    """Writes a list, and then changes its first data file; None: it is deleted."""

    def spoil(archive: Archive) -> None:
        key = f"{PREFIX}data/{_write(archive)}-0.csv"
        body = change(archive.s3.get_object(Bucket=archive.lists.bucket, Key=key)["Body"].read())
        if body is None:
            archive.s3.delete_object(Bucket=archive.lists.bucket, Key=key)
        else:
            archive.s3.put_object(Bucket=archive.lists.bucket, Key=key, Body=body)

    return spoil


def _changed_manifest(archive: Archive) -> None:
    key = f"{PREFIX}{_write(archive)}/manifest.json"
    archive.s3.put_object(Bucket=archive.lists.bucket, Key=key, Body=b"{}")


def _with(change: dict[str, Any]) -> Callable[[Archive], None]:
    def write(archive: Archive) -> None:
        rows = rows_of(archive.s3, archive.name)
        rows[0] |= change
        archive.lists.write(archive.name, rows)

    return write


def _wrong(form: str = "CSV", **wrong: Any) -> Callable[[Archive], None]:
    def write(archive: Archive) -> None:
        _write(archive, form, **wrong)

    return write


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_data(lambda body: None), r"-0\.csv is not there: wait"),
        (_data(lambda body: body[:-5]), r"-0\.csv has \d+ bytes, but its manifest says \d+: it is truncated"),
        (
            _data(lambda body: body[:-1] + bytes([body[-1] ^ 1])),
            r"-0\.csv has the MD5 .*, but its manifest says",
        ),
        (_changed_manifest, r"manifest\.json has the MD5 .*, but manifest\.checksum beside it says"),
        (_wrong(written_as="ORC"), r"-0\.csv is ORC, but the manifest says CSV"),
        (_wrong(manifest={"sourceBucket": "other"}), r"lists the bucket 'other', but 'b' is the bucket"),
        (_wrong(manifest={"creationTimestamp": "1700000000000"}), r"is of 2023-11-14 22:13 UTC, older than"),
        (_wrong(manifest={"creationTimestamp": "4100000000000"}), r"is in the future"),
        (_wrong(manifest={"fileFormat": "JSON"}), r"is no manifest of S3 Inventory"),
        (_wrong(leave_out=("ETag",)), r"and lacks ETag: add them"),
        (_wrong("Parquet", manifest={"fileSchema": "required binary key (UTF8);"}), r"lacks Bucket, Size"),
        (_wrong(encode=False), r"-[01]\.csv has a key that is not URL-encoded, as all of its keys .*'a b'"),
        (
            _wrong("Parquet", encode=True),
            r"URL-encoded keys, though its form has none: 'a\+b' is in the bucket",
        ),
        (_with({"Bucket": "other"}), r"-0\.csv has a row of the bucket 'other': 'plain"),
        (_with({"Size": -1}), r"-0\.csv has 'plain' with the size '-1', which is no number of bytes"),
        (_with({"Key": ""}), r"-0\.csv has a row without a key"),
        (_with({"LastModifiedDate": "soon"}), r"'plain' with the LastModifiedDate 'soon', which is no time"),
    ],
)
def test_a_list_that_is_not_whole_or_not_of_this_bucket_is_refused_and_the_inventory_before_stays(
    archive: Archive, spoil: Callable[[Archive], None], said: str
) -> None:
    archive.put("a b", "plain")
    before = archive.list_now()
    spoil(archive)
    with pytest.raises(ListRefused, match=said):
        archive.take()
    assert newest_inventory(archive.lake, "b") == before.file
    assert [file.name for file in archive.lake.list("inventory/b/")][1:] == [before.file]


def test_a_file_of_other_columns_than_the_manifest_says_is_refused(archive: Archive) -> None:
    archive.put("a")
    rows = rows_of(archive.s3, archive.name)
    schema = ("bucket", "key", "size", "last_modified_date", "e_tag", "storage_class", "object_owner")
    archive.lists.manifest = {"fileSchema": " ".join(f"optional binary {name};" for name in schema)}
    archive.lists.write(archive.name, rows, "Parquet")
    with pytest.raises(
        ListRefused, match=r"-0\.parquet has the columns bucket, key, .*, but the manifest says"
    ):
        archive.take()


def test_a_version_that_may_or_may_not_be_the_current_one_is_refused(
    make_archive: Callable[..., Archive],
) -> None:
    archive = make_archive(versioned=True)
    rows = rows_of(archive.s3, archive.name, versions=True)
    archive.lists.write(archive.name, [row | {"IsLatest": None} for row in rows], "Parquet")
    with pytest.raises(ListRefused, match=r"-0\.parquet does not say whether it is the current .*'before'"):
        archive.take()


@pytest.mark.parametrize("form", FORMATS)
def test_keys_of_which_a_list_has_no_current_version_are_told_with_their_count(
    make_archive: Callable[..., Archive], form: str
) -> None:
    archive = make_archive(versioned=True)
    archive.put("x y", "y")
    archive.put("x y", body=b"newer")
    archive.s3.delete_object(Bucket=archive.name, Key="y")
    rows = rows_of(archive.s3, archive.name, versions=True)
    archive.lists.write(archive.name, rows, form, at=LISTED_AT)
    assert not [note for note in archive.take("right").notes if "current version" in note]
    cut = [row | {"IsLatest": row["IsLatest"] and row["Key"] != "x y"} for row in rows]
    archive.lists.write(archive.name, cut, form, at=LISTED_AT + timedelta(hours=1))
    (note,) = [each for each in archive.take("cut").notes if "current version" in each]
    assert "no current version of 1 of its keys, such as 'x y'" in note


def _cut_after_a_row(body: bytes) -> bytes:
    """A gzip of the first ten lines, without its last eight bytes, which are their checksum and length."""
    return gzip.compress(b"".join(gzip.decompress(body).splitlines(keepends=True)[:10]))[:-8]


@pytest.mark.parametrize("spoil", [lambda body: body + b"garbage", _cut_after_a_row])
def test_a_file_that_is_no_whole_gzip_is_named_and_the_list_refused(
    archive: Archive, spoil: Callable[[bytes], bytes]
) -> None:
    archive.put(*(hashlib.sha256(str(number).encode()).hexdigest() for number in range(200)))
    name = archive.lists.write(archive.name, rows_of(archive.s3, archive.name))
    manifest = json.loads(archive.lists.read(name, "manifest.json"))
    file = manifest["files"][0]
    body = spoil(archive.s3.get_object(Bucket=archive.lists.bucket, Key=file["key"])["Body"].read())
    archive.s3.put_object(Bucket=archive.lists.bucket, Key=file["key"], Body=body)
    file |= {"size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()}
    archive.lists.manifest = {"files": manifest["files"]}
    archive.lists.write(archive.name, [], at=LISTED_AT + timedelta(hours=1))
    with pytest.raises(ListRefused, match=r"-0\.csv is no whole gzip .* put the file back") as refused:
        archive.take()
    assert refused.value.final


def test_a_folder_that_is_not_found_is_a_bucket_that_is_not_reached(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3_client(Store(name="aws", region="us-east-1"))
    monkeypatch.setattr("fixity.inventories.folder.s3_client", lambda store: client)
    with Stubber(client) as s3, pytest.raises(BucketUnreachable, match=f"{PREFIX}: "):
        s3.add_client_error("list_objects_v2", "404", http_status_code=404)
        ListFolder(archive.catalog, archive.catalog.buckets["b"]).names("")


def test_without_a_list_the_error_says_when_one_comes(archive: Archive) -> None:
    with pytest.raises(ListRefused, match=r"no complete list in s3://.*up to 48 hours"):
        archive.take()


@pytest.mark.parametrize(
    ("name", "why"), [("2099-01-01T00-00Z", "of the future"), ("2026-13-45T99-99Z", "no time")]
)
def test_a_list_whose_name_is_of_the_future_or_no_time_hides_no_other(
    archive: Archive, name: str, why: str
) -> None:
    archive.put("x")
    archive.s3.put_object(Bucket=archive.lists.bucket, Key=f"{PREFIX}{name}/manifest.checksum", Body=b"odd")
    with pytest.raises(ListRefused, match=f"no complete list .*'{name}' .* {why}"):
        archive.take()
    good = archive.lists.write(archive.name, rows_of(archive.s3, archive.name))
    taken = archive.take()
    assert taken.taken_from and good in taken.taken_from and archive.keys() == ["x"]
    (note,) = [each for each in taken.notes if name in each]
    assert why in note and "passed over" in note


def test_a_list_of_later_today_is_refused_because_it_would_hide_the_right_ones(archive: Archive) -> None:
    archive.put("x")
    ahead = archive.now + timedelta(hours=20)
    archive.lists.write(archive.name, rows_of(archive.s3, archive.name), at=ahead, name="2026-11-28T11-00Z")
    with pytest.raises(ListRefused, match="in the future"):
        archive.take()


def test_a_list_of_current_versions_is_no_list_of_all(archive: Archive) -> None:
    archive.put("a")
    _write(archive)
    archive.settings = {"versions": "all"}
    with pytest.raises(ListRefused, match="lists current versions only"):
        archive.take()


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_that_has_no_id_of_versions_that_have_one_is_refused(
    make_archive: Callable[..., Archive], form: str
) -> None:
    """By the rows alone they are all from before versioning: what is asked for tells."""
    archive = make_archive(versioned=True)
    archive.put("a", "b")
    archive.put("b", body=b"newer")
    rows = rows_of(archive.s3, archive.name, versions=True)
    archive.lists.write(archive.name, [row | {"VersionId": None} for row in rows], form)
    archive.settings = {"versions": "all"}
    with pytest.raises(ListRefused, match="without a version id, but in the bucket it is the version"):
        archive.take()


def test_what_a_list_lacks_is_asked_for_before_it_counts_as_gone(archive: Archive) -> None:
    archive.put("a", "is/there", "is/gone", "z")
    archive.list_now(now=lambda: LISTED_AT - timedelta(days=1))
    archive.s3.delete_object(Bucket=archive.name, Key="is/gone")
    rows = [row for row in rows_of(archive.s3, archive.name) if row["Key"] in "az"]
    archive.lists.write(archive.name, rows)
    taken = archive.take()
    assert archive.keys() == ["a", "is/there", "z"]
    (note,) = taken.notes
    assert "lacks 1 objects that the bucket has: they were asked for" in note


def test_a_list_that_lacks_more_than_may_be_asked_for_loses_nothing(archive: Archive) -> None:
    archive.put("a", "b", "c", "z")
    before = archive.list_now(now=lambda: LISTED_AT - timedelta(days=1))
    archive.s3.delete_object(Bucket=archive.name, Key="a")
    archive.lists.write(archive.name, [row for row in rows_of(archive.s3, archive.name) if row["Key"] == "z"])
    archive.objects = 2
    with pytest.raises(
        ListRefused, match=r"lacks 3 objects .* The first 2 were asked for, and 1 of them are in"
    ):
        archive.take()
    assert newest_inventory(archive.lake, "b") == before.file
    archive.objects = 3
    (note,) = archive.take().notes
    assert "lacks 2 objects that the bucket has" in note
    assert archive.keys() == ["b", "c", "z"]


def test_a_list_without_objects_is_believed_only_of_a_bucket_that_has_none(archive: Archive) -> None:
    archive.lists.write(archive.name, [])
    assert archive.take("empty").objects == 0
    archive.put("a")
    later = archive.lists.write(archive.name, [], at=LISTED_AT + timedelta(hours=1))
    with pytest.raises(ListRefused, match="has no object, but the bucket has 'a'"):
        archive.take("later", later)


def test_a_csv_whose_keys_are_not_encoded_is_refused(archive: Archive) -> None:
    archive.put("a+b", "plain", "x")
    archive.lists.encode = False
    archive.lists.write(archive.name, rows_of(archive.s3, archive.name))
    with pytest.raises(ListRefused, match=r"the bucket has 'a\+b', and no 'a b'"):
        archive.take()


def test_a_list_none_of_whose_objects_is_there_is_refused(archive: Archive) -> None:
    archive.put("gone/1", "gone/2")
    archive.lists.write(archive.name, rows_of(archive.s3, archive.name))
    for key in ("gone/1", "gone/2"):
        archive.s3.delete_object(Bucket=archive.name, Key=key)
    archive.put("here")
    with pytest.raises(
        ListRefused, match=r"2 objects of .* were asked for, and none of them is in the bucket"
    ):
        archive.take()


def test_another_list_of_the_same_time_is_read(archive: Archive) -> None:
    archive.put("a", "z")
    _write(archive)
    archive.take("first")
    archive.put("b")
    _write(archive)
    assert archive.take("other").objects == 3
    assert archive.keys() == ["a", "b", "z"]


@pytest.mark.parametrize(
    ("part", "other"), [("photos/", "papers/1"), ("photos/2", "papers/1"), ("papers/", "photos/1")]
)
def test_a_first_list_of_a_part_of_the_bucket_is_refused(archive: Archive, part: str, other: str) -> None:
    archive.put("photos/1", "photos/20", "photos/21", "papers/1", "papers/2")
    rows = [row for row in rows_of(archive.s3, archive.name) if row["Key"].startswith(part)]
    archive.now = max(row["LastModifiedDate"] for row in rows) + timedelta(days=2)
    archive.lists.write(archive.name, rows, at=archive.now)
    with pytest.raises(ListRefused, match=rf"only keys that begin with '{part}', .*'{other}' since"):
        archive.take()


def test_rows_that_two_files_have_are_one_if_they_say_the_same(archive: Archive) -> None:
    archive.put("same", "other")
    rows = rows_of(archive.s3, archive.name)
    other = next(row for row in rows if row["Key"] == "other")
    archive.lists.write(archive.name, [*rows, *rows, other | {"Size": 99}])
    taken = archive.take()
    by_key = {row["key"]: row for row in archive.rows(taken.file)}
    assert taken.objects == len(by_key) == 2
    assert by_key["same"]["size"] == 5
    assert by_key["other"]["etag"].startswith("listed more than once: ")  # nobody guesses which is right
    assert any("contradict" in note or "different data" in note for note in taken.notes)


def test_a_list_is_kept_once_and_an_older_one_does_not_take_its_place(archive: Archive) -> None:
    archive.put("a")
    rows = rows_of(archive.s3, archive.name)
    older = archive.lists.write(archive.name, rows, at=LISTED_AT - timedelta(days=1))
    _write(archive)
    first = archive.take("first")
    assert archive.take("again") == first and first.taken_from and first.taken_from.endswith("/manifest.json")
    late = archive.take("late", older)
    assert "which stays in force" in late.notes[-1]
    assert newest_inventory(archive.lake, "b") == first.file


def test_a_list_that_spells_times_otherwise_than_the_bucket_is_refused(archive: Archive) -> None:
    archive.put("a", "b")
    rows = rows_of(archive.s3, archive.name)
    archive.now = rows[0]["LastModifiedDate"] + timedelta(days=2)
    late = [row | {"LastModifiedDate": row["LastModifiedDate"] + timedelta(hours=1)} for row in rows]
    archive.lists.write(archive.name, late, at=archive.now)
    with pytest.raises(
        ListRefused, match=r"has 'a' with the ETag .* but the bucket has had it with the ETag"
    ):
        archive.take()
    # Written about the time of the scan, it may be a later one than the list has.
    archive.lists.write(archive.name, late, at=archive.now - timedelta(days=1, hours=12))
    unproved = archive.take(name=f"{archive.now - timedelta(days=1, hours=12):%Y-%m-%dT%H-%MZ}")
    assert unproved.objects == 2 and "is not proved: none of the 2 objects" in unproved.notes[0]


@pytest.mark.parametrize(
    ("prefix", "refused"), [("", False), ("pap", False), ("papers/", False), ("x/", True)]
)
def test_a_configuration_with_a_prefix_that_leaves_out_a_part_is_refused(prefix: str, refused: bool) -> None:
    bucket = Bucket.model_validate(
        {
            "name": "b",
            "prefix": "papers/",
            "inventory": {"from": "s3_inventory", "at": "s3://r/lists/b/daily"},
        }
    )
    client = s3_client(Store(name="aws", region="us-east-1"))
    configuration = {
        "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::r", "Format": "CSV"}},
        "IsEnabled": True,
        "Id": "daily",
        "IncludedObjectVersions": "All",
        "Schedule": {"Frequency": "Daily"},
        **({"Filter": {"Prefix": prefix}} if prefix else {}),
    }
    asked = {"Bucket": "b", "Id": "daily"}
    with Stubber(client) as s3:
        s3.add_response(
            "get_bucket_inventory_configuration", {"InventoryConfiguration": configuration}, asked
        )
        with pytest.raises(ListRefused, match="only keys that begin with 'x/'") if refused else nullcontext():
            assert refuse_other_prefix(client, bucket) == ()
        s3.add_client_error("get_bucket_inventory_configuration", "AccessDenied", http_status_code=403)
        (note,) = refuse_other_prefix(client, bucket)
        assert "is not proved" in note
