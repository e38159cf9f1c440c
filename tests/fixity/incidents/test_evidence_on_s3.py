"""What a real store says of both sides gives the diagnosis of each suspect row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devstack.seaweedfs import SeaweedFS
from fixity.catalog import load_catalog
from fixity.incidents.asking import part_digests
from tests.conftest import MakeBucket
from tests.fixity.incidents.archive import BAD, GOOD, Archive, add_check, ledger_file, write
from tests.fixity.support import sha256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class Remote:
    """An archive of two buckets on the real server."""

    archive: Archive
    s3: S3Client
    names: dict[str, str]

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.names[bucket], Key=key, Body=body)

    def delete(self, bucket: str, key: str) -> None:
        self.s3.delete_object(Bucket=self.names[bucket], Key=key)


def remote(
    folder: Path, s3: S3Client, server: SeaweedFS, names: dict[str, str], **settings: dict[str, Any]
) -> Remote:
    of_server = {"store": "real", "prefix": "p/"}
    buckets = {key: {**of_server, "bucket": name} for key, name in names.items()}
    buckets |= {key: {**buckets.get(key, {}), **more} for key, more in settings.items()}
    archive = Archive.of(folder, buckets, {"a": {"replica": "b"}}, server.endpoint_url)
    return Remote(archive, s3, names)


def test_a_replica_with_an_older_version_of_a_versioned_source_is_stale(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    names = {"a": make_bucket(versioned=True), "b": make_bucket()}
    store = remote(tmp_path, s3, seaweedfs, names, a={"versions": "all"})
    for bucket in ("a", "b"):
        store.put(bucket, "p/letter", GOOD)
    store.put("a", "p/letter", b"the second edition")
    store.archive.check("1")
    row = store.archive.diagnose()["letter"]
    versions = s3.list_object_versions(Bucket=names["a"])["Versions"]
    (older,) = [each["VersionId"] for each in versions if not each["IsLatest"]]
    assert (row["diagnosis"], row["damaged"]) == ("replica_stale", ["b"])
    assert f"the source's older version {older} of " in row["diagnosis_rests_on"]


def test_an_object_that_was_deleted_is_called_that_with_the_time_of_its_marker(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    names = {"a": make_bucket(versioned=True), "b": make_bucket(versioned=True)}
    store = remote(tmp_path, s3, seaweedfs, names)
    keys = ("deleted in a", "deleted in b", "deleted in b, and its neighbour", "twice", "never in b")
    for key in keys:
        store.put("a", f"p/{key}", GOOD)
        if key != "never in b":
            store.put("b", f"p/{key}", GOOD)
    store.archive.check("1")
    for bucket, key in (("a", keys[0]), ("b", keys[1]), ("b", "twice"), ("b", "twice")):
        store.delete(bucket, f"p/{key}")
    store.archive.check("2")
    found = store.archive.diagnose()
    markers = s3.list_object_versions(Bucket=names["b"])["DeleteMarkers"]
    first = min(each["LastModified"] for each in markers if each["Key"] == "p/twice")
    assert {key: row["diagnosis"] for key, row in found.items()} == {
        "deleted in a": "deleted", "deleted in b": "deleted", "never in b": None, "twice": "deleted"
    }  # fmt: skip
    assert found["twice"]["diagnosis_rests_on"].startswith(
        f"the replica has a delete marker of {first.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )
    assert found["deleted in a"]["diagnosis_rests_on"].startswith("the source has a delete marker of ")
    assert [row["damaged"] for row in found.values()] == [[], [], [], []]


def test_a_marker_that_is_older_than_the_object_on_the_other_side_is_of_another_one(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """The replica's was deleted; then the source got a new one, which never was in the replica."""
    names = {"b": make_bucket(versioned=True)}
    store = remote(tmp_path, s3, seaweedfs, names, a={"path": "./a"})
    (tmp_path / "a").mkdir()
    for key in ("older", "newer"):
        store.put("b", f"p/{key}", GOOD)
        store.delete("b", f"p/{key}")
        write(tmp_path / "a" / key, GOOD)
    (tmp_path / "a" / "newer").write_bytes(GOOD)
    store.archive.check("1")
    found = store.archive.diagnose()
    assert {key: row["diagnosis"] for key, row in found.items()} == {"older": "deleted", "newer": None}


