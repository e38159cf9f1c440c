"""The base of the tests' HTTP servers: a threaded server on loopback, and S3 requests as sent.

The standard library's server changes a path that begins with two slashes. Here a path, and so an object's
key, stays as the client wrote it. What a server answers does not belong here.
"""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.message import Message
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_to_bytes
from xml.sax.saxutils import escape


class HangUp(Exception):
    """End the connection now, even within a response. `reset`: with RST."""

    def __init__(self, reset: bool = False) -> None:
        super().__init__("the connection ends here")
        self.reset = reset


@dataclass(frozen=True)
class S3Request:
    """The head of a request to a path-style S3 endpoint, as it came over the wire."""

    method: str
    path: str  # raw, with the query
    headers: Message[str, str] = field(repr=False)

    @property
    def query(self) -> str:
        return self.path.partition("?")[2]

    @property
    def bucket(self) -> str:
        return self.path.partition("?")[0][1:].partition("/")[0]

    @property
    def key(self) -> str:
        """The object's key, only percent-decoded; empty for a request to the bucket."""
        raw = self.path.partition("?")[0][1:].partition("/")[2]
        return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")

    @property
    def is_listing(self) -> bool:
        names = {parameter.partition("=")[0] for parameter in self.query.split("&")}
        return self.method == "GET" and not self.key and not names.isdisjoint(_OF_LISTINGS)


_OF_LISTINGS = {"list-type", "versions", "encoding-type"}


def s3_error(code: str, message: str) -> bytes:
    """The XML of an S3 error."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        "<RequestId>0000000000000000</RequestId><HostId>loopback</HostId></Error>"
    ).encode()


class S3Handler(BaseHTTPRequestHandler, ABC):
    """A kept-alive connection; each request goes to `handle_request`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @abstractmethod
    def handle_request(self, request: S3Request, body: bytes) -> None:
        """Answer a request: each server does it in its own way."""

    def _handle(self) -> None:
        request = S3Request(self.command, self.requestline.split(" ")[1], self.headers)
        try:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                self.close_connection = True
                self.send_whole(501, [], s3_error("NotImplemented", "chunked request bodies"))
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.handle_request(request, body)
        except HangUp as ending:
            self.hang_up(ending.reset)
        except OSError:  # the client went away
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def send_head(self, status: int, reason: str, headers: Iterable[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send_whole(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send a response with a whole body. For HEAD, the body is left out, but not its length."""
        stated = [*headers, ("Content-Length", str(len(body)))]
        if body.startswith(b"<?xml"):
            stated.append(("Content-Type", "application/xml"))
        self.send_head(status, responses.get(status, "Unknown"), stated)
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self, reset: bool = False) -> None:
        """End the connection at once."""
        self.close_connection = True
        if reset:  # a linger time of 0 makes the close an RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()

    def client_is_gone(self) -> bool:
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401 - the base class's own
        """Log nothing: pytest shows what went wrong."""


class LoopbackServer(ThreadingHTTPServer):
    """A server for the length of a `with` block, a thread a connection.

    It listens on a free port of loopback, or of another address of this machine, `host`.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, handler: type[S3Handler], host: str = "127.0.0.1") -> None:
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((host, 0), handler)
        self.endpoint_url = f"http://{host}:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        self.close_connections()

    def close_connections(self) -> None:
        """End all connections of clients, including idle ones."""
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # already ended

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the base class's own
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)
