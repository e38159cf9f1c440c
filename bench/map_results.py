"""Memory of gathering a map run's results, with their checks: read from and written to a real S3 server.

python -m bench.map_results --bytes 5000000000
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

from bench.data import Collections, Endpoint, empty_scratch, serving
from bench.measure import Row, Usage, beside, run, table
from bench.ours import MadeUpStore
from devstack.seaweedfs import REGION
from fixity.catalog import Bucket, LedgerMapping, Store
from fixity.catalog.clients import s3_client
from fixity.engines.step_functions import MapRun, ResultsBucket, gather
from fixity.engines.step_functions.checks import MapChecksWriter
from fixity.engines.step_functions.keep_checks import MapManifest, keep_checks
from fixity.lake import LocalLake
from fixity.ledger.bucket_run import BucketRun

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BUCKET = "bench-map-results"
_FOLDER = "consignment/run/checks/map/"
_FILES = 3
_ELEMENT = (
    '{{"ExecutionArn":"arn:aws:states:eu-west-2:123456789012:execution:checks/Map:{0:036d}","Input":'
    '"{{\\"fileId\\":\\"{0:036d}\\",\\"bucket\\":\\"checked\\"}}","InputDetails":{{"Included":true}},'
    '"Name":"{0:036d}","Output":"{{\\"bucket\\":\\"checked\\",\\"key\\":\\"a-folder-of-some-length/{0:012d}.tif'
    '\\",\\"sha256\\":\\"{0:064x}\\",\\"antivirus\\":\\"\\",\\"puid\\":\\"fmt/353\\"}}","OutputDetails":'
    '{{"Included":true}},"RedriveCount":0,"StartDate":"2024-03-02T10:00:00.123Z","Status":"SUCCEEDED",'
    '"StopDate":"2024-03-02T10:00:01.456Z"}}'
)


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Peak memory, in itself and beside a tenth of the results. One round: memory hardly varies."""
    return measure(collections.gathered, scratch)


def measure(size: int, scratch: Path) -> list[Row]:
    """Peak memory of gathering results of `size` bytes."""
    peaks = []
    with serving(scratch) as endpoint, patch.dict(os.environ, endpoint.environment):
        for part in (size // 10, size):
            elements = _put_run(endpoint, part)
            used = _gather(endpoint, elements)
            print(f"  {part / 1e9:.2f} GB, {elements:,} results: {used}", file=sys.stderr)
            peaks.append(used.peak / 1e6)
        _client(endpoint.url).delete_bucket(Bucket=_BUCKET)  # with all that is in it, on this server
    name = f"{size / 1e9:g} GB of map results and their checks, peak memory"
    return [
        Row(name, peaks[1], None, None, 512, "MB"),
        beside(name, "MB", peaks[1:], peaks[:1], 1.2, f"ours, {size / 1e10:g} GB"),
    ]


def _gather(endpoint: Endpoint, elements: int) -> Usage:
    environment = {**endpoint.environment, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    lake = endpoint.scratch / f"lake-{elements}"
    return run(
        [sys.executable, "-m", "bench.map_results", "--gather", endpoint.url, lake, str(elements)],
        environment,
    )


def _client(url: str) -> S3Client:
    return s3_client(Store(name="loopback", endpoint_url=url, region=REGION))


def _results(url: str) -> ResultsBucket:
    return ResultsBucket(_client(url), _BUCKET)


def _put_run(endpoint: Endpoint, size: int) -> int:
    """Write a map run of about `size` bytes; returns its elements."""
    client = _client(endpoint.url)
    with contextlib.suppress(
        client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists
    ):
        client.create_bucket(Bucket=_BUCKET)
    bucket = _results(endpoint.url)
    each = size // len(_ELEMENT.format(0)) // _FILES
    keys = [f"{_FOLDER}SUCCEEDED_{number}.json" for number in range(_FILES)]
    for number, key in enumerate(keys):
        bucket.put(key, _file(number * each, each), size // _FILES)
    listed = ", ".join(f'{{"Key": "{key}", "Size": {size // _FILES}}}' for key in keys)
    manifest = f'{{"ResultFiles": {{"FAILED": [], "PENDING": [], "SUCCEEDED": [{listed}]}}}}'
    bucket.put(f"{_FOLDER}manifest.json", [manifest.encode()], 0)
    return each * _FILES


def _file(first: int, count: int) -> Iterator[bytes]:
    for begin in range(first, first + count, 10_000):
        end = min(begin + 10_000, first + count)
        text = ",".join(_ELEMENT.format(number) for number in range(begin, end))
        yield ("[" if begin == first else ",").encode() + text.encode()
    yield b"]"


def gather_run(url: str, folder: Path, elements: int) -> None:
    """Ours: the results object, and the checks in a ledger."""
    mapping = LedgerMapping(bucket="$.bucket", key="$.key", checksum="$.sha256")
    folder.mkdir(parents=True)
    taker = MapChecksWriter(mapping, [Bucket(name="checked")], folder / "checks.parquet")
    run = MapRun.of(_BUCKET, f"{_FOLDER}manifest.json")
    gathered = gather(_results(url), run, run.results_key(), each=taker.take)
    into = BucketRun(LocalLake(folder / "lake"), Bucket(name="checked"), "bench")
    manifest = MapManifest(run.url, datetime.now(UTC))
    kept = keep_checks(into, MadeUpStore(elements), taker.close(), manifest)
    succeeded = kept.table.succeeded if kept.table else 0
    if not gathered.results == succeeded == elements:
        raise SystemExit(f"of {elements:,} results {gathered.results:,} were gathered, {succeeded:,} kept")
    assert "dagster" not in sys.modules


def main() -> None:
    """Measure and print, or, in a process of its own, do the one thing that is measured."""
    parser = argparse.ArgumentParser(description="Memory of gathering a map run's results")
    parser.add_argument("--bytes", type=int, default=5_000_000_000)
    parser.add_argument("--gather", nargs=3, metavar=("URL", "FOLDER", "ELEMENTS"))
    arguments = parser.parse_args()
    if arguments.gather:
        url, folder, elements = cast("list[str]", arguments.gather)
        gather_run(url, Path(folder), int(elements))
    else:
        with empty_scratch() as scratch:
            print(table(measure(arguments.bytes, scratch)))


if __name__ == "__main__":
    main()
