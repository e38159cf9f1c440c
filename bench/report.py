"""The report over large tables beside its floor: DuckDB scanning both and writing a CSV of that size.

The floor joins, orders and counts nothing, so nobody can be far below it. How runs are measured, and
what is made of the figures, does not belong here.

    python -m bench.report --rows 10000000 --rounds 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from bench import data
from bench.measure import Row, Usage, beside, run, table
from fixity.lake.database import open_database
from fixity.lake.writer import ROW_GROUP_ROWS, TableWriter
from fixity.reports import Side, compare
from fixity.tables import CHECKSUMS, Provenance

SIDES = ("source", "replica")
LISTED = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = {
    "": (100, False, 1.2, 1.2),
    "nearly all equal": (50_000, False, 1.15, 1.3),
    "1 % not ok": (500, False, 1.3, 1.3),
    "every row different": (10**9, True, 2.0, 2.0),
}
"""Tables that are compared: of how many objects five are not ok, whether all differ, and the most that the
ratios of wall time and of CPU to the floor's may be."""
_FEWER = 1
"""The other kinds have so many times fewer rows: their ratio does not depend on it."""
_DATA = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def tables(directory: Path, rows: int, kind: str = "") -> list[Path]:
    """The two tables of about `rows` rows, of a kind of KINDS, made where they are not there yet."""
    name = f"{rows} {kind}".strip().replace(" ", "-").replace("%", "percent")
    files = [directory / f"{side}-{name}.parquet" for side in SIDES]
    directory.mkdir(parents=True, exist_ok=True)
    missing = [(file, number, rows, kind) for number, file in enumerate(files) if not file.exists()]
    with ThreadPoolExecutor(2) as pool:  # DuckDB and Arrow work without Python's lock
        for made in [pool.submit(_make_table, *arguments) for arguments in missing]:
            made.result()
    return files


def _make_table(file: Path, side: int, rows: int, kind: str) -> None:
    period, differ, *_ = KINDS[kind]
    unfinished = file.with_suffix(".unfinished")
    provenance = Provenance(SIDES[side], "bench", "bench", LISTED)
    writer = TableWriter(unfinished, CHECKSUMS, provenance)
    with open_database(file.parent, "1GB", threads=1) as database:
        for first in range(0, rows, 10 * ROW_GROUP_ROWS):
            last = min(rows, first + 10 * ROW_GROUP_ROWS)
            values = {"side": side, "first": first, "last": last, "period": period, "differ": differ}
            batches = database.execute(_DATA, values)
            for batch in batches.to_arrow_reader(ROW_GROUP_ROWS):
                writer.write(batch.cast(CHECKSUMS))
    writer.close()
    unfinished.replace(file)


def make_report(source: Path, replica: Path, csv: Path) -> None:
    """Ours: the CSV, the counts and the rows that are not ok."""
    outcome = compare(
        Side("source", source, LISTED),
        Side("replica", replica, LISTED),
        match="key",
        lag=timedelta(minutes=15),
        csv=csv,
    )
    assert outcome.rows and outcome.problems


def floor(source: Path, replica: Path, csv: Path) -> None:
    """The floor: all that a report needs read on both sides, and a CSV of its size written by one COPY.

    In the order that suits DuckDB, which is its fastest. Where the report has the replica's column,
    another one of the source's stands in, so that as many values are put into words and written.
    """
    database = duckdb.connect(
        config={
            "threads": len(os.sched_getaffinity(0)),
            "memory_limit": "512MB",
            "preserve_insertion_order": False,
        }
    )
    with database:
        database.execute(
            """
            SELECT max(COLUMNS([
                'key', 'version_id', 'size', 'etag', 'last_modified', 'algorithm', 'checksum_type',
                'checksum', 'status', 'error_code', 'error_message', 'evidence', 'checked_at', 'is_latest'
            ])) FROM read_parquet(?)
            """,
            [str(replica)],
        ).fetchall()
        iso = "strftime(make_timestamp(epoch_us({})), '%Y-%m-%dT%H:%M:%S.%fZ')"
        database.execute(
            f"""
            COPY (
                SELECT 'source' AS bucket, key, version_id, status, algorithm, checksum,
                    coalesce(checksum, '') AS other_checksum, size, bytes_read, etag, coalesce(etag, ''),
                    {iso.format("checked_at")}, {iso.format("last_modified")}, error_message
                FROM read_parquet('{source}')
            ) TO '{csv}' (FORMAT csv, HEADER)
            """
        )


def measure(rows: int, rounds: int = 3) -> list[Row]:
    """Wall time and CPU of ours beside the floor, and the peak of our memory: medians of so many rounds."""
    return [row for kind in KINDS for row in measure_kind(rows // _FEWER if kind else rows, rounds, kind)]


def measure_kind(rows: int, rounds: int, kind: str = "") -> list[Row]:
    """The same of tables of one of KINDS."""
    files = tables(data.ROOT, rows, kind)
    used: dict[str, list[Usage]] = {"ours": [], "floor": []}
    for number in range(rounds):
        for name in ("floor", "ours") if number % 2 == 0 else ("ours", "floor"):
            used[name].append(_run(name, files, data.ROOT / "report.csv"))
            print(f"  {kind} {name}: {used[name][-1]}", file=sys.stderr)
    ours, floor = used["ours"], used["floor"]
    what = f"report, {rows:,} rows a side{kind and ', '}{kind}"
    wall, cpu = KINDS[kind][2:]
    memory = statistics.median(each.peak for each in ours) / 1e9
    return [
        beside(f"{what}: wall time", "s", [_.wall for _ in ours], [_.wall for _ in floor], wall, "floor"),
        beside(f"{what}: CPU", "s", [_.cpu for _ in ours], [_.cpu for _ in floor], cpu, "floor"),
        Row(f"{what}: peak memory", memory, None, None, 0.8, "GB"),
    ]


def _run(name: str, files: list[Path], csv: Path) -> Usage:
    csv.unlink(missing_ok=True)
    try:
        return run([sys.executable, "-m", "bench.report", "--only", name, *files, csv])
    finally:
        csv.unlink(missing_ok=True)
        csv.with_suffix(".suspects.arrow").unlink(missing_ok=True)


def main() -> None:
    """Measure and print, or, in a process of its own, do the one thing that is measured."""
    parser = argparse.ArgumentParser(description="The report beside its floor")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs=4, metavar=("WHICH", "SOURCE", "REPLICA", "CSV"))
    arguments = parser.parse_args()
    if arguments.only:
        which, *files = arguments.only
        {"ours": make_report, "floor": floor}[which](*map(Path, files))
    else:
        print(table(measure(arguments.rows, arguments.rounds)))


if __name__ == "__main__":
    main()
