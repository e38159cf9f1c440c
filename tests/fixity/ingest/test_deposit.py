"""A deposit is proved by the least that proves it, and nothing is called different that was not read."""

from __future__ import annotations

import csv
import hashlib
import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.faults import HeadWithoutLength
from devstack.faulty_proxy import FaultyProxy
from devstack.moto_server import MotoServer
from devstack.seaweedfs import REGION, SeaweedFS
from devstack.stub_s3 import StubS3
from fixity.buckets import BucketUnreachable, ListedObject, Sink, Throttle
from fixity.buckets.base import NOT_UTF8
from fixity.buckets.local import LocalReader
from fixity.buckets.s3.attributes import Attributes, Head
from fixity.catalog import Store
from fixity.catalog.clients import s3_client
from fixity.digests.etag import MultipartEtag, likely_part_sizes, parts_of
from fixity.ingest.deposit import Deposit, NothingToVerify, Summary, verify_deposit
from tests.conftest import MakeBucket
from tests.fixity.support import MemoryStore, Unsteady, listing_twice, s3_store

MIB = 1024**2


class Place:
    """A directory, and the bucket it was uploaded to."""

    def __init__(self, folder: Path, endpoint_url: str, bucket: str) -> None:
        self.folder = folder
        self.bucket = bucket
        self.s3 = s3_client(Store(name="here", endpoint_url=endpoint_url, region=REGION))
        self.store = s3_store(endpoint_url, bucket)
        self.read_back: list[str] = []
        self.attributes_kind = Attributes

    def file(self, key: str, body: bytes) -> bytes:
        file = self.folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return body

    def put(self, key: str, body: bytes, **more: str) -> None:
        given: dict[str, Any] = {"Bucket": self.bucket, "Key": key, **more}
        self.s3.put_object(Body=self.file(key, body), **given)

    def put_parts(self, key: str, pieces: list[bytes]) -> None:
        self.file(key, b"".join(pieces))
        where = {"Bucket": self.bucket, "Key": key}
        upload = self.s3.create_multipart_upload(**where)["UploadId"]  # type: ignore[arg-type]
        parts: list[Any] = []
        for number, piece in enumerate(pieces, start=1):
            done = self.s3.upload_part(
                Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=piece
            )
            parts.append({"PartNumber": number, "ETag": done["ETag"]})
        self.s3.complete_multipart_upload(
            Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )

    def verify(
        self,
        prefix: str = "",
        read: bool = False,
        **more: Any,
    ) -> tuple[dict[str, dict[str, str]], Summary]:
        self.read_back = []
        target = _Recording(self)
        source = LocalReader(self.folder, Throttle(4))
        attributes = self.attributes_kind(self.s3, self.bucket)
        report = self.folder.with_suffix(".csv")
        deposit = Deposit(source, target, lambda: attributes, prefix, read, **more)
        summary = verify_deposit(deposit, report, 2)
        with report.open(newline="", encoding="utf-8") as text:
            return {row["key"]: row for row in csv.DictReader(text)}, summary


class _Recording:
    waits_in_turns = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self.list_objects = place.store.list_objects
        self.at_once = place.store.at_once
        self.find = place.store.find
        self.close = place.store.close

    def read(self, item: ListedObject, sink: Sink) -> None:
        self._place.read_back.append(item.key)
        self._place.store.read(item, sink)

    read_afresh = read


def proof(row: dict[str, str]) -> tuple[str, str]:
    return row["status"], row["comparison"]


@pytest.fixture
def place(seaweedfs: SeaweedFS, make_bucket: MakeBucket, tmp_path: Path) -> Place:
    (tmp_path / "deposit").mkdir()
    return Place(tmp_path / "deposit", seaweedfs.endpoint_url, make_bucket())


@pytest.fixture
def moto_place(moto_server: MotoServer, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "deposit").mkdir()
    place = Place(tmp_path / "deposit", moto_server.endpoint_url, f"deposit-{os.getpid()}-{id(tmp_path)}")
    place.s3.create_bucket(Bucket=place.bucket)
    yield place


def test_etags_prove_a_deposit_without_reading_it_back(place: Place) -> None:
    place.put("letters/1828.txt", b"a letter")
    place.put("empty", b"")
    place.put_parts("film.mkv", [os.urandom(5 * MIB), b"the rest"])
    rows, summary = place.verify()
    assert {key: (*proof(row), row["algorithm"]) for key, row in rows.items()} == {
        "letters/1828.txt": ("verified", "etag", "MD5"),
        "empty": ("verified", "etag", "MD5"),
        "film.mkv": ("verified", "etag", "MD5 of 2 parts"),
    }
    assert place.read_back == []
    assert (summary.files, summary.verified, summary.bytes) == (3, 3, 16 + 5 * MIB)


