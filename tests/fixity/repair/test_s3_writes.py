"""What a new object of S3 has besides its bytes, how it is sent, and what is left of an upload that fails."""

from __future__ import annotations

from typing import Any

import pytest

from fixity.buckets.s3 import upload as uploads
from fixity.buckets.s3.upload import Sending, part_size_for
from fixity.buckets.s3.writer import S3Writer
from fixity.repair import repair
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import Places

MIB = 1024**2
ATTRIBUTES: dict[str, Any] = {
    "ContentType": "text/plain; charset=utf-8",
    "ContentDisposition": 'attachment; filename="k"',
    "ContentLanguage": "de",
    "CacheControl": "no-cache",
    "Metadata": {"depositor": "the archive", "md5": "0"},
    "Tagging": "class=letters&note=a%20b",
}


def attributes(pair: Places, bucket: str, key: str = "k") -> dict[str, Any]:
    head: Any = pair.s3.head_object(Bucket=pair.real[bucket], Key=key)
    tags = pair.s3.get_object_tagging(Bucket=pair.real[bucket], Key=key)["TagSet"]
    return {
        **{name: head.get(name) for name in ATTRIBUTES if name != "Tagging"},
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


@pytest.mark.parametrize("replica", ["s3", "elsewhere"])
def test_a_new_copy_has_the_metadata_tags_and_headers_of_the_good_one(
    places: MakePlaces, replica: str
) -> None:
    pair = places("s3", replica)
    pair.put("a", "k", **ATTRIBUTES)
    pair.put("b", "k")
    pair.check()
    pair.corrupt("b", "k")
    pair.check("b")
    pair.repair()
    wanted = {name: value for name, value in ATTRIBUTES.items() if name != "Tagging"}
    assert attributes(pair, "b") == {**wanted, "tags": {"class": "letters", "note": "a b"}}
    assert pair.open_incidents == []


@pytest.mark.parametrize("replica", ["s3", "elsewhere"])
def test_a_new_copy_has_the_storage_class_of_the_one_that_it_replaces(
    places: MakePlaces, replica: str
) -> None:
    pair = places("s3", replica)
    pair.put("a", "k")
    pair.put("b", "k", StorageClass="STANDARD_IA")
    pair.check()
    pair.corrupt("b", "k")
    pair.check("b")
    pair.repair()
    head = pair.s3.head_object(Bucket=pair.real["b"], Key="k")
    assert (head.get("StorageClass"), pair.get("b", "k")) == ("STANDARD_IA", pair.get("a", "k"))


def test_a_copy_from_a_file_keeps_the_attributes_of_the_one_that_it_replaces(places: MakePlaces) -> None:
    pair = places("directory", "s3")
    pair.put("a", "k")
    pair.put("b", "k", **ATTRIBUTES)
    pair.check()
    pair.corrupt("b", "k")
    pair.check("b")
    before = attributes(pair, "b")
    pair.repair()
    assert attributes(pair, "b") == before


def in_parts(pair: Places, bucket: str, body: bytes, size: int) -> None:
    place: dict[str, Any] = {"Bucket": pair.real[bucket], "Key": "k"}
    upload = {**place, "UploadId": pair.s3.create_multipart_upload(**place)["UploadId"]}
    parts: Any = [
        {
            "PartNumber": number,
            "ETag": pair.s3.upload_part(**upload, PartNumber=number, Body=body[first : first + size])["ETag"],
        }
        for number, first in enumerate(range(0, len(body), size), 1)
    ]
    pair.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@pytest.fixture
def parted(places: MakePlaces, request: pytest.FixtureRequest) -> Places:
    """A pair whose object was uploaded in parts, with a bad copy."""
    pair = places("s3", request.param)
    body = bytes(range(256)) * (11 * MIB // 256)
    for bucket in ("a", "b"):
        in_parts(pair, bucket, body, 5 * MIB)
    pair.check()
    pair.corrupt("b", "k")
    pair.check("b")
    return pair


@pytest.mark.parametrize("parted", ["s3"], indirect=True)
def test_a_copy_by_the_store_has_the_parts_of_the_good_one(parted: Places) -> None:
    parted.repair()
    # This server's ETags of copied parts are not their MD5s.
    assert parted.s3.head_object(Bucket=parted.real["b"], Key="k")["ETag"].endswith('-3"')
    assert parted.get("b", "k") == parted.get("a", "k")
    assert parted.open_incidents == []


def test_a_copy_that_is_too_large_for_one_request_is_made_in_parts_and_keeps_all(
    places: MakePlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.writer.MOST_COPIED", 6 * MIB)
    monkeypatch.setattr(uploads, "_PART", 6 * MIB)
    pair, body = places("s3", "s3"), bytes(range(256)) * (11 * MIB // 256)
    pair.put("a", "k", body, **ATTRIBUTES)
    pair.put("b", "k", body)
    pair.check()
    pair.corrupt("b", "k")
    pair.check("b")
    pair.repair()
    assert pair.s3.head_object(Bucket=pair.real["b"], Key="k")["ETag"].endswith('-2"')
    assert (pair.get("b", "k"), attributes(pair, "b")) == (body, attributes(pair, "a"))
    assert pair.open_incidents == []


@pytest.mark.parametrize("parted", ["elsewhere"], indirect=True)
def test_the_etag_of_parts_stays_the_same_and_checksums_are_sent_where_the_store_keeps_them(
    parted: Places,
) -> None:
    sent: list[str] = []

    def note(request: Any, **_: object) -> None:
        sent.extend(name.lower() for name in request.headers if "crc64nvme" in name.lower())

    before = parted.s3.head_object(Bucket=parted.real["a"], Key="k")["ETag"]
    with parted.run() as run:
        writer = run.sides["b"].writer
        assert isinstance(writer, S3Writer)
        writer.sends_crc = True
        writer._client.meta.events.register("before-send.s3.UploadPart", note)
        repair(parted.order(), run)
    assert len(sent) == 3
    assert parted.s3.head_object(Bucket=parted.real["b"], Key="k")["ETag"] == before
    assert (parted.get("b", "k"), parted.open_incidents) == (parted.get("a", "k"), [])


def unfinished(pair: Places) -> list[str]:
    listed = pair.s3.list_multipart_uploads(Bucket=pair.real["b"])
    return [each["UploadId"] for each in listed.get("Uploads", [])]


@pytest.mark.parametrize("parted", ["elsewhere"], indirect=True)
def test_an_upload_that_fails_leaves_no_parts(parted: Places) -> None:
    bad = parted.get("b", "k")
    parted.corrupt("a", "k")
    (done,) = parted.repair().done
    assert done.refused
    assert (parted.get("b", "k"), unfinished(parted)) == (bad, [])


@pytest.mark.parametrize("parted", ["elsewhere"], indirect=True)
def test_the_parts_of_a_killed_repair_are_removed_by_the_next(
    parted: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    with parted.run() as run, monkeypatch.context() as patch:
        patch.setattr(Sending, "finish", killed)
        patch.setattr(Sending, "abandon", lambda sending: None)
        patch.setattr("fixity.rolling.lease.Lease.end", lambda lease, lake: None)
        with pytest.raises(Killed):
            repair(parted.order(), run)
    assert len(unfinished(parted)) == 1
    monkeypatch.setattr("fixity.rolling.lease.Lease.is_alive", lambda lease, now: False)
    parted.repair()
    assert (unfinished(parted), parted.open_incidents) == ([], [])


class Killed(BaseException):
    """Stands for the end of the process."""


def killed(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("size", "wanted", "expected"),
    [
        (0, None, 1),
        (64 * MIB, None, 64 * MIB),
        (64 * MIB + 1, None, 16 * MIB),
        (11 * MIB, 5 * MIB, 5 * MIB),
        (11 * MIB, 4 * MIB, 11 * MIB),  # smaller than S3 allows
        (1024 * MIB, 500 * MIB, 16 * MIB),  # too large to be held in memory: another ETag
        (5 * 1024**4, None, -(-5 * 1024**4 // 10_000)),
    ],
)
def test_parts_are_small_and_not_too_many(size: int, wanted: int | None, expected: int) -> None:
    assert part_size_for(size, wanted) == expected
    assert -(-size // expected) <= uploads._MOST_PARTS
