"""The verbs for buckets whose checksums S3 computes: to request jobs, and to see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fixity.humanize import seconds_text
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    CatalogOption,
    Exit,
    VerboseOption,
    end,
    known,
    load,
    stop_unless_done,
)

if TYPE_CHECKING:
    from fixity.catalog import Catalog
    from fixity.lake import Lake

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def request(
    name: Annotated[
        str,
        typer.Argument(
            metavar="BUCKET|PAIR", help="A bucket of the catalog, or a pair for both its buckets."
        ),
    ],
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check only the objects in this file, one key a line."),
    ] = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Submit an S3 Batch job that computes the checksums of a bucket, or of both buckets of a pair.

    A name of both a pair and a bucket means the pair; with --keys, its source.
    A job may take a week. `fixity dev` loads its report when it ends.
    """
    from fixity_cli.runs import runner
    from jobs.names import REQUEST_JOB

    loaded = load(catalog)
    known(name, [*loaded.pairs, *loaded.buckets], "bucket or pair")
    buckets = _buckets(loaded, name, keys)
    if keys and not keys.is_file():
        end(Exit.WRONG_USE, f"{keys}: there is no such file")
    selection = {"keys_file": str(keys.absolute())} if keys else {}
    with runner(loaded, verbose) as runs:
        for bucket in buckets:
            ended = runs.run(REQUEST_JOB, bucket, {"ops": {"checksum_job": {"config": selection}}})
            stop_unless_done(ended)
            said = ended.metadata.get("checksum_job")
            if said:
                output.row(f"{bucket}: job {said['job_id']}", bucket=bucket, job=said["job_id"])
            else:
                text = f"{bucket}: waits, because the account has the most active jobs that S3 allows"
                output.row(text, bucket=bucket, job=None)


def _buckets(catalog: Catalog, name: str, keys: Path | None) -> list[str]:
    pair = catalog.pairs.get(name)
    named = [pair.source, pair.replica] if pair and not keys else [pair.source if pair else name]
    by_s3 = [bucket for bucket in named if bucket in catalog.checked_by_s3]
    for bucket in named:
        if bucket not in by_s3:
            output.note(f"{bucket}: has no `engine: s3_batch`; run `fixity checksums {bucket}`")
    if not by_s3:
        raise typer.Exit(Exit.WRONG_USE)
    return by_s3


@verbs.command(epilog=STATUS_HELP)
def jobs(catalog: CatalogOption = None) -> None:
    """Show the newest S3 Batch job of each bucket, and the requests that wait."""
    from fixity.lake import open_lake

    loaded = load(catalog)
    rows = [("BUCKET", "JOB", "STATUS", "TASKS DONE", "FAILED", "AGE")]
    lake = open_lake(loaded)
    for bucket in loaded.checked_by_s3:
        rows += _rows(loaded, lake, bucket)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        output.show("  ".join(cells).rstrip())
    for row in rows[1:]:
        output.row(**dict(zip((name.lower().replace(" ", "_") for name in rows[0]), row, strict=True)))


def _rows(catalog: Catalog, lake: Lake, bucket: str) -> list[tuple[str, str, str, str, str, str]]:
    from fixity.engines.s3_batch.batch_jobs import describe, open_s3_control
    from fixity.engines.s3_batch.job_records import jobs_of, outcome_of, waiting_requests

    said = catalog.buckets[bucket]
    assert said.s3_batch is not None  # the catalog sees to it
    rows = [
        (bucket, "-", "waiting to be submitted", "", "", "")
        for _ in waiting_requests(lake, bucket, output.warn)
    ]
    # Jobs of AWS Batch were not submitted here.
    record = next((each for each in reversed(jobs_of(lake, bucket, log=output.warn)) if each.run_id), None)
    if record:
        client = open_s3_control(said, catalog.store_of(said), said.s3_batch)
        state = describe(client, said.s3_batch.account_id, record.job_id)
        done = f"{state.succeeded + state.failed:,} of {state.tasks:,}"
        outcome = outcome_of(lake, bucket, record.job_id)
        status = f"{state.status}, loaded" if outcome and outcome.status == "Complete" else state.status
        rows.append((bucket, record.job_id, status, done, f"{state.failed:,}", seconds_text(record.age)))
    return rows or [(bucket, "-", "never requested", "", "", "")]
