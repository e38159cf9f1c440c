"""A TCP proxy that makes a server far away: what a client sends arrives later.

It is a process of its own, so that it takes no time of the client's interpreter:

    with DelayProxy(server.endpoint_url, 0.03) as proxy:
        ...  # use proxy.endpoint_url

Answers pass at once: a client that waits for each of them sees the delay once a request. The connection
itself is made at once too. Damaging what passes does not belong here (`faulty_proxy`).
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

_ROOT = Path(__file__).parent.parent


class DelayProxy:
    """The proxy, for the length of a `with` block.

    Arguments: `target`, the URL of the server; `delay` in seconds.
    """

    def __init__(self, target: str, delay: float) -> None:
        self._command = [sys.executable, "-m", __name__, str(urlsplit(target).port), str(delay)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.endpoint_url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"
        self.pid = self._process.pid
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends when its stdin does


class _Side(asyncio.Protocol):
    """One side of a connection; what it gets goes to the other side, `delay` seconds later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._early: list[bytes] = []  # what came before the other side was there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def join(self, other: _Side) -> None:
        """Pass on to another side from now on."""
        self.other = other
        for piece in self._early:
            self.data_received(piece)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        elif self._delay:
            self._loop.call_later(self._delay, self.other.send, data)
        else:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:  # this side is slower than the other one
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self._loop.call_later(self._delay, self.other.close)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Client(_Side):
    """A client's side, which opens the other one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float, port: int) -> None:
        super().__init__(loop, delay)
        self._port = port
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        server = _Side(self._loop, 0.0)
        try:
            await self._loop.create_connection(lambda: server, "127.0.0.1", self._port)
        except OSError:
            self.close()
            return
        server.join(self)
        self.join(server)
        if self.transport is not None and self.transport.is_closing():
            server.close()


async def _serve(port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(loop, delay, port), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the other process reads it
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
