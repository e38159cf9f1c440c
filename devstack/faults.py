"""The faults of a store: a test chooses what `FaultyProxy` does to a request.

A fault answers instead of the store (`answer`), changes the request (`request_range`), or changes the
response (`response_headers`, `body`). To add a fault, override one of these. Sockets do not belong here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from devstack.loopback import HangUp, s3_error

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """A whole response, sent instead of the store's."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that does nothing. `times`: how many requests it affects (None: all)."""

    times: int | None = 1

    def answer(self) -> Answer | None:
        """The response instead of the store's; None asks the store. May raise `HangUp`."""
        return None

    def request_range(self, asked: str | None) -> str | None:
        """The Range header for the store. Arguments: `asked`, the client's."""
        return asked

    def response_headers(self, headers: Headers) -> Headers:
        """The headers for the client."""
        return headers

    def body(self, pieces: Iterator[bytes], wait: Callable[[threading.Event], None]) -> Iterator[bytes]:
        """The body for the client, in pieces. May raise `HangUp`.

        `wait` waits for an event; it hangs up if the client does, or if the proxy ends.
        """
        return pieces


@dataclass(frozen=True)
class Throttle(Fault):
    """The store is too busy: 503 SlowDown, or another status such as 429."""

    status: int = 503
    retry_after: int | None = None

    def answer(self) -> Answer:
        headers = [] if self.retry_after is None else [("Retry-After", str(self.retry_after))]
        code = "SlowDown" if self.status == 503 else "TooManyRequests"
        return Answer(self.status, headers, s3_error(code, "Please reduce your request rate."))


@dataclass(frozen=True)
class ServerError(Fault):
    """The store fails: 500 InternalError, or a gateway's other status, which is not XML."""

    status: int = 500

    def answer(self) -> Answer:
        if self.status != 500:
            return Answer(self.status, [("Content-Type", "text/html")], b"<html><h1>Gateway</h1></html>")
        return Answer(self.status, [], s3_error("InternalError", "We encountered an internal error."))


@dataclass(frozen=True)
class Refuse(Fault):
    """The store refuses: 403 AccessDenied, 404 NoSuchKey, or the given `code`, with a `message`."""

    status: int = 403
    code: str = ""
    message: str = "The test asked the proxy to refuse."

    def answer(self) -> Answer:
        code = self.code or {403: "AccessDenied", 404: "NoSuchKey"}[self.status]
        return Answer(self.status, [], s3_error(code, self.message))


@dataclass(frozen=True)
class HangUpBeforeAnswer(Fault):
    """The connection ends before the status line, as a stale kept-alive connection does."""

    def answer(self) -> Answer:
        raise HangUp


@dataclass(frozen=True)
class CutConnection(Fault):
    """The connection ends after `after_bytes` of the body; the Content-Length stays the full one.

    With `reset` it ends with RST, which may also destroy bytes that were sent before.
    """

    after_bytes: int
    reset: bool = False

    def body(self, pieces: Iterator[bytes], wait: Callable[[threading.Event], None]) -> Iterator[bytes]:
        yield from _first(pieces, self.after_bytes)
        raise HangUp(self.reset)


@dataclass(frozen=True)
class ShortBody(Fault):
    """Only `keep_bytes` come, in a consistent response: its Content-Length is `keep_bytes` too.

    With `claim_all` the Content-Length stays the full one, and the connection ends early.
    """

    keep_bytes: int
    claim_all: bool = False

    def response_headers(self, headers: Headers) -> Headers:
        if self.claim_all:
            return headers
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        return [*kept, ("Content-Length", str(self.keep_bytes))]

    def body(self, pieces: Iterator[bytes], wait: Callable[[threading.Event], None]) -> Iterator[bytes]:
        yield from _first(pieces, self.keep_bytes)
        if self.claim_all:
            raise HangUp


@dataclass(frozen=True)
class Trickle(Fault):
    """After `after_bytes` of the body the others come one by one; `tick` is called before each."""

    after_bytes: int
    tick: Callable[[], object]

    def body(self, pieces: Iterator[bytes], wait: Callable[[threading.Event], None]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece[: self.after_bytes]
            for byte in piece[self.after_bytes :]:
                self.tick()
                yield bytes([byte])


@dataclass(frozen=True)
class HeadWithoutLength(Fault):
    """The answer to a HEAD says no Content-Length, as Google's does for a packed object."""

    def response_headers(self, headers: Headers) -> Headers:
        return [(name, value) for name, value in headers if name.lower() != "content-length"]


@dataclass(frozen=True)
class Stall(Fault):
    """Nothing comes after `after_bytes` of the body, until `release()` or the client goes away."""

    after_bytes: int = 0
    reached: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)
    released: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    def release(self) -> None:
        self.released.set()

    def body(self, pieces: Iterator[bytes], wait: Callable[[threading.Event], None]) -> Iterator[bytes]:
        yield from _interrupted(pieces, self.after_bytes, lambda: self._wait(wait))

    def _wait(self, wait: Callable[[threading.Event], None]) -> None:
        self.reached.set()
        wait(self.released)


@dataclass(frozen=True)
class Overwrite(Fault):
    """Calls `callback` before the store is asked, or once `after_bytes` of the body are sent.

    With it, a test overwrites or deletes the object in the middle of a read.
    """

    callback: Callable[[], object]
    after_bytes: int | None = None

    def answer(self) -> None:
        if self.after_bytes is None:
            self.callback()

    def body(self, pieces: Iterator[bytes], wait: Callable[[threading.Event], None]) -> Iterator[bytes]:
        if self.after_bytes is None:
            return pieces
        return _interrupted(pieces, self.after_bytes, self.callback)


@dataclass(frozen=True)
class CorruptBytes(Fault):
    """The bits of the body's byte `at` are inverted."""

    at: int = 0

    def body(self, pieces: Iterator[bytes], wait: Callable[[threading.Event], None]) -> Iterator[bytes]:
        start = 0
        for piece in pieces:
            here = self.at - start
            start += len(piece)
            if 0 <= here < len(piece):
                piece = piece[:here] + bytes([piece[here] ^ 0xFF]) + piece[here + 1 :]
            yield piece


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """A request for a range gets 200 and all bytes."""

    def request_range(self, asked: str | None) -> None:
        return None


@dataclass(frozen=True)
class WrongRange(Fault):
    """A request for a range gets the range one byte earlier (or later, for a range from 0).

    One for the last bytes gets one byte more.
    """

    def request_range(self, asked: str | None) -> str:
        if asked and asked.startswith("bytes=-"):
            return f"bytes=-{int(asked.removeprefix('bytes=-')) + 1}"
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "bytes=0-")
        assert found is not None, f"not a range that this proxy knows: {asked}"
        start, end = int(found[1]), found[2]
        shift = -1 if start > 0 else 1
        return f"bytes={start + shift}-{int(end) + shift if end else ''}"


def _first(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """The first `count` bytes."""
    for piece in pieces:
        if len(piece) >= count:
            yield piece[:count]
            return
        count -= len(piece)
        yield piece


def _interrupted(pieces: Iterator[bytes], after: int, act: Callable[[], object]) -> Iterator[bytes]:
    """All bytes; `act` is called once `after` of them are sent, or at the end of a shorter body."""
    acted = False
    for piece in pieces:
        if not acted and len(piece) >= after:
            yield piece[:after]
            act()
            acted = True
            piece = piece[after:]
        after -= len(piece)
        yield piece
    if not acted:
        act()
