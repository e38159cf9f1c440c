"""Measuring: what a process used, medians of several rounds, and rows that say whether a target is met.

Which work is measured, and against whom, stands in the modules beside this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_LAUNCHER = Path(__file__).with_name("launcher.py")


class RunFailed(RuntimeError):
    """A measured command failed; the message holds the end of what it wrote."""


@dataclass(frozen=True)
class Usage:
    """What a process used: `cpu` (user and system) and `wall` in seconds, `peak` resident bytes."""

    cpu: float
    wall: float
    peak: int


@dataclass(frozen=True)
class Row:
    """One line of the results: a figure of ours, in `unit`, and the most that it may be.

    Arguments: `ratio` of ours to the `peer`'s (None where there is no peer); `target` is the most
    that the ratio may be or, without a peer, `ours` itself; `peer_name` says who or what the peer is.
    """

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    target: float
    unit: str
    peer_name: str = ""

    @property
    def reached(self) -> bool:
        """Whether the target is met, by the figures themselves and not as they are rounded."""
        return (self.ours if self.ratio is None else self.ratio) <= self.target


def beside(
    name: str, unit: str, ours: Sequence[float], peers: Sequence[float], target: float, peer_name: str
) -> Row:
    """A row of the medians of several rounds.

    The ratio is the median of each round's: a round's runs share the machine's mood.
    """
    ratio = median(mine / theirs for mine, theirs in zip(ours, peers, strict=True))
    return Row(name, median(ours), median(peers), ratio, target, unit, peer_name)


def run(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, output: Path | None = None
) -> Usage:
    """Run a command to its end and measure it from outside, by `wait4`.

    Arguments: `environment`, all of it (this process's own by default); `output` takes its stdout,
    which is dropped by default. Raises RunFailed.
    """
    with tempfile.NamedTemporaryFile() as errors:
        launched = subprocess.run(
            [
                *(sys.executable, "-I", "-S", _LAUNCHER, output or os.devnull, errors.name),
                *command,
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
        if launched.returncode:
            said = Path(errors.name).read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RunFailed(f"{' '.join(map(str, command))} ended with {launched.returncode}:\n{said}")
    return Usage(**json.loads(launched.stdout))


def cpu_so_far(process: int) -> float:
    """Seconds that a process has used, with those it has started and all that these have started."""
    started = defaultdict[int, list[int]](list)
    used = dict[int, int]()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            # After the name, which may hold anything: the state, the parent, …, four times in ticks.
            said = file.read_text().rpartition(")")[2].split()
            started[int(said[1])].append(int(file.parent.name))
            used[int(file.parent.name)] = sum(map(int, said[11:15]))
    found = [process]
    for each in found:
        found += started[each]
    return sum(used.get(each, 0) for each in found) / os.sysconf("SC_CLK_TCK")


def in_turn(rounds: int, contestants: Mapping[str, Callable[[], Usage]]) -> dict[str, list[Usage]]:
    """Run each contestant once a round, in turns in going first; returns what each used, by round."""
    used: dict[str, list[Usage]] = {name: [] for name in contestants}
    for number in range(rounds):
        order = list(contestants)[:: 1 if number % 2 == 0 else -1]
        for name in order:
            used[name].append(contestants[name]())
    return used


def cells(row: Row) -> list[str]:
    """A row as the table shows it: what, ours, the peer's, the ratio, the target, and whether it is met."""
    unit = row.unit
    peer = "" if row.peer is None else f"{_figure(row.peer)} {unit}"
    if row.peer_name:
        peer += f" ({row.peer_name})"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    target = f"{row.target:g}" if row.ratio is not None else f"{row.target:g} {unit}"
    verdict = "reached" if row.reached else "NOT reached"
    return [row.name, f"{_figure(row.ours)} {unit}", peer, ratio, f"≤ {target}", verdict]


HEADINGS = ["work", "ours", "beside", "ratio", "to reach", ""]


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, its columns aligned for reading as plain text too."""
    lines = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    lines.insert(1, ["-" * max(width, 3) for width in widths])
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else f"{value:.5f}"