def test_a_head_that_does_not_say_the_size_leaves_the_deposit_to_be_read_back(
    place: Place, faulty_proxy: FaultyProxy
) -> None:
    place.put_parts("film.mkv", [os.urandom(5 * MIB + 7), b"the rest"])
    place.s3 = s3_client(Store(name="here", endpoint_url=faulty_proxy.endpoint_url, region=REGION))
    faulty_proxy.fault(HeadWithoutLength(times=None), method="HEAD")
    rows, _ = place.verify()
    assert {key: proof(row) for key, row in rows.items()} == {"film.mkv": ("verified", "read")}
    assert place.read_back == ["film.mkv"]


def test_parts_of_odd_and_different_sizes_are_asked_for(place: Place) -> None:
    place.put_parts("odd", [os.urandom(5 * MIB + 7), b"the rest"])
    place.put_parts("different", [os.urandom(5 * MIB + 1), os.urandom(6 * MIB), b"the rest"])
    rows, _ = place.verify()
    assert {key: proof(row) for key, row in rows.items()} == {
        "odd": ("verified", "etag"),
        "different": ("verified", "etag"),
    }
    assert place.read_back == []


def test_parts_whose_sizes_nobody_knows_are_read_back(moto_place: Place) -> None:
    # moto does not say how large a part was.
    moto_place.put_parts("odd", [os.urandom(5 * MIB + 7), b"the rest"])
    rows, _ = moto_place.verify()
    assert (proof(rows["odd"]), moto_place.read_back) == (("verified", "read"), ["odd"])


def test_what_no_etag_proves_rests_on_the_stored_checksum_else_it_is_read_back(moto_place: Place) -> None:
    place = moto_place
    body = b"under a key of KMS"
    place.put("with-checksum", body, ChecksumAlgorithm="SHA256")
    place.put("without", body)
    # Under KMS an ETag is no MD5, which moto does not play: the listing's are others here.
    listed = place.store.list_objects
    place.store.list_objects = lambda: map(_with_other_etag, listed())  # type: ignore[method-assign]
    place.attributes_kind = _OfAnyEtag
    rows, _ = place.verify()
    assert (*proof(rows["with-checksum"]), rows["with-checksum"]["algorithm"]) == (
        "verified",
        "s3-checksum",
        "SHA256",
    )
    assert proof(rows["without"])[1] in ("read", "none")
    assert place.read_back == ["without"]


def _with_other_etag(batch: pa.RecordBatch) -> pa.RecordBatch:
    place = batch.schema.get_field_index("etag")
    etags = pa.array(["0" * 32] * batch.num_rows)
    return batch.set_column(place, batch.schema.field("etag"), etags)


class _OfAnyEtag(Attributes):
    def head(
        self, key: str, version_id: str | None = None, etag: str | None = None, part: int | None = None
    ) -> Head:
        return super().head(key, version_id, None, part)


def test_a_difference_is_only_ever_said_of_bytes_that_were_read_back(place: Place) -> None:
    place.put("damaged", b"the right bytes")
    place.s3.put_object(Bucket=place.bucket, Key="damaged", Body=b"the wrong bytes")
    place.put("shorter", b"all of it")
    place.s3.put_object(Bucket=place.bucket, Key="shorter", Body=b"all of")
    place.file("lost", b"never uploaded")
    place.s3.put_object(Bucket=place.bucket, Key="another's", Body=b"")
    rows, summary = place.verify()
    assert {key: proof(row) for key, row in rows.items()} == {
        "damaged": ("mismatch", "read"),
        "shorter": ("mismatch", "size"),
        "lost": ("missing", "none"),
    }
    assert place.read_back == ["damaged", "damaged"]
    assert (summary.mismatch, summary.missing, summary.not_local) == (2, 1, 1)


