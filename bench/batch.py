"""S3's completion reports: from CSV to the table of checksums, and the way from two CSVs to a pair's report.

The peer of the latter is DuraCloud's way, in `duracloud.sql`. How runs are measured does not belong here.

    python -m bench.batch --rows 10000000 --pair-rows 5000000 --rounds 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import data
from bench.data import REPOSITORY, Collections
from bench.measure import Row, Usage, beside, run, table

ROWS, PAIR_ROWS = 10_000_000, 5_000_000
_PER_SECOND = 500_000
"""Rows of a report that are to become checksums in a second."""

_LISTED = datetime(2026, 3, 1, tzinfo=UTC)
_SIDES = ("source", "replica")
_CSV = Path(__file__).with_name("batch.sql")
_PEER = Path(__file__).with_name("duracloud.sql")


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Both rows at the size of the other reports."""
    return measure(collections.compared, collections.compared // 2, rounds)


def measure(count: int, pair_count: int, rounds: int) -> list[Row]:
    """A report of `count` rows ingested, and a pair of `pair_count` rows a side reported on: medians."""
    directory = data.ROOT / "batch"
    for each in {count, pair_count}:
        make(directory, each)
    used: dict[str, list[Usage]] = {"ingest": [], "ours": [], "duracloud": []}
    for number in range(rounds):
        used["ingest"].append(_run("ingest", directory, count))
        for name in ("ours", "duracloud") if number % 2 == 0 else ("duracloud", "ours"):
            used[name].append(_run(name, directory, pair_count))
    what = f"S3's completion report to checksums, {count:,} rows"
    wall = statistics.median(each.wall for each in used["ingest"])
    peak = statistics.median(each.peak for each in used["ingest"]) / 1e9
    ours, peer = ([each.wall for each in used[name]] for name in ("ours", "duracloud"))
    return [
        Row(f"{what}: wall time", wall, None, None, count / _PER_SECOND, "s"),
        Row(f"{what}: peak memory", peak, None, None, 1.5, "GB"),
        beside(
            f"pair's report from two CSVs, {pair_count:,} rows a side",
            "s",
            ours,
            peer,
            0.5,
            "DuraCloud's way",
        ),
    ]


def _run(name: str, directory: Path, count: int) -> Usage:
    # Into the page cache, which the run before may have emptied: a disk is not what is measured.
    for side in _SIDES[:1] if name == "ingest" else _SIDES:
        for file in (directory / f"{side}-{count}").rglob("*"):
            if file.is_file():
                with file.open("rb") as body:
                    while body.read(1 << 24):
                        pass
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    used = run([sys.executable, "-m", "bench.batch", "--only", name, str(count), directory], environment)
    print(f"  {name}: {used}", file=sys.stderr)
    return used


def make(directory: Path, count: int) -> None:
    """Reports and inventories of two buckets of about `count` objects, where they are not there yet."""
    import pyarrow as pa

    from fixity.lake.database import open_database
    from fixity.lake.writer import ROW_GROUP_ROWS, TableWriter
    from fixity.tables import INVENTORY, Provenance

    for side, name in enumerate(_SIDES):
        folder = directory / f"{name}-{count}"
        if (folder / "made").exists():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        results = folder / "prefix" / "job-j"
        results.mkdir(parents=True)
        with open_database(folder, "2GB") as database:
            database.execute(
                _CSV.read_text(encoding="utf-8").format(
                    bucket=f"'{name}'", side=side, rows=count, file=f"'{results / 'result.csv'}'"
                )
            )
            writer = TableWriter(folder / "inventory.parquet", INVENTORY, Provenance(name, "r", "r", _LISTED))
            listed = database.execute(
                "SELECT format('collections/c{:04d}/{:07d}/some-file-{:06d}.tif', i // 100000, i // 50, "
                "i % 1000000) AS key, NULL::VARCHAR AS version_id, true AS is_latest, "
                "(hash(i) % 50000000)::BIGINT AS size, md5(concat('object ', i)) AS etag, "
                "TIMESTAMPTZ '2024-01-01 00:00:00+00' AS last_modified, 'GLACIER' AS storage_class, "
                "NULL::VARCHAR AS checksum_algorithm FROM range($rows) AS numbers (i) "
                "WHERE i % 100 <> 30 + $side ORDER BY i",
                {"rows": count, "side": side},
            )
            for batch in listed.to_arrow_reader(ROW_GROUP_ROWS):
                for piece in pa.Table.from_batches([batch]).cast(INVENTORY).to_batches():
                    writer.write(piece)
            writer.close()
        with (results / "result.csv").open("rb") as body:
            md5 = hashlib.file_digest(body, "md5").hexdigest()
        result = {"TaskExecutionStatus": "succeeded", "Key": "prefix/job-j/result.csv", "MD5Checksum": md5}
        manifest = {
            "Format": "Report_CSV_20180820",
            "ReportCreationDate": _LISTED.isoformat(),
            "Results": [result],
        }
        (results / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (folder / "made").touch()


def ingest(directory: Path, count: int, side: str = "source") -> Path:
    """Ours: a completion report to the table of checksums."""
    from fixity.catalog import Bucket, S3Batch
    from fixity.engines.s3_batch.job_records import JobRecord
    from fixity.engines.s3_batch.keep import ingest_report
    from fixity.lake import LocalLake
    from fixity.ledger.bucket_run import BucketRun

    made, lake = directory / f"{side}-{count}", LocalLake(directory / f"lake-{count}")
    lake.put(f"inventory/{side}/r.parquet", made / "inventory.parquet", keep=True)
    settings = S3Batch(account_id="1" * 12, role_arn="arn:aws:iam::111122223333:role/jobs", report_bucket="m")
    bucket = Bucket(name=side, engine="s3_batch", s3_batch=settings)
    when, name = _LISTED.isoformat(), f"inventory/{side}/r.parquet"
    job = JobRecord(side, "j", "r", when, name, "SHA256", "FULL_OBJECT", "m", "prefix", token="t")
    kept = ingest_report(BucketRun(lake, bucket, f"run-{os.getpid()}"), LocalLake(made), job)
    assert kept.succeeded == kept.objects > 0.9 * count
    return Path(lake.location(kept.file))


def ours(directory: Path, count: int) -> None:
    """Ours: both reports ingested, then the pair's report and its counts."""
    from fixity.reports import Side, compare

    source, replica = (Side(side, ingest(directory, count, side), _LISTED) for side in _SIDES)
    outcome = compare(
        source,
        replica,
        match="key",
        lag=timedelta(minutes=15),
        csv=directory / "report.csv",
    )
    assert outcome.counts.mismatches == count // 100


def duracloud(directory: Path, count: int) -> None:
    """The peer: its views over both CSVs, evaluated twice."""
    import duckdb

    names = ("bucket", "key", "version_id", "task_status", "http_status", "error_code", "message")
    columns = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in names) + "}"
    statements = _PEER.read_text(encoding="utf-8").format(
        source=f"'{directory}/source-{count}/prefix/job-j/result.csv'",
        replica=f"'{directory}/replica-{count}/prefix/job-j/result.csv'",
        columns=columns,
        csv=f"'{directory}/peer.csv'",
    )
    spill = str(directory / "spill")
    threads = len(os.sched_getaffinity(0))
    with duckdb.connect(config={"temp_directory": spill, "threads": threads}) as database:
        counts = dict(database.execute(statements).fetchall())
    assert counts["mismatch"] == count // 100


def main() -> None:
    """Measure and print, or, in a process of its own, do the one thing that is measured."""
    parser = argparse.ArgumentParser(description="S3's completion reports")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--pair-rows", type=int, default=PAIR_ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs=3, metavar=("WHICH", "ROWS", "DIRECTORY"))
    said = parser.parse_args()
    if not said.only:
        print(table(measure(said.rows, said.pair_rows, said.rounds)))
        return
    which, count, directory = said.only[0], int(said.only[1]), Path(said.only[2])
    works: dict[str, Callable[[Path, int], object]] = {"ingest": ingest, "ours": ours, "duracloud": duracloud}
    try:
        works[which](directory, count)
    finally:
        shutil.rmtree(directory / f"lake-{count}", ignore_errors=True)


if __name__ == "__main__":
    main()
