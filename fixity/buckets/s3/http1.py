"""The part of HTTP/1.1 that reading from S3 needs: a kept-alive connection, GET, bodies read into a buffer.

`http.client` spends 0.2 ms a response on its general header parser, half of the total cost of a small
object; this parser takes a third of that. Requests are sent exactly as the caller wrote them.
Normalising paths, redirects and retries do not belong here.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType

from fixity.buckets.s3.receive import BrokenConnection, Incoming, send_all
from fixity.buckets.throttle import Pace
from fixity.in_turns import in_thread

_MAX_HEADERS = 200
_MAX_INTERIM = 10
_BLANK = " \t\r\n\v\f"
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,15}")


@dataclass(frozen=True)
class Origin:
    """Where requests go. `timeout` in seconds, for connecting and for each wait for bytes."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0

    @property
    def host_header(self) -> str:
        """The Host header, with the port only if it is not the default one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Response:
    """A response whose body is not read yet. Headers have lower-case names.

    delimited: whether its body has an end of its own, not only that of the connection.
    """

    def __init__(self, status: int, headers: dict[str, str], stream: Incoming) -> None:
        self.status = status
        self.headers = headers
        self._stream = stream
        coding = headers.get("transfer-encoding", "identity").lower()
        if coding not in ("identity", "chunked"):  # perhaps compressed, so not the object's bytes
            raise BrokenConnection(f"the response has a transfer-encoding that was not requested: {coding!r}")
        self._chunked = coding == "chunked"
        length = headers.get("content-length")
        if length is not None and not _LENGTH.fullmatch(length):
            raise BrokenConnection(f"content-length is not a number: {length!r}")
        self.length = int(length) if length is not None and not self._chunked else None
        self._left = 0 if self._chunked else self.length
        without_body = status in (204, 304)
        self._ended = without_body or (self._left == 0 and not self._chunked)
        self.delimited = without_body or self._chunked or self.length is not None
        options = {token.strip() for token in headers.get("connection", "").lower().split(",")}
        self.reusable = self.delimited and "close" not in options

    @property
    def complete(self) -> bool:
        """Whether the whole body has been read."""
        return self._ended

    def readinto(self, buffer: memoryview) -> int:
        """Read up to `len(buffer)` bytes of the body; returns their number, 0 at the end.

        Raises BrokenConnection if the connection ends before the body does.
        """
        if self._ended:
            return 0
        if self._chunked and not self._left and not self._next_chunk():
            return 0
        if self._left is not None and self._left < len(buffer):
            buffer = buffer[: self._left]
        count = self._stream.readinto(buffer)
        if self._left is None:
            self._ended = count == 0
            return count
        if not count:
            raise BrokenConnection(f"the connection ended {self._left:,} bytes before the body's end")
        self._left -= count
        if not self._left and not self._chunked:
            self._ended = True
        return count

    def _next_chunk(self) -> bool:
        line = self._stream.line()
        if not line:  # the end of the chunk before
            line = self._stream.line()
        size = line.partition(b";")[0].strip()
        if not _CHUNK.fullmatch(size):
            raise BrokenConnection(f"not the start of a chunk: {line[:40]!r}")
        self._left = int(size, 16)
        if self._left:
            return True
        _read_headers(self._stream)  # trailers
        self._ended = True
        return False

    def read(self, limit: int = 64 * 1024 * 1024) -> bytes:
        """The rest of a small body. Raises BrokenConnection for more than `limit` bytes."""
        whole = bytearray()
        buffer = memoryview(bytearray(256 * 1024))
        while count := self.readinto(buffer):
            whole += buffer[:count]
            if len(whole) > limit:
                raise BrokenConnection(
                    f"the response has more than {limit:,} bytes, but a small one was expected"
                )
        return bytes(whole)

    def beginning(self, limit: int) -> bytes:
        """The first `limit` bytes of the body, or what came of them before the connection broke."""
        whole = memoryview(bytearray(limit))
        filled = 0
        try:
            while filled < limit and (count := self.readinto(whole[filled:])):
                filled += count
        except OSError:
            self.reusable = False
        return whole[:filled].tobytes()


class Connection:
    """One kept-alive connection, for one user at a time. Connects when first used.

    Arguments: `pace` counts what arrives, and ends a connection that is too slow.
    """

    def __init__(self, origin: Origin, pace: Pace | None = None) -> None:
        self.origin = origin
        self.pace = pace or Pace()
        self._socket: socket.socket | None = None
        self._stream: Incoming | None = None
        self._last: Response | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def request(self, method: str, target: str, headers: dict[str, str]) -> Response:
        """Send a request and read the head of the response.

        A new connection is opened if the last response was not read to its end. It is also opened, once, if
        the server closed the kept-alive connection in the meantime.
        Arguments: `target`, path and query, encoded; `headers` without Host, which is added.
        Raises BrokenConnection, OSError (including timeouts and TooSlow), ssl.SSLError.
        """
        self.pace.begin()
        self.drop_unless_complete()
        kept_alive = self._socket is not None
        head = [f"{method} {target} HTTP/1.1", f"host: {self.origin.host_header}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        message = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        try:
            return self._exchange(message)
        except TimeoutError:
            self.close()
            raise
        except OSError:
            self.close()
            if not kept_alive:
                raise
        return self._exchange(message)

    def _exchange(self, message: bytes) -> Response:
        if self._socket is None:
            self._socket = in_thread(self._connected)  # what a name means can only be asked with a thread
            self._stream = Incoming(self._socket, self.origin.timeout, self.pace)
        assert self._socket is not None and self._stream is not None
        try:
            send_all(self._socket, message, self.origin.timeout)
            self._last = _read_head(self._stream)
        except OSError:
            self.close()
            raise
        return self._last

    def _connected(self) -> socket.socket:
        origin = self.origin
        plain = socket.create_connection((origin.host, origin.port), timeout=origin.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            return plain if origin.tls is None else origin.tls.wrap_socket(plain, server_hostname=origin.host)
        except OSError:
            plain.close()
            raise

    def drop_unless_complete(self) -> None:
        """Close the connection if the last response has more to say."""
        if self._last is not None and not (self._last.complete and self._last.reusable):
            self.close()

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._stream = self._last = None

    def __del__(self) -> None:
        self.close()


def _read_head(stream: Incoming) -> Response:
    for _ in range(_MAX_INTERIM):
        status_line = stream.line()
        version, _, rest = status_line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise BrokenConnection(f"not an HTTP response: {status_line[:80]!r}")
        headers = _read_headers(stream)
        if rest.startswith(b"1"):  # 100 Continue, 103 Early Hints: the real response follows
            continue
        if version == b"HTTP/1.0":
            headers.setdefault("connection", "close")
        return Response(int(rest[:3]), headers, stream)
    raise BrokenConnection("too many interim responses")


def _read_headers(stream: Incoming) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in stream.header_lines(_MAX_HEADERS):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(_BLANK)
    return headers
