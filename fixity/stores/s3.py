"""An S3 bucket, on AWS or any compatible endpoint: listed page by page, objects read as they were listed.

Reading is pinned to the version and the ETag of the listing, goes on where a broken connection
stopped, and tells apart what a failed request means: the object changed, is gone, is archived, or
could not be read. Hashing and rows do not belong here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pyarrow as pa
import pyarrow.compute as pc
from lxml import etree

from fixity.stores.base import (
    CHANGED,
    DELETED,
    ListedObject,
    ObjectError,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
    StoreUnreachable,
)
from fixity.stores.pace import Pace
from fixity.stores.s3_address import Address
from fixity.stores.s3_listing import ListingError, Page, parse_page
from fixity.stores.sigv4 import Signer, encode_path, encode_query
from fixity.stores.wire import BrokenConnection, Connection, Response

_BUFFER = 256 * 1024
_PAGE = 1000
_THROTTLED = {429, 503}
_PASSING = {500, 502, 504}
_CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange"}
_BUCKET_ERRORS = {
    "ExpiredToken": "the credentials have expired: renew them and run again",
    "InvalidAccessKeyId": "the access key is not known to the store",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it and run again",
    "NoSuchBucket": "there is no such bucket",
    "TokenRefreshRequired": "the credentials have expired: renew them and run again",
}


class _Retry(Exception):
    """A request that may go well another time. `patience`: how many times in a row it may fail."""

    def __init__(self, code: str, message: str, patience: int, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.patience = patience
        self.retry_after = retry_after


class S3Store:
    """A bucket, or the part of it below `prefix`.

    Arguments: `name`, the bucket for messages; `address`; `prefix`, taken off all keys; `exclude`,
    shell patterns of keys (without the prefix) to leave out; `versions`, whether to list all;
    `pace` limits and slows the requests; `backoff` is the first wait before a retry, in seconds.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        pace: Pace,
        prefix: str = "",
        exclude: tuple[str, ...] = (),
        versions: bool = False,
        backoff: float = 0.1,
    ) -> None:
        self._name = name
        self._address = address
        self._signer = Signer(address.credentials, address.region)
        self._host = address.origin.host_header
        self._pace = pace
        self._prefix = prefix
        self._exclude = exclude
        self._versions = versions
        self._backoff = backoff
        self._thread = threading.local()
        self._connections: list[Connection] = []

    # --- listing -----------------------------------------------------------------------------

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """All objects below the prefix, page by page. Raises StoreUnreachable."""
        parameters: dict[str, str] | None = {}
        while parameters is not None:
            page = self._page(parameters)
            if page.next_parameters == parameters:
                raise StoreUnreachable(f"{self._name}: the listing does not advance beyond {parameters!r}")
            parameters = page.next_parameters
            batch = self._relative(page.batch)
            if batch.num_rows:
                yield batch

    def _relative(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._prefix:
            keys = pc.utf8_slice_codeunits(batch.column("key"), len(self._prefix))
            batch = batch.set_column(0, batch.schema.field("key"), keys)
            batch = batch.filter(pc.not_equal(keys, ""))  # the prefix's own folder marker
        if self._exclude:
            kept = [
                not any(fnmatchcase(key, pattern) for pattern in self._exclude)
                for key in batch.column("key").to_pylist()
            ]
            batch = batch.filter(pa.array(kept, pa.bool_()))
        return batch

    def _page(self, parameters: dict[str, str], prefix: str | None = None) -> Page:
        query = {"encoding-type": "url", "max-keys": str(_PAGE), **parameters}
        query |= {"versions": ""} if self._versions else {"list-type": "2"}
        query["prefix"] = self._prefix if prefix is None else prefix
        encoded = encode_query({k: v for k, v in query.items() if v or k == "versions"})
        failures = 0
        while True:
            try:
                with self._pace.slot():
                    response = self._get(self._address.base_path or "/", encoded, {})
                    body = response.read()
                return parse_page(body, self._versions)
            except ListingError as error:
                trouble = _Retry("InvalidListing", str(error), patience=3)
            except _Retry as error:
                trouble = error
            except ObjectError as error:
                raise StoreUnreachable(f"{self._name} cannot be listed: {error}") from error
            failures += 1
            if failures >= trouble.patience:
                raise StoreUnreachable(
                    f"{self._name} cannot be listed, after {failures} attempts: {trouble.message}", passing=True
                ) from trouble
            self._pace.back_off(failures, self._backoff, trouble.retry_after)

    # --- reading -----------------------------------------------------------------------------

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give an object's bytes to `sink`.

        Raises ObjectUnreadable, ObjectSkipped; StoreUnreachable when it is the bucket that is gone.
        """
        failures = 0
        while True:
            if not (item.etag or item.version_id):  # nothing pins what a second request would read
                sink.restart()
            start = sink.count
            try:
                with self._pace.slot():
                    self._read_from(start, item, sink)
                return
            except _Retry as error:
                trouble = error
            # A read that got on has earned its patience anew.
            failures = 1 if sink.count > start else failures + 1
            if failures >= trouble.patience:
                self._give_up(item, trouble, failures)
            self._pace.back_off(failures, self._backoff, trouble.retry_after)

    def _read_from(self, start: int, item: ListedObject, sink: Sink) -> None:
        response = self._ask(item, start)
        if start and response.status == 200:  # the store does not know Range: all of it again
            sink.restart()
            start = 0
        self._refuse_unless_as_listed(item, start, response)
        buffer = self._buffer()
        try:
            while count := response.readinto(buffer):
                sink.update(buffer[:count])
                self._pace.spend(count)
        except OSError as error:
            raise _broken(error, f"after {sink.count:,} of {item.size:,} bytes") from error
        if sink.count != item.size:
            raise ObjectUnreadable(
                "SizeMismatch", f"{sink.count:,} bytes were read of an object of {item.size:,}"
            )

    def _ask(self, item: ListedObject, start: int) -> Response:
        headers = {}
        if item.etag:
            headers["if-match"] = f'"{item.etag}"'
        if start:
            headers["range"] = f"bytes={start}-"
        query = encode_query({"versionId": item.version_id}) if item.version_id else ""
        path = f"{self._address.base_path}/{encode_path(self._prefix + item.key)}"
        try:
            return self._get(path, query, headers)
        except ObjectUnreadable as error:
            if error.code in ("PreconditionFailed", "NoSuchKey", "NoSuchVersion", "InvalidRange"):
                self._refuse_because_gone(item, error)
            raise

    def _refuse_unless_as_listed(self, item: ListedObject, start: int, response: Response) -> None:
        etag = response.headers.get("etag", "").removeprefix("W/").strip('"')
        if item.etag and etag and etag != item.etag:
            self._refuse_because_gone(
                item, ObjectUnreadable("OtherObject", f"the store answered with ETag {etag}, not {item.etag}")
            )
        if start:
            said = response.headers.get("content-range", "")
            if response.status != 206 or not said.startswith(f"bytes {start}-"):
                raise _Retry("WrongRange", f"asked for bytes from {start:,}, got '{said}'", patience=4)
        if response.length is not None and response.length != item.size - start:
            raise _Retry(
                "SizeMismatch",
                f"the store offers {response.length:,} bytes where {item.size - start:,} are listed",
                patience=4,
            )

    def _refuse_because_gone(self, item: ListedObject, error: ObjectUnreadable) -> None:
        """The store has no such object, or another: look at the listing before believing either."""
        key = self._prefix + item.key
        parameters: dict[str, str] = {}
        while True:
            page = self._page(parameters, prefix=key)
            for row in page.batch.to_pylist():
                if row["key"] != key or (item.version_id and row["version_id"] != item.version_id):
                    continue
                if row["etag"] == item.etag and row["size"] == item.size:
                    still = "but it is listed still, unchanged: the key may not be addressable on this store"
                    raise ObjectUnreadable(error.code, f"{error.message}; {still}") from error
                if item.version_id or not self._versions:
                    raise ObjectSkipped(CHANGED, "the object was overwritten since it was listed") from error
            if page.next_parameters is None or not self._versions:
                raise ObjectSkipped(DELETED, "the object is gone since it was listed") from error
            parameters = page.next_parameters

    def _give_up(self, item: ListedObject, trouble: _Retry, attempts: int) -> None:
        if trouble.code == "ConnectionError":
            self._page({}, prefix=self._prefix + item.key)  # StoreUnreachable when it is not the object
        raise ObjectUnreadable(trouble.code, f"{trouble.message} (attempt {attempts})") from trouble

    # --- the wire ----------------------------------------------------------------------------

    def _get(self, path: str, query: str, headers: dict[str, str]) -> Response:
        """One request. Returns an answer of 200 or 206; everything else is raised, told apart."""
        signed = self._signer.headers("GET", self._host, path, query, headers)
        try:
            response = self._connection().request("GET", f"{path}?{query}" if query else path, signed)
            if response.status in (200, 206):
                return response
            code, message = _error_of(response.read())
        except OSError as error:
            raise _broken(error, "before an answer came") from error
        status = response.status
        code = code or _CODES.get(status, f"Http{status}")
        message = f"{message or 'no message'} (HTTP {status})"
        if status in _THROTTLED or code == "SlowDown":
            self._pace.slow_down()
            raise _Retry(
                code, message, patience=10, retry_after=_seconds(response.headers.get("retry-after"))
            )
        if status in _PASSING or code in ("RequestTimeout", "InternalError"):
            raise _Retry(code, message, patience=4)
        if code in _BUCKET_ERRORS:
            raise StoreUnreachable(f"{self._name}: {_BUCKET_ERRORS[code]} ({code})")
        if code == "InvalidObjectState":
            raise ObjectSkipped(
                "Archived", "the object is archived and has to be restored before it can be read"
            )
        raise ObjectUnreadable(code, message)

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._thread.connection = Connection(self._address.origin)
            self._connections.append(connection)
        return connection

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._thread, "buffer", None)
        if buffer is None:
            buffer = self._thread.buffer = memoryview(bytearray(_BUFFER))
        return buffer

    def close(self) -> None:
        """Close all connections. No thread may be reading."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._thread = threading.local()


def _broken(error: OSError, when: str) -> _Retry:
    if isinstance(error, BrokenConnection):
        return _Retry("ConnectionError", f"{error}, {when}", patience=5)
    return _Retry("ConnectionError", f"{type(error).__name__}: {error}, {when}", patience=5)


def _error_of(body: bytes) -> tuple[str, str]:
    try:
        root = etree.fromstring(body)
    except etree.XMLSyntaxError:
        return "", body[:200].decode("utf-8", "replace").strip()
    found = {etree.QName(child).localname: child.text or "" for child in root if isinstance(child.tag, str)}
    return found.get("Code", ""), found.get("Message", "")


def _seconds(header: str | None) -> float:
    try:
        return min(float(header or 0), 60.0)
    except ValueError:
        return 0.0
