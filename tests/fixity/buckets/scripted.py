"""A server that says exactly what a test wrote down, connection by connection, HTTP or not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType


class ScriptedServer:
    """Answers on loopback for the length of a `with` block.

    Arguments: `connections`, for each connection in turn the bytes said to each request on it; then
    it is closed. Connections beyond those get the last one's answers. `tls` wraps connections. With
    `after_each`, answers are said byte by byte, and it is called after each byte. `after_answer` is called
    after each answer.
    `requests` are the heads of all requests, `opened` counts connections.
    """

    def __init__(
        self,
        *connections: list[bytes],
        tls: ssl.SSLContext | None = None,
        after_each: Callable[[], object] | None = None,
        after_answer: Callable[[], object] = lambda: None,
    ) -> None:
        self._script = connections
        self._after_each = after_each
        self._after_answer = after_answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[str] = []
        self.opened = 0
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            answers = self._script[min(self.opened, len(self._script) - 1)]
            self.opened += 1
            thread = threading.Thread(target=self._serve, args=(connection, answers), daemon=True)
            thread.start()

    def _serve(self, plain: socket.socket, answers: list[bytes]) -> None:
        with suppress(OSError), plain:
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection, connection.makefile("rb") as incoming:
                for answer in answers:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        line = incoming.readline()
                        if not line:
                            return
                        head += line
                    self.requests.append(head.decode("latin-1"))
                    self._say(connection, answer)
                    self._after_answer()
                connection.shutdown(socket.SHUT_WR)

    def _say(self, connection: socket.socket, answer: bytes) -> None:
        if self._after_each is None:
            return connection.sendall(answer)
        for byte in answer:
            connection.sendall(bytes([byte]))
            self._after_each()
        return None


def answer(body: bytes, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    """A whole answer, with its Content-Length unless told otherwise."""
    stated = [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, *stated, "", ""]).encode() + body


def chunked(*pieces: bytes, headers: tuple[str, ...] = (), end: bytes = b"0\r\n\r\n") -> bytes:
    """An answer in chunks."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end
    return answer(body, "Transfer-Encoding: chunked", *headers, length=False)
