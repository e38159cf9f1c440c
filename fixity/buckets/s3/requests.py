"""Sends one signed GET to a bucket, and classifies its failure.

A failure is temporary (try again), or concerns the object (it is not as listed, it cannot be read), or the
whole bucket. Retrying, and handling a failed object, do not belong here.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lxml import etree

from fixity.buckets.base import ObjectSkipped, ObjectUnreadable
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.http1 import Connection, Origin, Response
from fixity.buckets.s3.redirects import elsewhere, moved
from fixity.buckets.s3.sigv4 import Signer
from fixity.buckets.throttle import Pace, Throttle, TooSlow
from fixity.catalog.clients import THROTTLED, passes
from fixity.errors import BucketUnreachable
from fixity.humanize import error_text, seconds_text
from fixity.in_turns import OfTurn

_BUFFER = 1024 * 1024  # half of it, and 8 MiB cost a tenth more CPU; twice as much saves nothing
_ERROR_ROOM = 8 * 1024  # bytes of an error that are read; the rest is never waited for
_THROTTLED = {429, 503}
_REFUSED_CODES = {"ExpiredTokenException", "InvalidToken", "SignatureDoesNotMatch", "AccountProblem"}
_SKEWED = "RequestTimeTooSkewed"
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_NOT_AS_ASKED = {404, 412, 416}
_CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange"}
_BUCKET_ERRORS = {
    "ExpiredToken": "the credentials have expired: renew them and run again",
    "InvalidAccessKeyId": "the access key is not known to the store",
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


class Refused(ObjectUnreadable):
    """The store refuses to give this object to these keys. It may refuse all others too."""


@dataclass(slots=True)
class _Kept:
    """The connections of a turn, or thread; closed when it ends, or by `close`."""

    connection: Connection | None = None
    fresh: Connection | None = None

    @property
    def pace(self) -> Pace:
        """Of its last request."""
        assert self.connection is not None
        return self.connection.pace


class Requests:
    """Sends requests to one bucket, over one connection a turn, or a thread where there are no turns.

    Arguments: `name` of the bucket, for messages; `address` of its requests; `throttle`, slowed down when
    the store asks for fewer requests.
    """

    def __init__(self, name: str, address: Address, throttle: Throttle) -> None:
        self._name = name
        self._origin = address.origin
        self._signer = Signer(address.keys, address.region)
        self._headers = {"x-amz-request-payer": "requester"} if address.requester_pays else {}
        self._throttle = throttle
        self._kept = OfTurn(_Kept)
        self._buffers = threading.local()

    def get(self, path: str, query: str, headers: dict[str, str]) -> Response:
        """Send one request. Returns a response with status 200 or 206; raises an error for any other.

        Arguments: `path` and `query`, encoded as in the request line.
        Raises Retry, NotAsListed, ObjectUnreadable, ObjectSkipped, BucketUnreachable.
        """
        headers = {**self._headers, **headers}
        origin, signer = self._origin, self._signer
        for attempt in (1, 2):
            signed = signer.headers("GET", origin.host_header, path, query, headers)
            response = self._send(origin, f"{path}?{query}" if query else path, signed)
            if response.status in (200, 206):
                if attempt == 2:  # after a redirect: where the bucket is
                    self._origin, self._signer = origin, signer
                return response
            told = _error_of(response.beginning(_ERROR_ROOM))
            self._connection(origin).drop_unless_complete()
            if told.get("Code") == _SKEWED:
                self._follow_clock(response, last=attempt == 2)
                continue
            there = moved(response.status, response.headers, told, origin.host, signer.region)
            if there is None or attempt == 2:
                break
            origin, signer = replace(origin, host=there[0]), signer.of_region(there[1])
        status = response.status
        code = told.get("Code", "")
        code = code if _CODE.fullmatch(code) else _CODES.get(status, f"Http{status}")
        if status == 412:
            code = _CODES[status]
        message = f"{error_text(told.get('Message', ''), _secrets(signed)) or 'no message'} (HTTP {status})"
        if place := elsewhere(status, response.headers, told, self._signer.region):
            raise Refused(code, f"{place} (HTTP {status})")
        retry_after = _seconds(response.headers.get("retry-after", ""))
        if status in _THROTTLED or code in THROTTLED:
            self._throttle.slow_down()
            raise Retry(code, message, 10, retry_after)
        if passes(status, code):
            raise Retry(code, message, 4, retry_after)
        if code in _BUCKET_ERRORS:
            raise BucketUnreachable(f"{self._name}: {_BUCKET_ERRORS[code]} ({code})")
        if code == "InvalidObjectState":
            raise ObjectSkipped(
                "Archived", "the object is archived: it must be restored before it can be read"
            )
        if status in (401, 403) or code in _REFUSED_CODES:
            raise Refused(code, message)
        raise (NotAsListed if status in _NOT_AS_ASKED else ObjectUnreadable)(code, message)

    def _send(self, origin: Origin, target: str, headers: dict[str, str]) -> Response:
        try:
            return self._connection(origin).request("GET", target, headers)
        except ssl.SSLCertVerificationError as error:
            raise BucketUnreachable(
                f"{self._name}: the certificate of {origin.host_header} is not trusted "
                f"({error.verify_message}): name the authority that signed it as the store's ca_bundle"
            ) from error
        except OSError as error:
            raise broken(error, f"before a response of {origin.host_header} came") from error

    def _follow_clock(self, response: Response, last: bool) -> None:
        """Sign with the clock of the store, which refused the time of a request. Raises BucketUnreachable if
        it was the `last` attempt."""
        store_time = _store_time(response)
        if store_time is not None:
            self._signer.follow(store_time)
        if last:
            ahead = self._signer.ahead
            differs = f"{seconds_text(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the store's"
            raise BucketUnreachable(
                f"{self._name}: the store refuses the time of requests, twice ({_SKEWED}). This machine's "
                f"clock is {differs if store_time is not None else 'perhaps wrong'}: set it and run again"
            )

    def is_too_slow(self, gained: int) -> bool:
        """Whether `gained` bytes are too few for the time that this turn's last request waited."""
        return self._kept.get().pace.is_too_slow(gained)

    def waited(self) -> float:
        """Seconds that this turn's last request waited for bytes."""
        return self._kept.get().pace.waited

    def _connection(self, origin: Origin) -> Connection:
        kept = self._kept.get()
        if kept.connection is None or kept.connection.origin is not origin:
            kept.connection = Connection(origin, self._throttle.pace())
        return kept.connection

    @contextmanager
    def on_fresh_connection(self) -> Iterator[None]:
        """This turn's requests in the block use a connection of their own, which is closed with the turn.

        No first read is made on it. No object is read on it twice: each pass over objects has new turns.
        """
        kept = self._kept.get()
        of_first_reads = kept.connection
        kept.connection = kept.fresh or Connection(self._origin, self._throttle.pace())
        try:
            yield
        finally:
            kept.fresh, kept.connection = kept.connection, of_first_reads

    def buffer(self) -> memoryview:
        """A buffer to read bodies into. The turns of a thread share it: use what a read put into it before
        anything that waits."""
        buffer: memoryview | None = getattr(self._buffers, "buffer", None)
        if buffer is None:
            buffer = self._buffers.buffer = memoryview(bytearray(_BUFFER))
        return buffer

    def close(self) -> None:
        """Close all connections. Nobody may be reading."""
        self._kept = OfTurn(_Kept)


