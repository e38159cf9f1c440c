"""The entry of `make bench`: measures part after part, prints the table, writes RESULTS.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    batch,
    campaign,
    comparing,
    data,
    digests,
    http,
    ingest,
    latency,
    listing,
    log,
    many,
    map_results,
    memory,
    reading,
    repair,
    results,
    rolling,
    second_look,
    signer,
    spine,
    start,
    thousand_million,
    workers,
)
from bench.measure import Row, table
from devstack.machines import NotAllowed
from devstack.seaweedfs import NotInstalled

PARTS: dict[str, Callable[[data.Collections, int, Path], list[Row]]] = {
    "reading": reading.rows,
    "start": start.rows,
    "digests": digests.rows,
    "signer": signer.rows,
    "http": http.rows,
    "listing": listing.rows,
    "latency": latency.rows,
    "memory": memory.rows,
    "map-results": map_results.rows,
    "report": comparing.rows,
    "ingest": ingest.rows,
    "s3-batch": batch.rows,
    "campaign": campaign.rows,
    "rolling": rolling.rows,
    "repair": repair.rows,
    "second-look": second_look.rows,
    "log": log.rows,
    "many": many.rows,
    "workers": workers.rows,
    "report-large": comparing.large_rows,
    "spine-large": spine.large_rows,
    "many-large": many.large_rows,
}
"""What can be measured, by its name in the results."""

LARGE = {"report-large", "spine-large", "many-large"}
"""What only `--large` measures."""


def main() -> int:
    """Measure what was asked for; 1 when a target was missed, which little data cannot say."""
    asked = _arguments()
    collections = data.QUICK if asked.quick else data.FULL
    rounds = 1 if asked.quick else asked.rounds
    every: list[Row] = []
    for name in asked.only or [each for each in PARTS if (each in LARGE) == asked.large]:
        print(f"measuring: {name}", flush=True)
        begun = time.monotonic()
        try:
            with data.empty_scratch() as scratch:
                rows = PARTS[name](collections, rounds, scratch)
        except (NotInstalled, NotAllowed) as absent:
            if not asked.quick:
                raise
            print(f"{name} was skipped: {absent}", file=sys.stderr)
            continue
        if not asked.quick:
            results.keep(name, rows, rounds, time.monotonic() - begun)
        every += rows
    print("\n" + table(every))
    if asked.quick:
        return 0
    print("\n".join(["", *results.machine(), f"ours: {results.revision()}"]))
    missed = [row.name for row in every if not row.reached]
    print(f"{len(every) - len(missed)} of {len(every)} targets reached")
    for name in missed:
        print(f"NOT reached: {name}")
    results.write_document()
    thousand_million.write()
    print(f"written: {results.DOCUMENT}, {thousand_million.PAGE}")
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--large",
        action="store_true",
        help="the report and the spine over 100 million rows, and a backfill of 300 buckets",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (5)")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part only")
    parser.add_argument("--quick", action="store_true", help="little data, one round: does everything run?")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
