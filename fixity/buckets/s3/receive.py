"""Receives from a socket: lines via a small buffer, bodies directly into the caller's buffer.

With a timeout, `socket.makefile` polls before each read and wakes for each packet. Here the kernel keeps
the timeout and fills the whole buffer before it wakes us: a tenth less CPU for a large object. The meaning
of the bytes (HTTP) does not belong here.
"""

from __future__ import annotations

import socket
import ssl
import struct

from fixity.buckets.throttle import Pace

_ROOM = 64 * 1024
_TAKE = 8 * 1024  # enough for a head; most of the body then goes directly into the caller's buffer


class BrokenConnection(OSError):
    """The connection ended, or did not send valid HTTP. The request may be sent again."""


class Incoming:
    """The receiving side of a connection.

    Arguments: `connected`, the socket; `timeout` in seconds for each wait. A TLS socket must already have
    this timeout set. `pace` counts what arrives.
    """

    def __init__(self, connected: socket.socket, timeout: float, pace: Pace) -> None:
        self._socket = connected
        self._pace = pace
        self._tls = isinstance(connected, ssl.SSLSocket)
        if not self._tls:
            connected.setblocking(True)
            seconds, rest = divmod(timeout, 1)
            limit = struct.pack("ll", int(seconds), int(rest * 1_000_000))
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
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
        """Fill `target`, with fewer bytes if the connection ends, breaks or pauses.

        Returns the number of bytes, 0 at the end.
        Raises OSError (including TimeoutError), TooSlow, but only if no bytes came.
        """
        filled = min(len(target), self._end - self._start)
        if filled:
            target[:filled] = self._view[self._start : self._start + filled]
            self._start += filled
        while filled < len(target):
            try:
                count = self._receive(target[filled:], socket.MSG_WAITALL)
            except OSError:
                if filled:  # the next call gets the error again
                    break
                raise
            filled += count
            if not count or not self._tls:
                break
        return filled

    def _receive(self, target: memoryview, flags: int = 0) -> int:
        pace = self._pace
        pace.check()
        began = pace.clock()
        count = self._wait(target, flags)
        pace.add(pace.clock() - began, count)
        return count

    def _wait(self, target: memoryview, flags: int) -> int:
        if self._tls:  # returns one record at a time, and accepts no flags
            return self._socket.recv_into(target)
        try:
            return self._socket.recv_into(target, 0, flags)
        except BlockingIOError as error:  # the kernel's error for a timeout
            raise TimeoutError("timed out") from error
