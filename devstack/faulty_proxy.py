"""A proxy on loopback in front of a real S3 server; tests make it misbehave.

    with FaultyProxy(seaweedfs.endpoint_url) as proxy:
        proxy.fault(Throttle(times=3), key="a/b")
        proxy.fault(CutConnection(after_bytes=1000), key="a/b")
        ...
        assert [get.headers["Range"] for get in proxy.gets("a/b")] == [None, "bytes=1000-"]

Requests pass byte for byte, including the Host header, so that signatures stay valid. This module chooses
the requests that a fault affects, and records requests. The faults do not belong here; they are in `faults`.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from devstack.faults import Answer, Fault
from devstack.loopback import HangUp, LoopbackServer, S3Handler, S3Request
from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY

PIECE = 64 * 1024


@dataclass(frozen=True)
class Recorded(S3Request):
    """A request that the proxy received, its fault, and the client's port, one for each connection."""

    fault: Fault | None = None
    port: int = 0


@dataclass
class _Rule:
    """The requests that a fault affects, and how many more times."""

    fault: Fault
    key: str | None
    method: str
    listing: bool
    left: float

    def matches(self, request: S3Request) -> bool:
        return (
            self.left > 0
            and request.method == self.method
            and request.is_listing == self.listing
            and (self.listing or bool(request.key))
            and (self.key is None or self.key == request.key)
        )


class FaultyProxy(LoopbackServer):
    """The proxy, for the length of a `with` block.

    `requests` are those received, in order. `max_concurrent`: how many of them were open at once, at most,
    each until it sends the answer's last bytes, since the client may ask again as soon as it has them.
    `sent` has the time (`time.monotonic()`) and the number of bytes of each piece of a body.
    Arguments: `target`, the endpoint URL of the store; `host`, the address where it listens.
    """

    def __init__(self, target: str, host: str = "127.0.0.1") -> None:
        super().__init__(_ProxyHandler, host)
        netloc = urlsplit(target).netloc
        self.target = netloc
        self.requests: list[Recorded] = []
        self.sent: list[tuple[float, int]] = []
        self.max_concurrent = 0
        self._concurrent = 0
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    def fault(
        self, fault: Fault, *, key: str | None = None, method: str = "GET", listing: bool = False
    ) -> None:
        """Apply `fault` to the next requests for objects (or to listings), of `key` or of all keys.

        If several faults match a request, the first one with times left applies.
        """
        left = float("inf") if fault.times is None else fault.times
        with self._lock:
            self._rules.append(_Rule(fault, key, method, listing, left))

    def forget(self) -> None:
        """Remove all faults, and clear the record."""
        with self._lock:
            self._rules.clear()
            self.requests.clear()
            self.sent.clear()
            self.max_concurrent = self._concurrent

    def gets(self, key: str | None = None) -> list[Recorded]:
        """The GETs of an object so far; by default, of all objects."""
        with self._lock:
            return [
                seen
                for seen in self.requests
                if seen.method == "GET" and seen.key and (key is None or seen.key == key)
            ]

    def bytes_per_second(self) -> dict[int, int]:
        """Bytes of bodies sent in each second, counted from the first."""
        with self._lock:
            seconds: Counter[int] = Counter()
            for moment, count in self.sent:
                seconds[int(moment - self.sent[0][0])] += count
            return dict(seconds)

    def begin(self, request: S3Request, port: int) -> Fault | None:
        """Record a request and choose its fault (for the handler)."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.matches(request)), None)
            if rule is not None:
                rule.left -= 1
            fault = None if rule is None else rule.fault
            self.requests.append(Recorded(request.method, request.path, request.headers, fault, port))
            self._concurrent += 1
            self.max_concurrent = max(self.max_concurrent, self._concurrent)
            return fault

    def end(self) -> None:
        """Note that a request ended (for the handler)."""
        with self._lock:
            self._concurrent -= 1

    def count_sent(self, count: int) -> None:
        """Record sent bytes of a body (for the handler)."""
        with self._lock:
            self.sent.append((time.monotonic(), count))


class _ProxyHandler(S3Handler):
    """One client's connection, with its own connection to the store."""

    server: FaultyProxy

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(self.server.target)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def handle_request(self, request: S3Request, body: bytes) -> None:
        fault = self.server.begin(request, self.client_address[1]) or Fault()
        self._is_open = True
        try:
            answer = fault.answer()
            if answer is not None:
                self._say(answer)
            else:
                self._forward(request, body, fault)
        finally:
            self._end()

    def _end(self) -> None:
        if self._is_open:
            self._is_open = False
            self.server.end()

    def _say(self, answer: Answer) -> None:
        self._end()
        self.send_whole(answer.status, answer.headers, answer.body)

    def _forward(self, request: S3Request, body: bytes, fault: Fault) -> None:
        headers = list(request.headers.items())
        asked = request.headers.get("Range")
        wanted = fault.request_range(asked)
        if wanted != asked:
            headers = self._signed_with_range(request, wanted)
        response = self._ask(request, headers, body)
        try:
            self._pass_on(response, fault)
        finally:
            if not response.isclosed():  # left unread: the connection cannot be used again
                self._upstream.close()

    def _ask(
        self, request: S3Request, headers: list[tuple[str, str]], body: bytes
    ) -> http.client.HTTPResponse:
        """The store's response. Retries once if the store has closed the kept-alive connection."""
        for fresh in (self._upstream.sock is None, True):
            try:
                self._upstream.putrequest(
                    request.method, request.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in headers:
                    self._upstream.putheader(name, value)
                self._upstream.endheaders(body or None)
                return self._upstream.getresponse()
            except (http.client.HTTPException, OSError):
                self._upstream.close()
                if fresh:
                    break
        raise HangUp

    def _pass_on(self, response: http.client.HTTPResponse, fault: Fault) -> None:
        headers = fault.response_headers(response.getheaders())
        stated = {name.lower(): value for name, value in headers}
        left = 0 if self.command == "HEAD" else int(stated.get("content-length", -1))
        if not left:
            self._end()
        self.send_head(response.status, response.reason, headers)
        if response.will_close:
            self.close_connection = True
        chunked = response.getheader("Transfer-Encoding", "").lower() == "chunked"
        for piece in fault.body(_pieces(response), self._wait):
            if piece:
                left -= len(piece)
                if not left:
                    self._end()
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                self.server.count_sent(len(piece))
        self._end()
        if chunked and self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

    def _wait(self, event: threading.Event) -> None:
        """Wait for a test's event. The end of the test closes the connection, which also ends the wait."""
        while not event.wait(0.02):
            if self.client_is_gone():
                raise HangUp

    def _signed_with_range(self, request: S3Request, wanted: str | None) -> list[tuple[str, str]]:
        """The headers for another range, with a new signature, because the Range header is signed."""
        left_out = {"range", "authorization", "x-amz-date"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in left_out}
        if wanted is not None:
            headers["Range"] = wanted
        signed = AWSRequest(request.method, f"http://{self.server.target}{request.path}", headers=headers)
        S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION).add_auth(signed)
        return list(signed.headers.items())


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it arrives; hangs up if the store did."""
    while piece := response.read1(PIECE):
        yield piece
    if response.length:
        raise HangUp
