"""Ctrl-C and SIGTERM: the command ends within two seconds, and at a second signal at once.

The main thread unwinds as Python does it, so that leases end and temporary files go. That alone is not
enough: Dagster puts handlers of its own in place and retries a step that was interrupted, and neither a wait
for a store nor a query ends at a signal. So a thread hears of each signal too. It cancels the run, and ends
the process when its time is over. What a run keeps does not belong here.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

_STATUS = 130
_GRACE = 1.2  # seconds for an orderly end; the rest of the two is for a busy machine
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


class Interrupts:
    """Whether the command was interrupted, and what is done then."""

    def __init__(self) -> None:
        self.cancel: set[Callable[[], None]] = set()
        """Cancel the runs that are in progress. Called in threads of their own."""
        self._signals: socket.socket | None = None
        self._received = False

    @property
    def received(self) -> bool:
        """Whether a signal came, also if the thread has not heard of it yet."""
        return self._received or (self._signals is not None and self._next(socket.MSG_DONTWAIT))

    def listen(self, last_words: Callable[[], None]) -> None:
        """Hear of signals from now on. Call it once, in the main thread.

        Arguments: `last_words` says that the command was interrupted. It is called in another thread, and
        only if the command does not end in order.
        """
        self._signals, wakeup = socket.socketpair()
        wakeup.setblocking(False)
        # The interpreter writes the number of each signal here, whatever handler is in place.
        signal.set_wakeup_fd(wakeup.detach(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)
        sys.unraisablehook = self._show_ignored
        threading.Thread(target=self._hear, args=(last_words,), daemon=True).start()

    def leave_if_received(self) -> None:
        """Raise KeyboardInterrupt if a signal came. Python does so by itself only in the main thread."""
        if self.received:
            raise KeyboardInterrupt

    def end_if_received(self) -> None:
        """End the process if it was interrupted. Python's own end waits for threads, and takes a second."""
        if self.received:
            _end()

    def _show_ignored(self, ignored: sys.UnraisableHookArgs) -> None:
        """Print an exception that cannot be raised where it strikes, unless it is the interruption.

        A signal may strike while Python cleans up. The thread that hears of it ends the command then.
        """
        if issubclass(ignored.exc_type, Exception) or not self.received:
            sys.__unraisablehook__(ignored)

    def _next(self, flags: int = 0) -> bool:
        """Whether the next signal is one of ours; it stays there."""
        assert self._signals is not None
        try:
            return self._signals.recv(1, socket.MSG_PEEK | flags)[0] in _SIGNALS
        except BlockingIOError:
            return False

    def _hear(self, last_words: Callable[[], None]) -> None:
        assert self._signals is not None
        while not self._next():
            self._signals.recv(1)
        self._received = True  # before it is taken out: `received` looks at both
        self._signals.recv(1)
        if not self._next(socket.MSG_DONTWAIT):  # who has sent two waits for no thread to start
            for cancel in list(self.cancel):
                threading.Thread(target=cancel, daemon=True).start()
        self._signals.settimeout(_GRACE)
        try:
            while self._signals.recv(1)[0] not in _SIGNALS:
                pass
        except TimeoutError:
            last_words()
            _remove_temporary_folders()
        _end()


def _end() -> NoReturn:
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
    with suppress(OSError):  # nobody may read them any more
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(_STATUS)


def _remove_temporary_folders() -> None:
    """Remove what the lake has in work. Imports nothing: a verb without a lake has no such folder."""
    module = sys.modules.get("fixity.lake.temporary")
    if module is not None:
        module.remove_all()


interrupts = Interrupts()
"""The interrupts of this process."""