def broken(error: OSError, when: str) -> Retry:
    """The error for a broken connection; `when` it broke, for people."""
    if isinstance(error, TooSlow):
        return Retry("TooSlow", f"{error}, {when}", patience=3)
    return Retry("ConnectionError", f"{type(error).__name__}: {error}, {when}", patience=5)


def _error_of(body: bytes) -> dict[str, str]:
    """The fields of an error, `Code` and `Message` among them. Its text may be cut anywhere."""
    try:
        root = etree.fromstring(body, etree.XMLParser(recover=True, resolve_entities=False))
    except etree.XMLSyntaxError:
        root = None
    error = None if root is None else next(root.iter("{*}Error"), None)
    if error is None:
        return {"Message": body.decode("utf-8", "replace")}
    return {etree.QName(each).localname: each.text or "" for each in error.iterchildren("{*}*")}


def _secrets(signed: dict[str, str]) -> list[str]:
    """What of a request's headers must not be shown."""
    parts = re.findall(r"(?:Credential|Signature)=([^/,]+)", signed.get("authorization", ""))
    return [*parts, signed.get("x-amz-security-token", "")]


def _store_time(response: Response) -> float | None:
    """The store's time, in seconds since the epoch; None if it does not say."""
    from email.utils import mktime_tz, parsedate_tz

    parsed = parsedate_tz(response.headers.get("date", ""))
    try:
        return float(mktime_tz(parsed)) if parsed else None
    except (ValueError, OverflowError):
        return None


def _seconds(header: str) -> float:
    # The other form, a date, is rare; then we choose the wait.
    return min(float(header), 60.0) if header.isascii() and header.isdigit() else 0.0
