"""A process that begins with all that the test has made, and ends without its ending."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkProcess


def forked(work: Callable[..., object], *arguments: object) -> ForkProcess:
    """Do something in a copy of this process, whose status is 1 if it raises; the copy, which has begun."""
    process = get_context("fork").Process(target=_in_copy, args=(work, *arguments))
    process.start()
    return process


def _in_copy(work: Callable[..., object], *arguments: object) -> None:
    # What this process forks must know its settings: those of `tests.command` are of another one.
    forkserver._forkserver.__init__()  # type: ignore[misc]
    work(*arguments)