@pytest.mark.parametrize(
    ("reads", "status", "detail"),
    [
        (b"the wrong bytes|the right bytes", "verified", ""),
        (b"the wrong bytes|the wrong bytes", "mismatch", "the bytes differ, in two reads"),
        (b"the wrong bytes|another mistake", "failed", "UnstableRead: two reads gave different bytes"),
    ],
)
def test_bytes_that_differ_in_one_read_are_no_difference(
    tmp_path: Path, reads: bytes, status: str, detail: str
) -> None:
    (tmp_path / "f").write_bytes(b"the right bytes")
    target = Unsteady()
    target.put("f", b"the right bytes")
    target.answers["f"] = [*reads.split(b"|")]
    deposit = Deposit(LocalReader(tmp_path, Throttle(4)), target, lambda: None, read=True)
    summary = verify_deposit(deposit, tmp_path.with_suffix(".csv"), 1)
    (row,) = csv.DictReader(tmp_path.with_suffix(".csv").read_text().splitlines())
    assert (row["status"], row["detail"][: len(detail)]) == (status, detail)
    assert (getattr(summary, status), target.afresh) == (1, ["f"])


def test_an_object_that_the_listing_lacks_is_looked_up_before_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("late", "longer", "lost"):
        (tmp_path / key).write_bytes(b"the right bytes")
    target = MemoryStore()
    target.put("longer", b"the right")
    pages = list(target.list_objects())
    for key in ("late", "longer"):
        target.put(key, b"the right bytes")
    monkeypatch.setattr(target, "list_objects", lambda: iter(pages))
    deposit = Deposit(LocalReader(tmp_path, Throttle(4)), target, lambda: None, read=True)
    summary = verify_deposit(deposit, tmp_path.with_suffix(".csv"), 1)
    assert (summary.verified, summary.missing, summary.mismatch) == (2, 1, 0)


def test_an_error_is_an_error_and_no_difference(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("a", b"the right bytes")
    place.s3.put_object(Bucket=place.bucket, Key="a", Body=b"the wrong bytes")

    def removed(item: ListedObject, sink: Sink) -> None:
        place.s3.delete_object(Bucket=place.bucket, Key="a")
        type(place.store).read(place.store, item, sink)

    monkeypatch.setattr(place.store, "read", removed)
    rows, summary = place.verify()
    assert proof(rows["a"]) == ("failed", "none")
    assert rows["a"]["detail"].startswith("DeletedSinceListed")
    assert (summary.failed, summary.mismatch) == (1, 0)


def test_read_reads_everything_back_and_a_prefix_leads_to_the_objects(place: Place) -> None:
    place.s3.put_object(Bucket=place.bucket, Key="2026/a", Body=place.file("a", b"one"))
    place.s3.put_object(Bucket=place.bucket, Key="other", Body=b"")
    rows, summary = place.verify(prefix="2026/", read=True)
    assert (*proof(rows["a"]), rows["a"]["algorithm"]) == ("verified", "read", "SHA256")
    assert (place.read_back, summary.not_local) == (["2026/a"], 0)


@given(
    body=st.binary(min_size=1, max_size=300),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 300), max_size=5),
)
def test_the_etag_of_parts_is_that_of_their_md5s_however_the_bytes_come(
    body: bytes, sizes: list[int], cuts: list[int]
) -> None:
    pieces, rest, number = [], body, 0
    while rest:
        size = sizes[min(number, len(sizes) - 1)]
        pieces.append(rest[:size])
        rest, number = rest[size:], number + 1
    expected = hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()
    sink = MultipartEtag(sizes)
    places = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    for start, end in pairwise(places):
        sink.update(memoryview(body[start:end]))
    assert sink.hexdigest() == f"{expected}-{len(pieces)}"
    assert parts_of(sink.hexdigest()) == len(pieces)


