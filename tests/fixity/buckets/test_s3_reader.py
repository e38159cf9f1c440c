"""Reading from S3: every key, size and version, as it was listed."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from devstack.delay_proxy import DelayProxy
from devstack.faulty_proxy import FaultyProxy
from devstack.loopback import S3Request
from devstack.seaweedfs import SeaweedFS
from devstack.stub_s3 import StubS3, _StubHandler
from fixity.buckets import Throttle
from fixity.buckets.finder import Finder
from fixity.buckets.s3.http1 import Connection, Response
from fixity.buckets.s3.reader import S3Reader
from fixity.digests.algorithms import Digest
from fixity.engines.stream.engine import check_objects
from fixity.engines.stream.second_look import Afresh
from tests.conftest import MakeBucket
from tests.fixity.buckets.conftest import PIECE, RIGHT
from tests.fixity.support import by_sha256, check, listed, only, outcome, s3_store, sha256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


KEPT_BY_SEAWEEDFS = [
    "plain", "dir/deep/er", "é😀漢字", "e\u0301 decomposed", "a b  c ", " lead", "p+q%41&h#q?x",
    "\"'`,;=|^:<>~*[]{}()!@$", "new\nline", "tab\t", "CASE", "case", "Case", "100%", "%", "%2F", "a.b.",
    "...", "s" * 255, "x/" * 100 + "x",
]  # fmt: skip
ODD_KEYS = [
    *KEPT_BY_SEAWEEDFS, "/lead", "//lead", "dou//ble", "dir/", "dir//", "/", "//", "a/./b", "a/../b", ".",
    "..", "../up", "./here", "a/.", "a/..", "back\\slash", "\x01\x7f", "\r\n", "s" * 1024, "é" * 512,
    "\u2028", "\ufeffbom", "\u0085", "?versionId=x", "#", "+", "a%2Fb", "a/b",
]  # fmt: skip


def test_every_odd_key_is_listed_and_read_as_what_it_is(stub_s3: StubS3) -> None:
    bodies = {key: f"the bytes of {key!r}".encode() for key in ODD_KEYS}
    for key, body in bodies.items():
        stub_s3.put("odd", key, body)
    store = s3_store(stub_s3.endpoint_url, "odd")
    items = listed(store)
    assert [item.key for item in items] == sorted(ODD_KEYS, key=str.encode)
    checks = check_objects(store, enumerate(items), by_sha256, threads=4)
    assert {items[done.position].key: done.checksum for done in checks} == {
        key: sha256(body) for key, body in bodies.items()
    }


def test_odd_keys_are_read_below_a_prefix_and_by_version_too(stub_s3: StubS3) -> None:
    for key in ODD_KEYS:
        stub_s3.put("odd", "a b/+é" + key, b"old " + key.encode(), version_id="v+1/=")
        stub_s3.put("odd", "a b/+é" + key, b"new", version_id="v2")
    store = s3_store(stub_s3.endpoint_url, "odd", prefix="a b/+é", versions=True)
    old = [item for item in listed(store) if not item.is_latest]
    assert {item.key: check(store, item).checksum for item in old} == {
        key: sha256(b"old " + key.encode()) for key in ODD_KEYS
    }


def test_odd_keys_go_end_to_end_on_a_real_server(
    seaweedfs: SeaweedFS, s3: S3Client, make_bucket: MakeBucket
) -> None:
    name = make_bucket()
    for key in KEPT_BY_SEAWEEDFS:
        s3.put_object(Bucket=name, Key=key, Body=f"the bytes of {key!r}".encode())
    store = s3_store(seaweedfs.endpoint_url, name)
    items = listed(store)
    assert sorted(item.key for item in items) == sorted(KEPT_BY_SEAWEEDFS)
    for item in items:
        assert outcome(store, item) == ("succeeded", sha256(f"the bytes of {item.key!r}".encode()))


class _Normalising(_StubHandler):
    """A server, or a proxy before it, that tidies paths up: `//`, `/./` and `/../` are taken out."""

    def handle_request(self, request: S3Request, body: bytes) -> None:
        path, mark, query = request.path.partition("?")
        tidy = os.path.normpath(path) + ("/" if path == f"/{request.bucket}" else "")
        super().handle_request(replace(request, path=tidy + mark + query), body)


@pytest.mark.parametrize("key", ["a//b", "a/./b", "x/../a/b", "a/b/"])
@pytest.mark.parametrize("other", [b"other byte", b"another length"])
def test_a_server_that_answers_with_another_object_fails_the_check_and_names_the_reason(
    stub_s3: StubS3, key: str, other: bytes
) -> None:
    stub_s3.RequestHandlerClass = _Normalising
    stub_s3.put("odd", "a/b", other)
    stub_s3.put("odd", key, b"these byte")
    store = s3_store(stub_s3.endpoint_url, "odd")
    done = check(store, only(store, key))
    assert (done.status, done.error_code, done.checksum) == ("failed", "OtherObject", None)
    assert "may not be addressable" in (done.error_message or "")
    assert outcome(store, only(store, "a/b")) == ("succeeded", sha256(other))


def test_each_version_is_read_as_itself_also_after_an_overwrite_and_a_delete_marker(
    seaweedfs: SeaweedFS, s3: S3Client, make_bucket: MakeBucket
) -> None:
    name = make_bucket()
    s3.put_object(Bucket=name, Key="k", Body=b"before versioning")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=name, Key="k", Body=b"first")
    store = s3_store(seaweedfs.endpoint_url, name, versions=True)
    before = listed(store)
    s3.put_object(Bucket=name, Key="k", Body=b"second")
    s3.delete_object(Bucket=name, Key="k")
    after = listed(store)
    assert sorted(check(store, item).checksum or "" for item in before) == sorted(
        map(sha256, [b"before versioning", b"first"])
    )
    assert sorted(check(store, item).checksum or "" for item in after) == sorted(
        map(sha256, [b"before versioning", b"first", b"second"])
    )
    assert [item.version_id for item in after].count("null") == 1
    assert not any(item.is_latest for item in after)


def test_a_version_deleted_since_it_was_listed_is_skipped_and_the_others_are_read(
    seaweedfs: SeaweedFS, s3: S3Client, make_bucket: MakeBucket
) -> None:
    name = make_bucket(versioned=True)
    for body in (b"one", b"two", b"three"):
        s3.put_object(Bucket=name, Key="k", Body=body)
    store = s3_store(seaweedfs.endpoint_url, name, versions=True)
    items = listed(store)
    gone = items[1].version_id
    assert gone is not None
    s3.delete_object(Bucket=name, Key="k", VersionId=gone)
    assert [outcome(store, item) for item in items] == [
        ("succeeded", sha256(b"three")),
        ("skipped", "DeletedSinceListed"),
        ("succeeded", sha256(b"one")),
    ]


def test_a_null_version_that_was_replaced_is_skipped(stub_s3: StubS3) -> None:
    stub_s3.put("b", "k", b"old")
    store = s3_store(stub_s3.endpoint_url, "b", versions=True)
    item = only(store, "k")
    stub_s3.put("b", "k", b"new")
    assert (item.version_id, outcome(store, item)) == ("null", ("skipped", "ChangedSinceListed"))


def test_a_version_is_looked_for_through_all_pages_of_its_key(
    stub_s3: StubS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.reader._PAGE", 2)
    for number in range(7):
        stub_s3.put("b", "k", b"%d" % number, version_id=f"v{number}")
    stub_s3.put("b", "k2", b"")
    store = s3_store(stub_s3.endpoint_url, "b", versions=True)
    oldest = next(item for item in listed(store) if item.version_id == "v0")
    assert outcome(store, replace(oldest, etag="other")) == ("skipped", "ChangedSinceListed")
    assert outcome(store, replace(oldest, version_id="v9")) == ("skipped", "DeletedSinceListed")


def test_a_store_never_has_more_requests_at_once_than_its_pace_allows(
    faulty_proxy: FaultyProxy, s3: S3Client, bucket: str
) -> None:
    for number in range(30):
        s3.put_object(Bucket=bucket, Key=f"p/{number:02}", Body=b"x" * 100_000)
    store = s3_store(faulty_proxy.endpoint_url, bucket, throttle=Throttle(3), prefix="p/")
    items = listed(store)
    checks = list(check_objects(store, enumerate(items), by_sha256, threads=8))
    assert {each.checksum for each in checks} == {sha256(b"x" * 100_000)}
    assert faulty_proxy.max_concurrent <= 3


def test_a_store_that_is_far_away_is_asked_for_more_at_once(seaweedfs: SeaweedFS, bucket: str) -> None:
    with DelayProxy(seaweedfs.endpoint_url, 0.06) as proxy:
        store = s3_store(proxy.endpoint_url, bucket, throttle=Throttle(Finder(4, 64)))
        item = only(store, "k")
        checks = check_objects(store, enumerate([item] * 400), by_sha256, store.at_once)
        assert {(each.status, each.checksum) for each in checks} == {RIGHT}
        assert store.at_once() > 4
        store.close()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 9_000_000])
def test_objects_of_every_size_are_read_to_the_last_byte(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, size: int
) -> None:
    body = random.Random(size).randbytes(size)
    s3.put_object(Bucket=bucket, Key="sized", Body=body)
    store = s3_store(seaweedfs.endpoint_url, bucket)
    done = check(store, only(store, "sized"))
    assert (done.status, done.checksum, done.bytes_read) == ("succeeded", sha256(body), size)


def test_a_closed_store_opens_its_connections_again(seaweedfs: SeaweedFS, bucket: str) -> None:
    store: S3Reader = s3_store(seaweedfs.endpoint_url, bucket)
    for _ in range(2):
        assert outcome(store, only(store, "k")) == RIGHT
        store.close()


def test_a_multipart_object_is_hashed_over_all_its_parts(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    parts = [random.Random(4).randbytes(5 * 1024 * 1024), b"the last part"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="mp")["UploadId"]
    done = [
        s3.upload_part(Bucket=bucket, Key="mp", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="mp",
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": n} for n, etag in enumerate(done, 1)]},
    )
    store = s3_store(seaweedfs.endpoint_url, bucket)
    item = only(store, "mp")
    assert (item.etag or "").endswith("-2")
    assert outcome(store, item) == ("succeeded", sha256(b"".join(parts)))


def test_no_object_is_read_again_on_the_connection_of_an_earlier_read_of_it(
    stub_s3: StubS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of a first read nor of the second look before; within a look, a thread keeps its connection."""
    for number in range(40):
        stub_s3.put("b", f"{number:02d}", b"x")
    store = s3_store(stub_s3.endpoint_url, "b")
    items = list(enumerate(listed(store)))
    used: list[tuple[str, Connection]] = []
    request = Connection.request

    def noted(self: Connection, method: str, target: str, headers: dict[str, str]) -> Response:
        used.append((target, self))
        return request(self, method, target, headers)

    monkeypatch.setattr(Connection, "request", noted)
    for reads in (store, Afresh(store), Afresh(store)):
        assert all(done.checksum for done in check_objects(reads, items, by_sha256, threads=3))
    for target, _ in used:
        assert len({id(connection) for where, connection in used if where == target}) == 3
    assert len({id(connection) for _, connection in used}) <= 9
    one = s3_store(stub_s3.endpoint_url, "b")  # and where one thread does all of it
    used.clear()
    for _, item in items[:2]:
        check(one, item)
        one.read_afresh(item, Digest("SHA256"))
    connections = [connection for _, connection in used]
    assert connections[::2] == [connections[0]] * 2 and connections[1::2] == [connections[1]] * 2
    assert connections[0] is not connections[1]
