"""Small work, and much of it: what Dagster and start-up cost where there is little to read.

Buckets are folders of few small files. What reading costs does not belong here; that is in `reading`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from bench.data import Collections
from bench.measure import Row, beside, cpu_so_far, in_turn, run
from devstack.dagster_dev import DagsterDev, dagster_dev

_FIXITY = Path(sys.executable).with_name("fixity")
_OBJECTS = 50  # of each bucket of a backfill
_STILL = 180.0  # seconds without anything new, after which a backfill hangs
_BACKFILL = """
mutation ($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) { ... on LaunchBackfillSuccess { backfillId } }
}"""
_MADE = """
query ($asset: AssetKeyInput!) {
  assetOrError(assetKey: $asset) {
    ... on Asset { assetMaterializations(limit: 1000) { partition timestamp } }
  }
}"""


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU and wall time of commands over a pair of two objects; CPU and the wait of a small backfill."""
    return [*_commands(rounds, scratch), *_backfill(collections.pairs, scratch, cpu=25, wall=20)]


def large_rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """A backfill over 300 buckets and 150 pairs."""
    return _backfill(15 * collections.pairs, scratch, cpu=300, wall=240)


def _commands(rounds: int, scratch: Path) -> list[Row]:
    of_catalog = ["--catalog", str(_catalog(scratch / "commands", 1, 2))]
    of_terms = ["--catalog", str(_catalog(scratch / "terms", 1, 2, "fixity_every: 90d"))]
    at_rest = ["--catalog", str(_catalog(scratch / "rest", 1, 2))]  # nothing is folded
    work: dict[str, list[str | Path]] = {
        "verify": [_FIXITY, "verify", "pair-000", *of_catalog],
        "status": [_FIXITY, "status", *of_catalog],
        "incidents": [_FIXITY, "incidents", *of_catalog],
        "due": [_FIXITY, "due", "pair-000", *of_terms],
        "coverage": [_FIXITY, "coverage", *at_rest],
        "help": [_FIXITY, "--help"],
        "dagster": [sys.executable, "-c", "import dagster"],
    }
    as_installed = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # a wheel's modules are compiled
    for others in (of_terms, at_rest):
        run([_FIXITY, "verify", "pair-000", *others], as_installed)
    for words in work.values():
        run(words, as_installed)  # the first one makes the instance
    used = in_turn(rounds, {name: partial(run, words) for name, words in work.items()})
    cpu = {name: [each.cpu for each in usages] for name, usages in used.items()}
    wall = [each.wall for each in used["verify"]]
    name = "fixity verify of a pair of 2 objects"
    return [
        beside(f"{name}, CPU", "s", cpu["verify"], cpu["dagster"], 2.0, "import dagster"),
        _alone(f"{name}, CPU", cpu["verify"], 2.2),
        _alone(f"{name}, wall", wall, 2),
        *(
            _alone(f"fixity {verb}, CPU", cpu[verb.removeprefix("--")], 0.3)
            for verb in ("status", "incidents", "due", "coverage", "--help")
        ),
    ]


def _alone(name: str, seconds: Sequence[float], target: float) -> Row:
    return Row(name, median(seconds), None, None, target, "s")


def _catalog(folder: Path, pairs: int, objects: int, of_bucket: str = "") -> Path:
    """A catalog of pairs of folders with the same files. Arguments: `of_bucket`, a setting of each bucket."""
    names = [f"pair-{number:03}" for number in range(pairs)]
    for name in names:
        for bucket in (name, f"{name}-copy"):
            (folder / bucket).mkdir(parents=True)
            for number in range(objects):
                (folder / bucket / f"{number:03}").write_text(f"{name} {number}")
    file = folder / "fixity.yaml"
    folders = [bucket for name in names for bucket in (name, f"{name}-copy")]
    buckets = "".join(f"  {name}: {{path: {name}, {of_bucket}}}\n" for name in folders)
    said = "".join(f"  {name}: {{replica: {name}-copy}}\n" for name in names)
    file.write_text(f"lake: lake\nbuckets:\n{buckets}pairs:\n{said}", encoding="utf-8")
    return file


def _backfill(pairs: int, scratch: Path, cpu: float, wall: float) -> list[Row]:
    """The rows of a backfill. Arguments: `cpu` and `wall`, the most that it may take, in seconds."""
    folder = scratch / f"backfill-{pairs}"
    catalog = _catalog(folder, pairs, _OBJECTS)
    buckets = [name for pair in range(pairs) for name in (f"pair-{pair:03}", f"pair-{pair:03}-copy")]
    with dagster_dev(folder, catalog) as dev:
        before = cpu_so_far(dev.pid)
        asked = [{"path": ["inventory"]}, {"path": ["checksums"]}]
        dev.ask(_BACKFILL, backfill={"assetSelection": asked, "partitionNames": buckets})
        wait_for_reports(dev, pairs)
        used = cpu_so_far(dev.pid) - before
        checked, reported = _made(dev, "checksums"), _made(dev, "fixity_report")
    ended = {name: max(checked[name], checked[f"{name}-copy"]) for name in reported}
    first, last = min(checked.values()), max(reported.values())
    name = f"backfill of {len(buckets)} buckets of {_OBJECTS} objects, and {pairs} reports"
    return [
        Row(f"{name}, CPU", used, None, None, cpu, "s"),
        Row(f"{name}, from the first check to the last report", last - first, None, None, wall, "s"),
        Row(
            f"{name}, a report after its second side",
            max(reported[each] - ended[each] for each in reported),
            None,
            None,
            30,
            "s",
        ),
    ]


def wait_for_reports(dev: DagsterDev, pairs: int) -> None:
    """Wait until each pair has a report. Raises AssertionError if nothing is made any more before that."""

    def progress() -> dict[str, int]:
        return {asset: len(_made(dev, asset)) for asset in ("inventory", "checksums", "fixity_report")}

    dev.wait_for(lambda: len(_made(dev, "fixity_report")) == pairs, "report of each pair", _STILL, progress)


def _made(dev: DagsterDev, asset: str) -> dict[str, float]:
    """When each partition of an asset was made, in seconds since 1970."""
    found = dev.ask(_MADE, asset={"path": [asset]})["assetOrError"].get("assetMaterializations", [])
    return {each["partition"]: float(each["timestamp"]) / 1000 for each in found}
