"""The results as kept in `.bench/`, and `bench/RESULTS.md`, written whole from them.

A part (reading, listing, …) is measured at a time and keeps its own date and revision, so that the
hours of `--large` need not be spent anew for each change.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bench.data import REPOSITORY, ROOT, rclone
from bench.measure import Row, table
from devstack.seaweedfs import weed_binary

KEPT = ROOT / "results.json"
DOCUMENT = Path(__file__).with_name("RESULTS.md")
CAUSES = Path(__file__).with_name("causes.yaml")
"""Why a figure is not reached and what was tried, by the row's name."""

_HEAD = """# Benchmarks

Written by `make bench`; do not edit. Medians of {rounds} rounds, in which ours and the peer take
turns, each as a process of its own that is measured from outside (`wait4`: user and system CPU, wall
time, peak resident memory), start-up and imports included; a ratio is the median of the rounds'
ratios. Client and server share the machine; a first run that is not counted brings the server's data
into the page cache. Ours is the engine with no Dagster: list, plan, hash, keep the ledger. rclone runs
`hashsum sha256 --download --fast-list` and `lsf -R --fast-list` at 8, 16 or 32 objects at a time,
whichever was its best. The floor of a report: both tables scanned, a CSV of that size written, no join.
`many` is the whole platform: the command, or `fixity dev` with all its processes.

To reproduce: `make bench` (about 15 GB of disk, {minutes}); `make bench-large` adds the report over
100 million rows a side (60 GB), the spine over 100 million objects (55 GB), and a backfill over 300 buckets.
"""


@dataclass(frozen=True)
class Part:
    """Rows measured together. `measured` (UTC, ISO) and the `revision` of ours; rounds and seconds taken."""

    rows: Sequence[Row]
    measured: str
    revision: str
    rounds: int
    seconds: float


def machine() -> list[str]:
    """What it was measured on, and with which versions."""
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory / 2**30:.0f} GiB, {platform.release()}",
        f"Python {platform.python_version()}, rclone {_version(rclone())}, "
        f"SeaweedFS {_version(weed_binary())}",
    ]


def revision() -> str:
    """The git revision of ours, marked where files were changed since."""
    return _first_line("git", "describe", "--always", "--dirty", "--exclude=*") or "unknown"


def _version(program: str) -> str:
    found = re.search(r"\d+(\.\d+)+", _first_line(program, "version"))
    return found[0] if found else "unknown"


def _first_line(*command: str) -> str:
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return (ended.stdout.splitlines() or [""])[0]


def kept() -> dict[str, Part]:
    """The newest results of each part that was ever measured here."""
    if not KEPT.exists():
        return {}
    said = json.loads(KEPT.read_text(encoding="utf-8"))
    try:
        return {
            name: Part(**{**part, "rows": [Row(**row) for row in part["rows"]]})
            for name, part in said.items()
        }
    except TypeError:  # written by an earlier version of this program: to be measured anew
        return {}


def keep(name: str, rows: Sequence[Row], rounds: int, seconds: float) -> None:
    """Put a part's new results in the place of its old ones."""
    part = Part(rows, datetime.now(UTC).isoformat(timespec="minutes"), revision(), rounds, seconds)
    parts = {**kept(), name: part}
    KEPT.write_text(json.dumps({each: asdict(parts[each]) for each in parts}, indent=1), encoding="utf-8")


def causes() -> dict[str, str]:
    """What is written down of figures that were not reached."""
    written: dict[str, str] = yaml.safe_load(CAUSES.read_text(encoding="utf-8"))
    return written


def document(parts: Mapping[str, Part], causes: Mapping[str, str]) -> str:
    """RESULTS.md: the machine, then each part's table under its name, and why a figure is not reached."""
    minutes = sum(part.seconds for name, part in parts.items() if not name.endswith("-large")) / 60
    rounds = max(part.rounds for part in parts.values())
    lines = [_HEAD.format(rounds=rounds, minutes=f"{minutes:.0f} minutes here")]
    lines += [f"- {line}" for line in machine()]
    rows = [row for part in parts.values() for row in part.rows]
    reached = sum(row.reached for row in rows)
    lines += ["", f"{reached} of {len(rows)} figures are reached. Why one is not stands below its table.", ""]
    for name, part in parts.items():
        lines += [f"## {name}", "", table(part.rows), ""]
        missed = dict.fromkeys(row.name for row in part.rows if not row.reached)
        lines += why(missed, causes)
        lines += [""] if missed else []
        lines += [f"Measured {part.measured} with {part.revision}.", ""]
    return "\n".join(lines)


def why(missed: Iterable[str], causes: Mapping[str, str]) -> list[str]:
    """A line for each cause of figures that are not reached, with the names of their rows."""
    rows: dict[str, list[str]] = {}
    for row in missed:
        rows.setdefault(causes.get(row, "no cause is written down yet.").strip(), []).append(row)
    return [f"- {'; '.join(of)}: {cause}" for cause, of in rows.items()]


def write_document() -> None:
    """Write RESULTS.md from what is kept."""
    DOCUMENT.write_text(document(kept(), causes()), encoding="utf-8")
