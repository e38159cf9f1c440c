"""Listings as other stores write them: no object is lost, none counts twice, or the listing is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.stub_s3 import Lister, StubS3, as_s3_lists
from devstack.stub_s3_bucket import Bucket, StoredVersion
from devstack.stub_s3_listing import list_objects_v2, list_versions
from fixity.buckets import BucketUnreachable
from fixity.buckets.s3.reader import S3Reader
from tests.fixity.support import listed, s3_store, sha256

KEYS = ("a%20b", "a b", "a+b", "a%2Bb", "a%FF", "d/é", "é", "plain", "z&<>z")
xml_keys = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=6
) | st.text("a%2F+0 é", min_size=1, max_size=6)
key_sets = st.lists(xml_keys, min_size=1, max_size=7, unique=True)


def bucket_of(*keys: str, versions: int = 1) -> Bucket:
    bucket = Bucket()
    for key in keys:
        for number in range(versions):
            body = f"{key} {number}".encode()
            bucket.put(key, StoredVersion(body, f'"{sha256(body)}"', len(body), version_id=f"v+{number}"))
    return bucket


def reader(server: StubS3, bucket: Bucket, lister: Lister, versions: bool = False) -> S3Reader:
    server.buckets["b"], server.lister = bucket, lister
    return s3_store(server.endpoint_url, "b", versions=versions)


def replacing(*changes: tuple[str, str]) -> Lister:
    """S3's pages, changed by regular expressions."""

    def lister(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        page = as_s3_lists(name, bucket, query).decode()
        for what, by in changes:
            page = re.sub(what, by, page)
        return page.encode()

    return lister


def raw_markers(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """Encoded keys, but markers as they are, as Ceph writes them."""
    page = list_versions(name, bucket, query).decode()
    raw = re.search(
        "<NextKeyMarker>.*</NextKeyMarker>", list_versions(name, bucket, without_encoding(query)).decode()
    )
    return re.sub("<NextKeyMarker>.*</NextKeyMarker>", lambda _: raw[0] if raw else "", page).encode()


def without_encoding(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name != "encoding-type"}


def v1(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """ListObjects of a store that does not know ListObjectsV2."""
    known = {name: query[name] for name in ("prefix", "max-keys", "encoding-type") if name in query}
    page = list_objects_v2(name, bucket, {**known, "start-after": query.get("marker", "")}).decode()
    return re.sub("<(KeyCount|NextContinuationToken|StartAfter)>.*?</\\1>|<StartAfter/>", "", page).encode()


def refuses_v2(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    if "list-type" in query:
        raise ValueError
    return v1(name, bucket, query)


def keys_of(store: S3Reader) -> list[str]:
    return [item.key for item in listed(store)]


@given(key_sets, st.integers(1, 2), st.sampled_from([as_s3_lists, raw_markers]))
@example(["a%20b", "a!b", "a b", "z"], 1, raw_markers)
@example([" ", " 0"], 2, raw_markers)
def test_a_listing_whose_marker_is_raw_loses_no_object(
    stub: StubS3, keys: list[str], versions: int, lister: Lister
) -> None:
    bucket = bucket_of(*keys, versions=versions)
    found = [(item.key, item.version_id) for item in listed(reader(stub, bucket, lister, versions=True))]
    assert found == [(key, each.version_id) for key in sorted(keys) for each in bucket.versions(key)]


@pytest.mark.parametrize(
    ("marker", "why"),
    [
        ("NextKeyMarker>.*</NextKeyMarker", "NextKeyMarker>zz</NextKeyMarker"),
        ("NextVersionIdMarker>.*</NextVersionIdMarker", "NextVersionIdMarker>zz</NextVersionIdMarker"),
    ],
)
def test_a_marker_that_is_not_the_last_entry_is_refused_and_the_page_named(
    odd: StubS3, marker: str, why: str
) -> None:
    def lister(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        page = as_s3_lists(name, bucket, query).decode()
        return (re.sub(marker, why, page) if "key-marker" in query else page).encode()

    store = reader(odd, bucket_of(*"abcdefg"), lister, versions=True)
    with pytest.raises(BucketUnreachable, match=r"zz.*ends with 'd v\+0' \(on the page after 'b v\+0'\)"):
        listed(store)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_page_that_ends_with_a_delete_marker_goes_on_after_it(odd: StubS3, grouped: bool) -> None:
    def lister(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        page = list_versions(name, bucket, query)
        if not grouped:
            return page
        entries: list[bytes] = re.findall(b"<(?:Version|DeleteMarker)>.*?</(?:Version|DeleteMarker)>", page)
        ordered = b"".join(sorted(entries, key=lambda each: bytes(each).startswith(b"<Del")))
        return page.replace(b"".join(entries), ordered)

    bucket = bucket_of(*"abcdef")
    for key in "ace":
        bucket.put(key, StoredVersion(None, "", 0, version_id="m"))
    assert keys_of(reader(odd, bucket, lister, versions=True)) == list("abcdef")


def test_a_marker_without_a_version_goes_on_within_the_key(odd: StubS3) -> None:
    lister = replacing(("<NextVersionIdMarker>.*?</NextVersionIdMarker>", ""))
    found = listed(reader(odd, bucket_of("a", "b", versions=5), lister, versions=True))
    assert [(item.key, item.version_id) for item in found] == [
        (key, f"v+{number}") for key in "ab" for number in (4, 3, 2, 1, 0)
    ]


def test_a_listing_whose_tokens_never_end_and_whose_keys_do_not_advance_ends(
    odd: StubS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.pages._IDLE_PAGES", 20)
    tokens = count()
    for entries in ("<Contents><Key>k</Key><Size>1</Size></Contents>", ""):

        def lister(name: str, bucket: Bucket, query: Mapping[str, str], entries: str = entries) -> bytes:
            token = f"<NextContinuationToken>{next(tokens)}</NextContinuationToken>"
            page = f"<IsTruncated>true</IsTruncated>{token}{entries}"
            return f"<ListBucketResult>{page}</ListBucketResult>".encode()

        odd.requests.clear()
        with pytest.raises(BucketUnreachable, match="does not advance"):
            listed(reader(odd, bucket_of("k"), lister))
        assert len(odd.requests) == (2 if entries else 21)  # what was deleted leaves empty pages


def test_empty_pages_among_others_are_gone_through(odd: StubS3) -> None:
    def lister(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        token = query.get("continuation-token", "")
        if token.startswith("again "):
            return list_objects_v2(
                name, bucket, {**query, "continuation-token": token.removeprefix("again ")}
            )
        page = list_objects_v2(name, bucket, query).decode()
        if not token:
            return page.encode()
        page = re.sub("<Contents>.*</Contents>|<KeyCount>.*</KeyCount>|<NextCont.*Token>", "", page)
        page = page.replace("<IsTruncated>false", "<IsTruncated>true")
        again = f"<NextContinuationToken>again {token}</NextContinuationToken></ListBucketResult>"
        return page.replace("</ListBucketResult>", again).encode()

    assert keys_of(reader(odd, bucket_of(*"abcdefg"), lister)) == list("abcdefg")


@given(key_sets, st.sampled_from([v1, refuses_v2]))
def test_a_store_that_knows_only_the_first_listing_loses_no_object(
    stub: StubS3, keys: list[str], lister: Lister
) -> None:
    assert keys_of(reader(stub, bucket_of(*keys), lister)) == sorted(keys)


def test_the_first_listing_goes_on_after_a_marker_that_is_its_last_key_only(odd: StubS3) -> None:
    for marker, good in (("a+b", True), ("a%2Bb", True), ("a", False)):

        def lister(name: str, bucket: Bucket, query: Mapping[str, str], marker: str = marker) -> bytes:
            page = v1(name, bucket, query)
            said = f"<NextMarker>{marker}</NextMarker><IsTruncated>true".encode()
            return page.replace(b"<IsTruncated>true", said)

        store = reader(odd, bucket_of("a b", "a+b", "c"), lister)
        if good:
            assert keys_of(store) == ["a b", "a+b", "c"]
        else:
            with pytest.raises(
                BucketUnreachable, match=r"would start after 'a', but this one ends with 'a\+b'"
            ):
                listed(store)


def test_a_bucket_that_may_not_be_listed_is_asked_once(odd: StubS3) -> None:
    store = s3_store(odd.endpoint_url, "nowhere")
    with pytest.raises(BucketUnreachable, match="no such bucket"):
        listed(store)
    assert len(odd.requests) == 1
