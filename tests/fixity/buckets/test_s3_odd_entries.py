"""Entries of listings as stores write them: understood, or refused with the key and the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.stub_s3 import Lister, StubS3, as_s3_lists
from devstack.stub_s3_bucket import Bucket, StoredVersion
from fixity.buckets import BucketUnreachable
from fixity.buckets.base import LISTED_TWICE, NOT_UTF8
from fixity.buckets.s3.listing import parse_page
from fixity.lake import LocalLake
from tests.fixity.buckets.test_s3_odd_listings import (
    KEYS,
    bucket_of,
    key_sets,
    keys_of,
    reader,
    replacing,
    without_encoding,
)
from tests.fixity.support import check, inventory_and_checks, listed, listing_twice, outcome, sha256


@pytest.mark.parametrize(
    "size", ["1e1", "-1", "0x10", "+1", "1.0", "1_0", "\u0661", "9" * 19, "1" * 99, "ten"]
)
def test_a_size_that_is_no_number_of_bytes_is_refused_with_its_key_and_page(odd: StubS3, size: str) -> None:
    for versions, page in ((False, "after"), (True, "on the page after 'b v+0'")):
        lister = replacing(("(<Key>c</Key>.*?)<Size>.*?</Size>", rf"\1<Size>{size}</Size>"))
        with pytest.raises(BucketUnreachable) as told:
            listed(reader(odd, bucket_of(*"abcd"), lister, versions))
        assert f"has 'c' with the size '{size[:50]}" in str(told.value) and page in str(told.value)


@pytest.mark.parametrize(
    ("what", "by", "told"),
    [
        ("<Key>c</Key>", "<Key></Key>", "no Key: 'the first entry'"),
        ("<Key>d</Key>", "<Key/>", "no Key: 'c' or the next one"),
        ("(<Key>c</Key>.*?)<Size>.*?</Size>", r"\1<Size/>", "no Size: 'c' or the next one"),
        ("(<Key>c</Key>.*?)<Size>.*?</Size>", r"\1", "no Size: 'c' or the next one"),
        ("<Size>.*?</Size>", "", "no Size: 'a' or the next one"),
    ],
)
def test_an_entry_without_a_key_or_a_size_is_refused_with_its_place(
    odd: StubS3, what: str, by: str, told: str
) -> None:
    with pytest.raises(BucketUnreachable, match=re.escape(told)):
        listed(reader(odd, bucket_of(*"abcd"), replacing((what, by))))


@pytest.mark.parametrize("size", [" 3 ", "003", "3\n"])
def test_a_size_in_another_spelling_is_understood(odd: StubS3, size: str) -> None:
    lister = replacing(("<Size>.*?</Size>", f"<Size>{size}</Size>"))
    assert [item.size for item in listed(reader(odd, bucket_of("k"), lister))] == [3]


@pytest.mark.parametrize(
    "lister",
    [
        replacing((" xmlns=", " nothing="), ("<Contents>", '<Contents xmlns="http://elsewhere/">')),
        replacing(("<Contents>", '<x:Contents xmlns:x="u">'), ("</Contents>", "</x:Contents>")),
        replacing(("<Key>", '<Key xmlns="http://elsewhere/">')),
    ],
)
def test_entries_in_another_namespace_are_understood(odd: StubS3, lister: Lister) -> None:
    found = listed(reader(odd, bucket_of(*KEYS), lister))
    assert [(item.key, item.size) for item in found] == [
        (key, len(f"{key} 0".encode())) for key in sorted(KEYS)
    ]


@pytest.mark.parametrize("spelling", ["True", "TRUE", "1", " true\n"])
def test_another_spelling_of_is_latest_is_understood(odd: StubS3, spelling: str) -> None:
    lister = replacing(
        ("<IsLatest>true<", f"<IsLatest>{spelling}<"), ("<IsLatest>false<", "<IsLatest>False<")
    )
    store = reader(odd, bucket_of(*"abc", versions=2), lister, versions=True)
    assert [item.is_latest for item in listed(store)] == [True, False] * 3


def test_an_is_latest_that_is_no_truth_value_is_refused(odd: StubS3) -> None:
    store = reader(odd, bucket_of("a"), replacing(("<IsLatest>true<", "<IsLatest>perhaps<")), versions=True)
    with pytest.raises(BucketUnreachable, match="neither true nor false"):
        listed(store)


def encoded_without_saying(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    return as_s3_lists(name, bucket, query).replace(b"<EncodingType>url</EncodingType>", b"")


def raw_without_saying(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    return as_s3_lists(name, bucket, without_encoding(query))


def raw_and_said_to_be_encoded(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    page = as_s3_lists(name, bucket, without_encoding(query))
    return page.replace(b"<IsTruncated>", b"<EncodingType>url</EncodingType><IsTruncated>")


@pytest.mark.parametrize("versions", [False, True])
@given(keys=key_sets, lister=st.sampled_from([encoded_without_saying, raw_without_saying]))
@example(keys=["a%20b"], lister=raw_without_saying)
@example(keys=["a b"], lister=encoded_without_saying)
def test_whether_keys_are_encoded_is_asked_where_the_listing_does_not_say(
    stub: StubS3, versions: bool, keys: list[str], lister: Lister
) -> None:
    assert keys_of(reader(stub, bucket_of(*keys), lister, versions)) == sorted(keys)


def url_of_a_path(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """A blank is `%20`, and `+` stays as it is."""
    page = as_s3_lists(name, bucket, query)
    return re.sub(
        b"<(Key|NextKeyMarker)>.*?</", lambda key: key[0].replace(b"+", b"%20").replace(b"%2B", b"+"), page
    )


@pytest.mark.parametrize("versions", [False, True])
@given(keys=key_sets)
@example(keys=["a+b", "a b", "c++/x", "plain"])
def test_a_plus_that_a_store_leaves_as_it_is_is_no_blank(
    stub: StubS3, versions: bool, keys: list[str]
) -> None:
    assert keys_of(reader(stub, bucket_of(*keys), url_of_a_path, versions)) == sorted(keys)


def test_a_blank_that_s3_writes_as_a_plus_is_asked_about_once(odd: StubS3) -> None:
    store = reader(odd, bucket_of(*(f"a {number}" for number in range(9))), as_s3_lists)
    assert len(listed(store)) == 9
    assert len(odd.requests) == 5 + 2


def test_a_page_that_calls_itself_the_last_and_names_the_next_is_followed(odd: StubS3) -> None:
    lister = replacing(("<IsTruncated>true", "<IsTruncated>false"))
    assert keys_of(reader(odd, bucket_of(*KEYS), lister)) == sorted(KEYS)


def test_keys_that_are_said_to_be_encoded_and_visibly_are_not_are_read_as_they_are(odd: StubS3) -> None:
    keys = ["50% off", "a b", "a+c d", "é%20", "é+"]
    assert keys_of(reader(odd, bucket_of(*keys), raw_and_said_to_be_encoded)) == keys


def test_a_listing_in_doubt_that_no_question_clears_is_refused(odd: StubS3) -> None:
    def lister(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        return raw_without_saying(name, Bucket() if "prefix" in query else bucket, query)

    with pytest.raises(BucketUnreachable, match="does not say whether its keys are encoded, such as 'a%20b'"):
        listed(reader(odd, bucket_of("a%20b"), lister))


def not_utf8(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """`BAD` in a key stands for the byte FF, which the stub itself reads as the replacement character."""
    query = {name: value.replace("\ufffd", "BAD") for name, value in query.items()}
    return replacing(("BAD", "%FF"))(name, bucket, query)


def test_a_key_that_is_not_utf8_fails_by_name_and_the_others_are_read(odd: StubS3) -> None:
    spelled = r"k2-\xff"
    for versions in (False, True):
        store = reader(odd, bucket_of("k1", "k2-BAD", spelled, "k3"), not_utf8, versions)
        results = {item.key: outcome(store, item) for item in listed(store)}
        bad = spelled + NOT_UTF8
        assert results.pop(bad) == ("failed", "KeyNotUtf8")
        assert results == {key: ("succeeded", sha256(f"{key} 0".encode())) for key in ("k1", spelled, "k3")}


def test_a_listing_goes_on_after_a_key_that_is_not_utf8_with_its_very_bytes(odd: StubS3) -> None:
    found = keys_of(reader(odd, bucket_of("k1", "k2-BAD", "k3", "k4"), not_utf8, versions=True))
    assert found == ["k1", rf"k2-\xff{NOT_UTF8}", "k3", "k4"]
    assert any("key-marker=k2-%FF" in request.query for request in odd.requests)


@pytest.mark.parametrize("versions", [False, True])
def test_a_store_that_does_not_encode_keys_may_have_keys_that_xml_cannot_hold(
    odd: StubS3, versions: bool
) -> None:
    def lister(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        query = {name: value.replace("\ufffd", "BAD") for name, value in query.items()}
        return raw_without_saying(name, bucket, query).replace(b"BAD", b"\xff")

    keys = ["a&<'>%41", "b+BAD", "c\x01 &", "d", "é\x1f\ufffe", "😀"]
    store = reader(odd, bucket_of(*keys), lister, versions)
    bad = rf"b+\xff{NOT_UTF8}"
    assert keys_of(store) == [key if "BAD" not in key else bad for key in keys]
    results = {item.key: outcome(store, item)[0] for item in listed(store)}
    assert results.pop(bad) == "failed" and set(results.values()) == {"succeeded"}


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00Z", "2300-01-01T00:00:00.000Z", "9999-12-31T23:59:59Z", "soon", "-1", "",
        "2024-01-02T03:04:05", "Tue, 02 Jan 2024 03:04:05 GMT", "2024-02-30T00:00:00Z", "1" * 5000,
    ],
)  # fmt: skip
def test_a_time_that_is_none_is_unknown_and_the_others_stay(time: str) -> None:
    entry = "<Contents><Key>{}</Key><Size>1</Size><LastModified>{}</LastModified></Contents>"
    entries = entry.format("a", "2024-01-02T03:04:05Z") + entry.format("b", escape(time))
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()
    assert parse_page(page, False).batch.column("last_modified").to_pylist() == [
        datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        None,
    ]


@given(st.text(max_size=30))
def test_no_time_ends_a_listing(time: str) -> None:
    text = escape(re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd]", "", time))
    entry = f"<Contents><Key>a</Key><Size>1</Size><LastModified>{text}</LastModified></Contents>"
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>".encode()
    assert parse_page(page, False).batch.num_rows == 1


def test_one_object_that_is_looked_up_and_listed_twice_is_one(odd: StubS3) -> None:
    for versions in (False, True):
        store = reader(odd, bucket_of("k", "k2"), listing_twice(other=False), versions)
        item = store.find("k")
        assert item is not None and outcome(store, item) == ("succeeded", sha256(b"k 0"))


def test_one_object_that_is_looked_up_and_listed_contradictorily_fails_with_both_said(odd: StubS3) -> None:
    for versions in (False, True):
        store = reader(odd, bucket_of("k", "k2"), listing_twice(other=True), versions)
        item = store.find("k")
        assert item is not None and (item.etag or "").startswith(LISTED_TWICE)
        done = check(store, item)
        assert (done.status, done.error_code, done.checksum) == ("failed", "ListedTwice", None)
        assert "3 bytes" in str(done.error_message) and "99 bytes" in str(done.error_message)


@pytest.mark.parametrize("has_marker", [False, True])
def test_of_a_listing_of_versions_without_their_ids_no_version_passes_for_another(
    odd: StubS3, tmp_path: Path, has_marker: bool
) -> None:
    """Without an id, what is asked for is the current version, whichever the listing meant."""
    bucket = bucket_of("a", versions=2)
    if has_marker:  # then the listing has only the former one
        bucket = bucket_of("a")
        bucket.put("a", StoredVersion(None, "", 0, version_id="marker"))
    store = reader(odd, bucket, replacing(("<VersionId>.*?</VersionId>", "")), versions=True)
    inventory_and_checks(store, LocalLake(tmp_path), "run")
    (row,) = pq.read_table(tmp_path / "checksums/b/run.parquet").to_pylist()
    assert (row["status"], row["checksum"]) == ("failed", None)


def test_a_list_of_versions_without_their_ids_is_known_by_each_key_where_there_is_one(
    odd: StubS3, tmp_path: Path
) -> None:
    store = reader(odd, bucket_of("a"), replacing(("<VersionId>.*?</VersionId>", "")), versions=True)
    inventory_and_checks(store, LocalLake(tmp_path), "run")
    (row,) = pq.read_table(tmp_path / "checksums/b/run.parquet").to_pylist()
    assert (row["status"], row["version_id"], row["checksum"]) == ("succeeded", None, sha256(b"a 0"))
