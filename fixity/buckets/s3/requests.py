"""Sends one signed GET to a bucket, and classifies its failure.

A failure is temporary (try again), or concerns the object (it is not as listed, it cannot be read), or the
whole bucket. Retrying, and handling a failed object, do not belong here.
"""

from __future__ import annotations

import ssl
import threading

from lxml import etree

from fixity.buckets.base import ObjectSkipped, ObjectUnreadable
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.http1 import Connection, Response
from fixity.buckets.s3.sigv4 import Signer
from fixity.buckets.throttle import Throttle
from fixity.errors import BucketUnreachable

_BUFFER = 512 * 1024
_THROTTLED = {429, 503}
_PASSING = {500, 502, 504}
_NOT_AS_ASKED = {404, 412, 416}
_CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange"}
_BUCKET_ERRORS = {
    "ExpiredToken": "the credentials have expired: renew them and run again",
    "InvalidAccessKeyId": "the access key is not known to the store",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it and run again",
    "NoSuchBucket": "there is no such bucket",
    "TokenRefreshRequired": "the credentials have expired: renew them and run again",
}


class Retry(Exception):
    """A request that may succeed later. `patience`: how many times in a row it may fail."""

    def __init__(self, code: str, message: str, patience: int, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.patience = patience
        self.retry_after = retry_after


class NotAsListed(ObjectUnreadable):
    """The store does not have the requested object. Only a new listing shows whether it was deleted."""


class Requests:
    """Sends requests to one bucket, over one connection a thread.

    Arguments: `name` of the bucket, for messages; `address` of its requests; `throttle`, slowed down when
    the store asks for fewer requests.
    """

    def __init__(self, name: str, address: Address, throttle: Throttle) -> None:
        self._name = name
        self._origin = address.origin
        self._host = address.origin.host_header
        self._signer = Signer(address.keys, address.region)
        self._throttle = throttle
        self._thread = threading.local()
        self._connections: list[Connection] = []

    def get(self, path: str, query: str, headers: dict[str, str]) -> Response:
        """Send one request. Returns a response with status 200 or 206; raises an error for any other.

        Arguments: `path` and `query`, encoded as in the request line.
        Raises Retry, NotAsListed, ObjectUnreadable, ObjectSkipped, BucketUnreachable.
        """
        signed = self._signer.headers("GET", self._host, path, query, headers)
        try:
            response = self._connection().request("GET", f"{path}?{query}" if query else path, signed)
            if response.status in (200, 206):
                return response
            code, message = _error_of(response.read())
        except ssl.SSLCertVerificationError as error:
            raise BucketUnreachable(
                f"{self._name}: the certificate of {self._host} is not trusted ({error.verify_message}): "
                "name the authority that signed it as the store's ca_bundle"
            ) from error
        except OSError as error:
            raise broken(error, "before a response came") from error
        status = response.status
        code = code or _CODES.get(status, f"Http{status}")
        message = f"{message or 'no message'} (HTTP {status})"
        if status in _THROTTLED or code == "SlowDown":
            self._throttle.slow_down()
            raise Retry(
                code, message, patience=10, retry_after=_seconds(response.headers.get("retry-after", ""))
            )
        if status in _PASSING or code in ("RequestTimeout", "InternalError"):
            raise Retry(code, message, patience=4)
        if code in _BUCKET_ERRORS:
            raise BucketUnreachable(f"{self._name}: {_BUCKET_ERRORS[code]} ({code})")
        if code == "InvalidObjectState":
            raise ObjectSkipped(
                "Archived", "the object is archived: it must be restored before it can be read"
            )
        raise (NotAsListed if status in _NOT_AS_ASKED else ObjectUnreadable)(code, message)

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._thread.connection = Connection(self._origin)
            self._connections.append(connection)
        return connection

    def buffer(self) -> memoryview:
        """This thread's buffer, to read bodies into."""
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


def broken(error: OSError, when: str) -> Retry:
    """The error for a broken connection; `when` it broke, for people."""
    return Retry("ConnectionError", f"{type(error).__name__}: {error}, {when}", patience=5)


def _error_of(body: bytes) -> tuple[str, str]:
    try:
        root = etree.fromstring(body)
    except etree.XMLSyntaxError:
        return "", body[:200].decode("utf-8", "replace").strip()
    found = {etree.QName(child).localname: child.text or "" for child in root if isinstance(child.tag, str)}
    return found.get("Code", ""), found.get("Message", "")


def _seconds(header: str) -> float:
    # The other form, a date, is rare; then we choose the wait.
    return min(float(header), 60.0) if header.isascii() and header.isdigit() else 0.0
