"""Answers that no real server gives on demand: none makes a checksum of what was not listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from fixity.buckets import ListedObject
from tests.fixity.buckets.scripted import ScriptedServer, answer, chunked
from tests.fixity.support import only, outcome, s3_store, sha256

if TYPE_CHECKING:
    pass


def listing(*items: ListedObject) -> bytes:
    entries = "".join(
        f"<Contents><Key>{item.key}</Key><Size>{item.size}</Size>"
        + (f'<ETag>"{item.etag}"</ETag>' if item.etag else "")
        + (f"<LastModified>{item.last_modified.isoformat()}</LastModified>" if item.last_modified else "")
        + "</Contents>"
        for item in items
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


K = ListedObject("k", None, True, 10, "e", None, None)
UNPINNED = replace(K, etag=None)
LISTED = answer(listing(K))
CUT = answer(b"01234", 'ETag: "e"', "Content-Length: 10", length=False)
REST = answer(b"56789", 'ETag: "e"', "Content-Range: bytes 5-9/10", status="206 Partial Content")
NO_ETAG = 'x-nothing: "e"'
DIGITS = ("succeeded", sha256(b"0123456789"))


def scripted_outcome(item: ListedObject, *answers: bytes) -> tuple[tuple[str, str | None], list[str]]:
    """The outcome of reading from a server that gives one answer a connection, and the ranges asked for."""
    with ScriptedServer(*([each] for each in answers)) as server:
        store = s3_store(f"http://127.0.0.1:{server.port}", "b")
        result = outcome(store, item)
        lines = [line for head in server.requests for line in head.split("\r\n")]
        return result, [line for line in lines if line.startswith("range")]


def test_bytes_come_in_chunks_or_until_the_connection_ends_as_well() -> None:
    etag = 'ETag: "e"'
    for whole in (
        chunked(b"01234", b"56789", headers=(etag,)),
        answer(b"0123456789", etag, length=False),
        b'HTTP/1.0 200 OK\r\netag: W/"e"\r\n\r\n0123456789',
    ):
        assert scripted_outcome(K, whole) == (DIGITS, [])


def test_a_body_of_unknown_length_that_ends_early_goes_on_and_is_no_damage() -> None:
    short = answer(b"01234", 'ETag: "e"', length=False)
    assert scripted_outcome(K, short, REST) == (DIGITS, ["range: bytes=5-"])
    assert scripted_outcome(K, chunked(b"01234", headers=('ETag: "e"',), end=b""), REST)[0] == DIGITS


def test_all_bytes_without_the_answers_end_are_read_again_rather_than_beyond_their_end() -> None:
    unended = chunked(b"0123456789", headers=('ETag: "e"',), end=b"")
    assert scripted_outcome(K, unended, answer(b"0123456789", 'ETag: "e"')) == (DIGITS, [])


def test_more_bytes_than_listed_are_never_hashed_even_where_they_never_end() -> None:
    more = answer(b"0123456789+", 'ETag: "e"')
    endless = answer(b"0123456789" * 100_000, 'ETag: "e"', length=False)
    for too_much in (more, endless):
        result, asked = scripted_outcome(K, *[too_much] * 4, LISTED)
        assert (result, asked) == (("failed", "SizeMismatch"), [])


def test_an_object_without_etag_is_never_stitched_from_two_requests() -> None:
    cut = CUT.replace(b'ETag: "e"', NO_ETAG.encode())
    whole = answer(b"abcdefghij")
    result, asked = scripted_outcome(UNPINNED, cut, whole, answer(listing(UNPINNED)))
    assert (result, asked) == (("succeeded", sha256(b"abcdefghij")), [])


def test_an_object_without_etag_that_breaks_for_ever_fails_after_some_attempts() -> None:
    cut = CUT.replace(b'ETag: "e"', NO_ETAG.encode())
    result, asked = scripted_outcome(UNPINNED, *[cut] * 5, answer(listing(UNPINNED)))
    assert (result, asked) == (("failed", "ConnectionError"), [])


def test_an_object_without_etag_is_believed_only_while_the_listing_stays_the_same() -> None:
    item = replace(UNPINNED, last_modified=datetime(2024, 1, 1, tzinfo=UTC))
    later = replace(item, last_modified=datetime(2024, 1, 2, tzinfo=UTC))
    whole = answer(b"0123456789")
    assert scripted_outcome(item, whole, answer(listing(item)))[0] == DIGITS
    assert scripted_outcome(item, whole, answer(listing(later)))[0] == ("skipped", "ChangedSinceListed")
    assert scripted_outcome(item, whole, answer(listing()))[0] == ("skipped", "DeletedSinceListed")


def test_a_store_that_does_not_say_what_it_goes_on_with_is_read_anew() -> None:
    unnamed = REST.replace(b'ETag: "e"', NO_ETAG.encode())
    whole = answer(b"0123456789", 'ETag: "e"')
    # After the answer that could not be trusted the object is read whole, and looked up once more.
    result, asked = scripted_outcome(K, CUT, unnamed, whole, LISTED)
    assert (result, asked) == (DIGITS, ["range: bytes=5-"])


def test_the_null_version_is_not_pinned_by_its_name() -> None:
    item = replace(UNPINNED, version_id="null")
    cut = CUT.replace(b'ETag: "e"', NO_ETAG.encode())
    page = (
        listing(UNPINNED)
        .replace(b"Contents>", b"Version>")
        .replace(b"ListBucketResult", b"ListVersionsResult")
    )
    page = page.replace(b"<Size>", b"<VersionId>null</VersionId><Size>")
    with ScriptedServer([cut], [answer(b"abcdefghij")], [answer(page)]) as server:
        store = s3_store(f"http://127.0.0.1:{server.port}", "b", versions=True)
        assert outcome(store, item) == ("succeeded", sha256(b"abcdefghij"))


@pytest.mark.parametrize(("total", "rest"), [("12", b"56789"), ("*", b"other"), ("10", b"other")])
def test_a_range_of_an_object_of_another_size_is_never_stitched_on(total: str, rest: bytes) -> None:
    ranged = REST.replace(b"5-9/10", f"5-9/{total}".encode()).replace(b"56789", b"other")
    whole = answer(b"0123456789", 'ETag: "e"')
    assert scripted_outcome(K, CUT, ranged, whole, LISTED)[0] == ("succeeded", sha256(b"01234" + rest))


def test_a_range_of_another_object_is_never_stitched_on() -> None:
    other = REST.replace(b'"e"', b'"f"')
    changed = answer(listing(replace(K, etag="f")))
    assert scripted_outcome(K, CUT, other, changed)[0] == ("skipped", "ChangedSinceListed")


@pytest.mark.parametrize("said", ["nan", "-5", "inf", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9", ""])
def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(said: str) -> None:
    busy = answer(b"", f"Retry-After: {said}", status="503 Service Unavailable")
    assert scripted_outcome(K, busy, answer(b"0123456789", 'ETag: "e"'))[0] == DIGITS


@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content"])
def test_a_server_that_ignores_if_match_is_found_out_by_the_etag_it_answers_with(status: str) -> None:
    page = listing(ListedObject("k", None, True, 5, "right", None, None))
    with ScriptedServer(
        [answer(page), answer(b"wrong", 'ETag: "other"', status=status), answer(page)]
    ) as server:
        store = s3_store(f"http://127.0.0.1:{server.port}", "b")
        assert outcome(store, only(store, "k"))[0] == "failed"
