"""Reads an S3 bucket, on AWS or any compatible endpoint: lists page by page, reads objects as listed.

A read is pinned to the version and the ETag of the listing, and continues where a broken connection
stopped. A failed request is classified: the object changed, was deleted, is archived, or could not be read.
Hashing and rows do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import NoReturn

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets.base import (
    CHANGED,
    DELETED,
    ListedObject,
    ObjectError,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
    listed_objects,
    one_of,
    refuse_unreadable,
)
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.etag import plain_etag, same_etag
from fixity.buckets.s3.http1 import Response
from fixity.buckets.s3.listing import Page
from fixity.buckets.s3.pages import Pages
from fixity.buckets.s3.ranges import Ranges
from fixity.buckets.s3.refusals import Refusals
from fixity.buckets.s3.requests import NotAsListed, Refused, Requests, Retry, broken
from fixity.buckets.s3.sigv4 import encode_path, encode_query
from fixity.buckets.throttle import Throttle
from fixity.errors import BucketUnreachable

_PAGE = 1000
_FEW = 4  # pages: to look for cuts would take longer than to list some more
_MANY = 128  # pages after which to look for cuts in any case
_FAR = 0.025  # seconds a page: of a store that answers sooner, few pages are soon listed with less work


class S3Reader:
    """A bucket, or the part of it below `prefix`.

    Arguments: `name` of the bucket, for messages; `address` of its requests; `throttle` limits the
    requests; `prefix`, removed from all keys; `versions`, whether to list all versions; `backoff`, the
    first wait before a retry, in seconds.
    """

    waits_in_turns = True

    def __init__(
        self,
        name: str,
        address: Address,
        throttle: Throttle,
        prefix: str = "",
        versions: bool = False,
        backoff: float = 0.1,
    ) -> None:
        self._name = name
        self._base_path = address.base_path
        self._requests = Requests(name, address, throttle)
        self._throttle = throttle
        self._prefix = prefix
        self._versions = versions
        self._backoff = backoff
        self._pages = Pages(name, self._listing, self._back_off, versions)
        self._refusals = Refusals(lambda: self._pages.page({"max-keys": "1"}, prefix))
        # Both are set by what the store did with an earlier object.
        self._if_match = True
        self._packed = False

    def at_once(self) -> int:
        """See BucketReader."""
        return self._throttle.concurrency

    # --- listing -----------------------------------------------------------------------------

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """All objects below the prefix, page by page. Raises BucketUnreachable."""
        yield from self.list_in_ranges(())

    def list_in_ranges(self, cuts: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """The same, in ranges that are listed at the same time.

        Arguments: `cuts`, keys in order, of which each ends a range; None to look for some, if there are many
        objects.
        """
        whole = self._pages.all_below(self._prefix)
        first, full = list[Page](), list[str]()
        if cuts is None:
            soonest = float("inf")
            for number, page in enumerate(whole, 1):
                soonest = min(soonest, self._requests.waited())
                yield from self._rows([page.batch])
                if self.at_once() > 1 and (number == _MANY or (number == _FEW and soonest >= _FAR)):
                    full = self._pages.cuts_after(page, self._prefix)
                    break
        elif cuts and self.at_once() > 1:
            first = list(islice(whole, 1))  # alone: it shows which request the store knows
            full = [self._prefix + cut for cut in cuts]

        def lists(after: str | None) -> Iterator[pa.RecordBatch]:
            pages = chain(first, whole) if after is None else self._pages.all_below(self._prefix, after)
            return (page.batch for page in pages)

        with closing(Ranges(lists, full, self.at_once).batches()) as batches:
            yield from self._rows(batches if full else lists(None))

    def _rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from filter(len, map(self._relative, batches))

    def list_after(self, key: str) -> Iterator[pa.RecordBatch]:
        """The objects after a key, page by page. Raises BucketUnreachable."""
        pages = self._pages.all_below(self._prefix, self._prefix + key)
        yield from self._rows(page.batch for page in pages)

    def _relative(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._prefix and batch.num_rows:
            full = batch.column("key")
            if not pc.all(pc.starts_with(full, self._prefix)).as_py():
                raise BucketUnreachable(f"{self._name}: the store lists keys outside the prefix asked for")
            keys = pc.utf8_slice_codeunits(full, len(self._prefix))
            batch = batch.set_column(0, batch.schema.field("key"), keys)
            # Drop the folder marker of the prefix itself, but keep an object with bytes.
            batch = batch.filter(pc.or_(pc.not_equal(keys, ""), pc.greater(batch.column("size"), 0)))
        return batch

    def _listing(self, parameters: dict[str, str]) -> bytes:
        query = {"encoding-type": "url", "max-keys": str(_PAGE), **parameters}
        encoded = encode_query({k: v for k, v in query.items() if v or k == "versions"})
        with self._throttle.slot():
            response = self._requests.get(self._base_path or "/", encoded, {})
            try:
                return response.read()
            except OSError as error:
                raise broken(error, "in the middle of a listing") from error

    def _back_off(self, failures: int, retry_after: float) -> None:
        self._throttle.back_off(failures, self._backoff, retry_after)

    # --- reading -----------------------------------------------------------------------------

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give an object's bytes to `sink`.

        Raises ObjectUnreadable, ObjectSkipped; BucketUnreachable when it is the bucket that is gone.
        """
        refuse_unreadable(item)
        # An overwrite replaces the version "null", so it pins nothing.
        by_version = item.version_id not in (None, "null")
        pinned = by_version or bool(item.etag)
        if_match, packed = self._if_match and bool(item.etag), self._packed
        failures = furthest = 0
        row = self._refusals.begin()
        while True:
            # Without a pin, a second request could read another object, so start again. Also if all bytes
            # came but not the end of the response: no bytes are left to request.
            if not pinned or sink.count >= item.size:
                sink.restart()
            try:
                with self._throttle.slot():
                    response = self._ask(item, sink, if_match, packed)
                    pinned = by_version or (pinned and "etag" in response.headers)
                    if sink.count and not pinned:
                        raise Retry("NotPinned", "the store's response to a range has no ETag", patience=4)
                    self._take(response, item, sink)
                break
            except NotAsListed as error:
                if error.code != "PreconditionFailed" or not if_match:
                    self._look_again(item, error)
                self._skip_unless_as_listed(item, error)
                # The store compares If-Match in a way of its own, for example with the quotes.
                # The ETag of each response pins the object as well.
                if_match = False
                continue
            except Refused as error:
                self._refusals.refused(error.code)
                raise
            except Retry as error:
                trouble = error
                if error.code == "SizeMismatch":
                    packed = not packed
                    sink.restart()
            # Progress resets the count of failures, but bytes that trickle in are none.
            gained = min(sink.count, item.size) - furthest
            failures = 1 if gained > 0 and not self._requests.is_too_slow(gained) else failures + 1
            furthest += max(0, gained)
            if failures >= trouble.patience:
                self._give_up(item, trouble, failures)
            self._back_off(failures, trouble.retry_after)
        self._refusals.granted(row)
        self._if_match &= if_match or not item.etag
        self._packed = packed
        if not pinned:
            self._skip_unless_as_listed(item)

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        """The same, on a connection that this turn keeps for such reads alone."""
        with self._requests.on_fresh_connection():
            self.read(item, sink)

    def _ask(self, item: ListedObject, sink: Sink, if_match: bool, packed: bool) -> Response:
        """The response with the bytes that `sink` lacks. Its head is checked against the request.

        Arguments: `packed`, whether to ask for the bytes as stored. Google unpacks an object with
        `Content-Encoding: gzip` otherwise. Not asked at once, because a proxy may pack other objects then.
        """
        headers = {}
        if if_match:
            headers["if-match"] = f'"{item.etag}"'
        if packed:
            headers["accept-encoding"] = "gzip"
        if sink.count:
            headers["range"] = f"bytes={sink.count}-"
        query = encode_query({"versionId": item.version_id}) if item.version_id else ""
        path = f"{self._base_path}/{encode_path(self._prefix + item.key)}"
        response = self._requests.get(path, query, headers)
        if response.status == 200:  # the whole object, even if a range was requested
            sink.restart()
        _refuse_unless_as_listed(item, sink.count, response)
        return response

    def _take(self, response: Response, item: ListedObject, sink: Sink) -> None:
        buffer = self._requests.buffer()
        try:
            while sink.count <= item.size and (count := response.readinto(buffer)):
                sink.update(buffer[:count])
                self._throttle.spend(count)
        except OSError as error:
            raise broken(error, f"after {sink.count:,} of {item.size:,} bytes") from error
        if sink.count < item.size and not response.delimited:
            raise Retry("ConnectionError", f"the connection ended after {sink.count:,} bytes", patience=5)
        if sink.count != item.size:  # the response had no length
            raise _other_size(f"{sink.count:,} bytes or more came for an object of {item.size:,}")

    # --- failures ----------------------------------------------------------------------------

    def _give_up(self, item: ListedObject, trouble: Retry, attempts: int) -> NoReturn:
        message = f"{trouble.message} (attempt {attempts})"
        if trouble.code == "SizeMismatch":
            self._look_again(item, ObjectUnreadable(trouble.code, message))
        # Raises BucketUnreachable if the whole bucket is the problem, instead of a failed row per object.
        self._pages.page({}, self._prefix + item.key)
        raise ObjectUnreadable(trouble.code, message) from trouble

    def _look_again(self, item: ListedObject, error: ObjectUnreadable) -> NoReturn:
        """The store answered that there is no such object, or a different one: check the listing first."""
        self._skip_unless_as_listed(item, error)
        message = f"{error.message}; but it is still listed, unchanged"
        if isinstance(error, NotAsListed):
            message += ": the key may not be addressable on this store"
        raise ObjectUnreadable(error.code, message) from error

    def _skip_unless_as_listed(self, item: ListedObject, error: ObjectError | None = None) -> None:
        as_listed = self._is_as_listed(item)
        if as_listed is None:
            raise ObjectSkipped(DELETED, "the object was deleted since it was listed") from error
        if not as_listed:
            raise ObjectSkipped(CHANGED, "the object was overwritten since it was listed") from error

    def _is_as_listed(self, item: ListedObject) -> bool | None:
        """Whether an object is still listed unchanged; None if it is no longer listed."""
        for rows in self._entries_of(item.key):
            found = [each for each in rows if each.version_id == item.version_id]
            if found:
                listed = [(each.etag, each.size, each.last_modified) for each in found]
                return (item.etag, item.size, item.last_modified) in listed
        return None

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        """See BucketReader."""
        wanted = version_id if self._versions else None
        for rows in self._entries_of(key):
            found = [
                each for each in rows if wanted == each.version_id or (wanted is None and each.is_latest)
            ]
            if found:
                return one_of(each for each in found if each.version_id == found[0].version_id)
        return None

    def _entries_of(self, key: str) -> Iterator[list[ListedObject]]:
        """The entries of one key, as listed now, page by page."""
        full = self._prefix + key
        parameters: dict[str, str] | None = {}
        while parameters is not None:
            page = self._pages.page(parameters, full)
            batch = self._relative(page.batch)
            yield list(listed_objects(batch.filter(pc.equal(batch.column("key"), key))))
            # The key itself comes before all longer keys that begin with it.
            more = page.next_parameters or {}
            parameters = more if more.get("key-marker") == full else None

    def close(self) -> None:
        """Close all connections. Nobody may be reading."""
        self._requests.close()


def _refuse_unless_as_listed(item: ListedObject, start: int, response: Response) -> None:
    stored = response.headers.get("x-goog-stored-content-encoding")
    if stored == "gzip" and response.headers.get("content-encoding") != stored:
        raise _other_size("the store unpacks the object, so these are not its bytes")
    etag = plain_etag(response.headers.get("etag", ""))
    if item.etag and etag and not same_etag(etag, item.etag):
        raise NotAsListed("OtherObject", f"the store answered with ETag {etag}, not {item.etag}")
    if response.status == 206:
        content_range = response.headers.get("content-range", "")
        if not content_range.startswith(f"bytes {start}-"):
            raise Retry("WrongRange", f"requested bytes from {start:,}, got '{content_range}'", patience=4)
        total = content_range.rpartition("/")[2]  # `*` where the store does not know it
        if total.isdecimal() and int(total) != item.size:
            raise _other_size(
                f"the store says that the object has {total} bytes, not {item.size:,} as listed"
            )
    if response.length is not None and response.length != item.size - start:
        raise _other_size(f"the store sends {response.length:,} bytes, but {item.size - start:,} were listed")


def _other_size(message: str) -> Retry:
    return Retry("SizeMismatch", message, patience=4)
