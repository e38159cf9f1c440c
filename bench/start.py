"""The start of the engine: all that one object of one byte costs, beside importing the libraries alone.

The start is in all other figures of reading and listing too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.contestants import environment_of, ours
from bench.data import Collections, serving
from bench.measure import Row, Usage, beside, in_turn, run

_LIBRARIES = "lxml.etree, pydantic.types, pyarrow.compute, pyarrow.parquet, yaml"
"""What others wrote, and the engine cannot do without."""
# The last one is imported when it is used first.
_IMPORTED = "import bench.ours, fixity.buckets.s3.reader, pyarrow.compute"
_SELF = re.compile(r"import time: +(\d+) \| +\d+ \| +(\w+)")  # microseconds of a module, and its package
_MOST = 5


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU and wall time to list and check one object, and which packages take longest to import."""
    one = collections.one
    with serving(scratch, one) as endpoint:
        environment = environment_of(endpoint)

        def libraries() -> Usage:
            return run([sys.executable, "-c", f"import {_LIBRARIES}"], environment)

        contestants: dict[str, Callable[[], Usage]] = {
            "ours": partial(ours, endpoint, "hash", one.bucket),
            "libraries": libraries,
        }
        for each in contestants.values():
            each()
        used = in_turn(rounds, contestants)
        said = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", _IMPORTED],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    taken = Counter[str]()
    for microseconds, package in _SELF.findall(said):
        taken[package] += int(microseconds)
    most = ", ".join(f"{package} {took / 1000:.0f} ms" for package, took in taken.most_common(_MOST))
    name, peer = "list and check one object of 1 byte", f"importing the libraries; all imports: {most}"
    cpu, wall = ([[getattr(each, kind) for each in used[who]] for who in used] for kind in ("cpu", "wall"))
    return [
        beside(f"{name}, CPU", "s", cpu[0], cpu[1], 1.5, peer),
        beside(f"{name}, wall", "s", wall[0], wall[1], 1.75, peer),
    ]
