"""Verifying a deposit from the command line: no run of Dagster, a report in the lake."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fixity.buckets import Throttle, open_bucket
from fixity.buckets.local import LocalReader
from fixity.catalog import Catalog
from fixity.humanize import bytes_text
from fixity.in_order import processors
from fixity.ingest.deposit import Deposit, NothingToVerify, Summary, verify_deposit
from fixity.lake import open_lake
from fixity.lake.paths import deposit_report_file
from fixity.ledger.unkept_reads import note_unkept_read
from fixity_cli.instance import lake_of_command
from fixity_cli.output import output

if TYPE_CHECKING:
    from fixity.buckets.s3.attributes import Attributes

_SAY_EVERY = 10  # seconds


def run_deposit(
    catalog: Catalog,
    directory: Path,
    bucket: str,
    prefix: str,
    read: bool,
    exclude_files: tuple[str, ...] = (),
) -> tuple[Summary, str]:
    """Verify a directory against a bucket. Returns the figures, and where the CSV is.

    Arguments: `exclude_files`, shell patterns of the files' keys to leave out.
    Raises BucketUnreachable, NothingToVerify, LakeError.
    """
    lake = open_lake(catalog)
    target = catalog.buckets[bucket]
    above = "" if target.is_local else prefix  # a store lists what begins so, a directory all of it
    target = target.model_copy(update={"prefix": target.prefix + above})
    # Hashing needs a processor each; reading back waits for the network.
    threads = target.max_concurrency or (16 if read else max(2, processors()))
    said_at = time.monotonic()

    def progress(summary: Summary) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _SAY_EVERY:
            said_at = time.monotonic()
            output.progress(f"{bucket}: {summary.files:,} files, {bytes_text(summary.bytes)}")

    with (
        lake.workspace() as workspace,
        closing(open_bucket(catalog, target)) as store,
        closing(LocalReader(directory, Throttle(threads))) as source,
    ):

        @cache
        def attributes() -> Attributes | None:
            from fixity.buckets.s3.attributes import open_attributes

            return open_attributes(catalog, target, threads)

        file = workspace / "deposit.csv"
        deposit = Deposit(
            source, store, attributes, prefix.removeprefix(above), read, target.exclude, above, exclude_files
        )
        try:
            summary = verify_deposit(deposit, file, threads, progress)
        except NothingToVerify as error:
            raise NothingToVerify(f"{directory}: {error}") from error
        finally:
            note_unkept_read(lake, bucket, deposit.read_back.bytes, datetime.now(UTC))
        name = deposit_report_file(bucket, datetime.now(UTC))
        with lake_of_command(catalog, "deposit") as keeping:
            keeping.put(name, file)
    return summary, lake.location(name)