def test_without_versions_a_deletion_is_not_known_as_one(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    store = remote(tmp_path, s3, seaweedfs, {"a": make_bucket(), "b": make_bucket()})
    for bucket in ("a", "b"):
        store.put(bucket, "p/letter", GOOD)
    store.archive.check("1")
    store.delete("b", "p/letter")
    store.archive.check("2")
    row = store.archive.diagnose()["letter"]
    assert row["diagnosis"] is None
    assert row["diagnosis_rests_on"].startswith("the replica had it on ")


def test_a_store_that_does_not_answer_is_no_evidence(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """The marker of the deleted object cannot be asked for."""
    names = {"a": make_bucket(), "b": make_bucket(versioned=True)}
    store = remote(tmp_path, s3, seaweedfs, names)
    for bucket, key in (("a", "letter"), ("b", "letter"), ("a", "other"), ("b", "other")):
        store.put(bucket, f"p/{key}", GOOD)
    store.delete("b", "p/letter")
    store.archive.check("1")
    assert store.archive.diagnose()["letter"]["diagnosis"] == "deleted"
    s3.delete_bucket(Bucket=names["b"])
    try:
        assert store.archive.diagnose()["letter"]["diagnosis"] is None
    finally:
        s3.create_bucket(Bucket=names["b"])  # the fixture deletes it


def test_an_etag_tells_which_copy_is_no_longer_what_was_uploaded(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """Both were uploaded with the same MD5, which was computed of what each has now."""
    names = {"a": make_bucket(), "b": make_bucket()}
    store = remote(tmp_path, s3, seaweedfs, names)
    for bucket in ("a", "b"):
        store.put(bucket, "p/letter", GOOD)
    store.archive.check("1")
    (etag,) = {store.archive.checks(bucket, "1")["letter"]["etag"] for bucket in ("a", "b")}
    rotten: dict[str, Any] = {"checksum": sha256(BAD), "reads": 2, "other_checksums": [("MD5", "0" * 32)]}
    add_check(store.archive, "a", "2", other_checksums=[("MD5", etag)])
    add_check(store.archive, "b", "2", **rotten)
    file = store.archive.lake.location(ledger_file("b", "1"))
    Path(file).unlink()  # the replica's first check would tell it too
    row = store.archive.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert "the source's bytes match its ETag (MD5)" in row["diagnosis_rests_on"]


def test_each_row_has_its_own_diagnosis_all_of_them_together(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    """Files of the source rot on the disk; that objects of the replica do, the ledger of the replica says."""
    store = remote(tmp_path, s3, seaweedfs, {"b": make_bucket(versioned=True)}, a={"path": "./a"})
    archive, source = store.archive, tmp_path / "a"
    source.mkdir()
    keys = ("good", "source rots", "replica rots", "both rot", "stale", "deleted", "busy", "missing")
    for key in keys:
        write(source / key, GOOD)
        store.put("b", f"p/{key}", GOOD)
    for key in ("other", "busy"):
        write(source / key, b"always another")
        store.put("b", f"p/{key}", GOOD)
    archive.check("1")
    for key in ("source rots", "both rot"):
        write(source / key, BAD)
    write(source / "stale", b"the second edition", day=2)
    write(source / "missing in b", GOOD)
    store.delete("b", "p/deleted")
    (source / "missing").unlink()
    archive.check("2")
    for key in ("replica rots", "both rot"):
        add_check(archive, "b", f"b3 {key}", key, checksum=sha256(b"rotten"), reads=2)
    newer = {"last_modified": datetime(2026, 1, 3, tzinfo=UTC), "checksum": sha256(GOOD)}
    add_check(archive, "a", "a3 busy", "busy", **newer)
    for bucket in ("a", "b"):  # without the pointers to them, all files are used
        (tmp_path / "lake" / "checksums" / bucket / "NEWEST.json").unlink()
    assert {key: (row["diagnosis"], row["damaged"]) for key, row in archive.diagnose().items()} == {
        "both rot": ("both_damaged", ["a", "b"]),
        "busy": ("changed_meanwhile", []),
        "deleted": ("deleted", []),
        "missing": (None, []),
        "missing in b": (None, []),
        "other": ("cannot_tell", []),
        "replica rots": ("replica_damaged", ["b"]),
        "source rots": ("source_damaged", ["a"]),
        "stale": ("replica_stale", ["b"]),
    }


def test_a_multipart_etag_is_computed_where_nothing_else_tells(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    name, size = make_bucket(), 5 * 1024**2
    body = bytes(size) + GOOD
    upload = s3.create_multipart_upload(Bucket=name, Key="letter")["UploadId"]
    place: Any = {"Bucket": name, "Key": "letter", "UploadId": upload}
    parts: list[Any] = [
        {"PartNumber": number, "ETag": s3.upload_part(**place, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate((body[:size], body[size:]), 1)
    ]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    (tmp_path / "b").mkdir()
    buckets = {"a": {"store": "real", "bucket": name}, "b": {"path": "./b"}}
    archive = Archive.of(tmp_path, buckets, {"a": {"replica": "b"}}, seaweedfs.endpoint_url)
    (tmp_path / "b" / "letter").write_bytes(bytes(size) + BAD)
    archive.check("1")
    row = archive.diagnose()["letter"]
    assert (row["diagnosis"], row["damaged"]) == ("replica_damaged", ["b"])
    assert row["diagnosis_rests_on"].endswith(
        "; the source's bytes match its ETag (MD5 of parts of 5,242,880 bytes)"
    )


def test_no_more_is_read_for_multipart_etags_than_second_look_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fixity.yaml").write_text(
        "{lake: ./lake, second_look: {bytes: 10}, buckets: {a: {path: ./a}, b: {path: ./b}}}"
    )
    catalog = load_catalog(tmp_path / "fixity.yaml")
    rows = [
        {"source_size": 3, "replica_size": 3, "key": "read"},
        {"source_size": 3, "replica_size": 2, "key": "k"},
    ]
    asked: list[str] = []

    def read(store: object, row: dict[str, Any], name: str, sizes: object) -> dict[str, str]:
        asked.append(row["key"])
        return {}

    monkeypatch.setattr("fixity.incidents.asking._read", read)
    monkeypatch.setattr("fixity.incidents.asking._parts", lambda row, name, bucket: None)
    found = list(
        part_digests(catalog, {"source": catalog.buckets["a"], "replica": catalog.buckets["b"]}, rows)
    )
    assert ([row["key"] for row, _ in found], asked) == (["read"], ["read", "read"])
