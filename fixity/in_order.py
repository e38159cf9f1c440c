"""Works on many items in threads, and gives the results in the items' order; and says how many processors
there are for it. Nothing else belongs here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[ItemT], ResultT], items: Iterable[ItemT], threads: int, ahead: int | None = None
) -> Generator[ResultT]:
    """The results of `work` in the order of the items.

    Unlike `Executor.map`, it takes at most `ahead` items more than the caller has results of, by default one
    for each thread: memory does not grow with their number. Items that wait are dropped after an error, and
    when the generator is closed. Raises any error of `work` and of `items`.
    """
    waiting = deque[Future[ResultT]]()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > (ahead or threads):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
