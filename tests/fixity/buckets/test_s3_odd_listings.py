"""Listings as other stores write them: no object is lost, none counts twice, or the listing is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.stub_s3 import Lister, StubS3, as_s3_lists
from devstack.stub_s3_bucket import Bucket, StoredVersion
from devstack.stub_s3_listing import list_objects_v2, list_versions
from fixity.buckets import BucketUnreachable
from fixity.buckets.base import LISTED_TWICE, NOT_UTF8
from fixity.buckets.s3.listing import parse_page
from fixity.buckets.s3.reader import S3Reader
from tests.fixity.support import check, listed, listing_twice, outcome, s3_store, sha256

KEYS = ("a%20b", "a b", "a+b", "a%2Bb", "a%FF", "d/é", "é", "plain", "z&<>z")
xml_keys = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=6
) | st.text("a%2F+0 é", min_size=1, max_size=6)
key_sets = st.lists(xml_keys, min_size=1, max_size=7, unique=True)


@pytest.fixture(scope="module")
def stub() -> Iterator[StubS3]:
    with StubS3() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.buckets.s3.reader._PAGE", 2)
        yield server


@pytest.fixture
def odd(stub: StubS3) -> StubS3:
    stub.buckets.clear()
    stub.requests.clear()
    return stub


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


# --- where the next page starts ---------------------------------------------------------------


@given(key_sets, st.integers(1, 2), st.sampled_from([as_s3_lists, raw_markers]))
@example(["a%20b", "a!b", "a b", "z"], 1, raw_markers)
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

        with pytest.raises(BucketUnreachable, match="does not advance"):
            listed(reader(odd, bucket_of("k"), lister))


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


# --- ListObjects, for stores that do not know ListObjectsV2 -----------------------------------


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


# --- how entries are written ------------------------------------------------------------------


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


# --- names and times that are none ------------------------------------------------------------


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


# --- one object of several entries ------------------------------------------------------------


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
