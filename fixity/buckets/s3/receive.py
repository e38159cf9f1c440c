"""Receives from a socket: lines via a small buffer, bodies directly into the caller's buffer.

`socket.makefile` wakes for each packet. Here the kernel gathers what fills the buffer before it wakes us: a
tenth less CPU for a large object. While bytes are waited for, other turns of the thread go on. The meaning of
the bytes (HTTP) does not belong here.
"""

from __future__ import annotations

import socket
import ssl

from fixity.buckets.throttle import Pace
from fixity.in_turns import READABLE, WRITABLE, wait_for

_ROOM = 64 * 1024
_TAKE = 8 * 1024  # enough for a head; most of the body then goes directly into the caller's buffer


class BrokenConnection(OSError):
    """The connection ended, or did not send valid HTTP. The request may be sent again."""


class Incoming:
    """The receiving side of a connection.

    Arguments: `connected`, the socket; `timeout` in seconds for each wait. `pace` counts what arrives.
    """

    def __init__(self, connected: socket.socket, timeout: float, pace: Pace) -> None:
        self._socket = connected
        self._pace = pace
        self._tls = isinstance(connected, ssl.SSLSocket)
        self._timeout = timeout
        self._least = 1
        connected.setblocking(False)
        self._buffer = bytearray(_ROOM)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def line(self) -> bytes:
        """The next line, without its line end.

        Raises BrokenConnection for a line of more than 64 KiB, OSError (including TimeoutError), TooSlow.
        """
        searched = self._start
        while (end := self._buffer.find(b"\n", searched, self._end)) < 0:
            if self._start:
                held = self._view[self._start : self._end].tobytes()
                self._view[: len(held)] = held
                self._start, self._end = 0, len(held)
            if self._end == _ROOM:
                raise BrokenConnection("a header line too long")
            searched = self._end
            count = self._receive(self._view[self._end : self._end + _TAKE])
            if not count:
                raise BrokenConnection("the connection ended")
            self._end += count
        line = self._view[self._start : end].tobytes()
        self._start = end + 1
        return line.rstrip(b"\r")

    def header_lines(self, limit: int) -> list[str]:
        """The lines up to an empty one, which is read too.

        Raises BrokenConnection for more than `limit` lines, and what `line` raises.
        """
        end = self._buffer.find(b"\r\n\r\n", self._start, self._end)
        if end >= 0 and not self._buffer.startswith((b"\r\n", b"\n"), self._start):
            # They came all at once, as nearly always: one search instead of one a line.
            lines = self._view[self._start : end].tobytes().decode("latin-1").split("\r\n")
            if len(lines) <= limit and not any("\n" in line for line in lines):
                self._start = end + 4
                return lines
        lines = []
        while line := self.line():
            if len(lines) == limit:
                raise BrokenConnection("a response with too many headers")
            lines.append(line.decode("latin-1"))
        return lines

    def readinto(self, target: memoryview) -> int:
        """Fill `target`, with fewer bytes if the connection ends, breaks or pauses. Never waits once it has
        put bytes into it.

        Returns the number of bytes, 0 at the end.
        Raises OSError (including TimeoutError), TooSlow, but only if no bytes came.
        """
        held = min(len(target), self._end - self._start)
        came = 0
        if held < len(target):
            try:
                came = self._receive(target[held:], len(target) - held)
            except OSError:
                if not held:  # else the next call gets the error again
                    raise
        if held:
            target[:held] = self._view[self._start : self._start + held]
            self._start += held
        return held + came

    def _receive(self, target: memoryview, least: int = 1) -> int:
        """Arguments: `least`, bytes to wait for, if they come before the connection ends or pauses."""
        pace = self._pace
        pace.check()
        began = pace.clock()
        count = self._records(target, least) if self._tls else self._bytes(target, least)
        pace.add(pace.clock() - began, count)
        return count

    def _bytes(self, target: memoryview, least: int) -> int:
        if least != self._least:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
            self._least = least
        while True:
            is_late = not wait_for(self._socket.fileno(), READABLE, self._timeout)
            try:
                return self._socket.recv_into(target)
            except BlockingIOError:
                if is_late:
                    raise TimeoutError("timed out") from None

    def _records(self, target: memoryview, least: int) -> int:
        """TLS gives one record at a time, some of which may have come, and may have to send for it."""
        count = 0
        while count < least:
            try:
                came = self._socket.recv_into(target[count:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if count:
                    break
                _wait(self._socket, error, self._timeout)
                continue
            count += came
            if not came:
                break
        return count


def send_all(connected: socket.socket, message: bytes, timeout: float) -> None:
    """Send a message on a socket. Arguments: `timeout` in seconds, for each wait. Raises OSError."""
    left = memoryview(message)
    while left:
        try:
            left = left[connected.send(left) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            _wait(connected, error, timeout)


def _wait(connected: socket.socket, wants: OSError, timeout: float) -> None:
    event = READABLE if isinstance(wants, ssl.SSLWantReadError) else WRITABLE
    if not wait_for(connected.fileno(), event, timeout):
        raise TimeoutError("timed out")