@pytest.mark.parametrize(("mebibytes", "size"), [(5, 12 * MIB), (8, 100 * MIB + 1), (16, 1024 * MIB)])
def test_the_sizes_of_usual_tools_are_among_those_tried(mebibytes: int, size: int) -> None:
    sizes = likely_part_sizes(size, -(-size // (mebibytes * MIB)))
    assert mebibytes * MIB in sizes
    assert len(sizes) <= 5


def test_what_either_side_leaves_out_is_no_part_of_the_deposit(place: Place) -> None:
    place.put("a", b"abc")
    place.put("x.tmp", b"abc")
    place.file("y.bak", b"never uploaded")
    rows, summary = place.verify(exclude=("*.tmp",), exclude_files=("*.bak",))
    assert (set(rows), summary.verified, summary.not_local) == ({"a"}, 1, 0)


def test_of_a_bucket_with_versions_the_current_one_is_the_upload(place: Place, seaweedfs: SeaweedFS) -> None:
    place.s3.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"})
    place.store = s3_store(seaweedfs.endpoint_url, place.bucket, versions=True)
    place.put("a", b"an upload before this one")
    place.put("a", b"the upload")
    place.put("overwritten", b"the upload")
    place.s3.put_object(Bucket=place.bucket, Key="overwritten", Body=b"by others!")
    place.put("deleted", b"the upload")
    place.s3.delete_object(Bucket=place.bucket, Key="deleted")
    rows, summary = place.verify()
    assert {key: proof(row) for key, row in rows.items()} == {
        "a": ("verified", "etag"),
        "overwritten": ("mismatch", "read"),
        "deleted": ("missing", "none"),
    }
    assert summary.not_local == 0


@pytest.mark.parametrize(("other", "status"), [(False, "verified"), (True, "failed")])
def test_an_object_that_is_listed_twice_is_proved_unless_its_entries_contradict_each_other(
    tmp_path: Path, stub_s3: StubS3, other: bool, status: str
) -> None:
    for key in ("j", "k"):
        (tmp_path / key).write_bytes(key.encode() * 3)
        stub_s3.put("b", key, key.encode() * 3)
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"no UTF-8")
    stub_s3.lister = listing_twice(other)
    target = s3_store(stub_s3.endpoint_url, "b")
    report = tmp_path.with_suffix(".csv")
    summary = verify_deposit(Deposit(LocalReader(tmp_path, Throttle(4)), target, lambda: None), report, 2)
    with report.open(newline="", encoding="utf-8") as text:
        rows = {row["key"]: row for row in csv.DictReader(text)}
    assert {key: row["status"] for key, row in rows.items()} == {
        "j": "verified", "k": status, rf"\xff{NOT_UTF8}": "failed"
    }  # fmt: skip
    assert ("99 bytes" in rows["k"]["detail"], summary.not_local) == (other, 0)


def test_nothing_to_verify_is_no_proof(place: Place) -> None:
    place.folder.mkdir(exist_ok=True)
    with pytest.raises(NothingToVerify):
        place.verify()


def test_the_report_is_in_the_order_of_keys_however_the_files_are_shared_out(tmp_path: Path) -> None:
    for number in range(250):
        for folder in ("here", "there"):
            file = tmp_path / folder / f"{number % 7}" / f"{number}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(20 * MIB if number == 3 else number))
    source, target = (LocalReader(tmp_path / folder, Throttle(4)) for folder in ("here", "there"))
    summary = verify_deposit(Deposit(source, target, lambda: None), tmp_path / "report.csv", 3)
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as text:
        keys = [row["key"] for row in csv.DictReader(text)]
    assert keys == sorted(f"{number % 7}/{number}" for number in range(250))
    assert (summary.files, summary.verified, summary.not_local) == (250, 250, 0)


def test_a_bucket_that_cannot_be_listed_is_no_report_of_missing_objects(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.file("a", b"uploaded or not, nobody can tell")

    def fail() -> NoReturn:
        raise BucketUnreachable("the bucket is away")

    monkeypatch.setattr(place.store, "list_objects", fail)
    with pytest.raises(BucketUnreachable, match="the bucket is away"):
        place.verify()


def test_files_are_hashed_while_the_bucket_is_listed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        for folder in ("here", "there"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{number:03}").write_bytes(b"the same")
    source, target = (LocalReader(tmp_path / folder, Throttle(4)) for folder in ("here", "there"))
    (whole,) = target.list_objects()
    hashed = threading.Event()
    read = source.read

    def reading(item: ListedObject, sink: Sink) -> None:
        read(item, sink)
        hashed.set()

    def pages() -> Iterator[pa.RecordBatch]:
        yield whole.slice(0, 150)
        assert hashed.wait(10), "nothing was hashed before the listing's end"
        yield whole.slice(150)

    monkeypatch.setattr(source, "read", reading)
    monkeypatch.setattr(target, "list_objects", pages)
    summary = verify_deposit(Deposit(source, target, lambda: None), tmp_path / "report.csv", 2)
    assert (summary.verified, summary.missing) == (300, 0)


def test_a_bucket_that_lists_in_another_order_than_that_of_keys_has_all_its_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        for key in "abc":
            (tmp_path / folder / key).write_bytes(b"the same")
    (tmp_path / "here" / "b").rename(tmp_path / "here" / "bb")
    source, target = (LocalReader(tmp_path / folder, Throttle(4)) for folder in ("here", "there"))
    (whole,) = target.list_objects()
    monkeypatch.setattr(target, "list_objects", lambda: iter([whole.slice(at, 1) for at in (2, 1, 0)]))
    summary = verify_deposit(Deposit(source, target, lambda: None), tmp_path / "report.csv", 2)
    assert (summary.verified, summary.missing, summary.not_local) == (2, 1, 1)
