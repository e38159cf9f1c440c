"""The verbs for jobs of S3 Batch: to request those that compute checksums, and to see all."""

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
    from fixity.engines.s3_batch.job_records import JobRecord, Waiting
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
    """Request a job that computes the checksums of a bucket, or of both buckets of a pair.

    S3 Batch does it, or the state machine of `map_results`. A name of both a pair and a bucket means the
    pair; with --keys, its source. A job may take a week. `fixity dev` loads what it found when it ends.
    """
    from fixity_cli.runs import runner
    from jobs.names import REQUEST_JOB

    loaded = load(catalog)
    known(name, [*loaded.compared, *loaded.buckets], "bucket or pair")
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
                job = said.get("job_id") or said["execution"]
                output.row(f"{bucket}: job {job}", bucket=bucket, job=job)
            else:
                text = f"{bucket}: waits, because the account has the most active jobs that S3 allows"
                output.row(text, bucket=bucket, job=None)


def _buckets(catalog: Catalog, name: str, keys: Path | None) -> list[str]:
    named = list(catalog.compared.get(name, (name,)))[: 1 if keys else None]
    by_jobs = [each.name for each in catalog.checked_by_jobs]
    asked = [bucket for bucket in named if bucket in (catalog.checked_by_s3 if keys else by_jobs)]
    say = output.note if asked else output.fail
    for bucket in named:
        if bucket not in asked:
            say(f"{bucket}: has no `engine: s3_batch`; run `fixity checksums {bucket}`")
    if not asked:
        raise typer.Exit(Exit.WRONG_USE)
    return asked


@verbs.command(epilog=STATUS_HELP)
def jobs(catalog: CatalogOption = None) -> None:
    """Show the newest S3 Batch jobs of each bucket, and the requests that wait.

    KIND: checksums; second look, at what an earlier job found to differ; or copy, of a repair that is not
    checked yet.
    """
    from fixity.lake import open_lake

    loaded = load(catalog)
    rows = [("BUCKET", "JOB", "KIND", "STATUS", "TASKS DONE", "FAILED", "AGE")]
    lake = open_lake(loaded)
    for bucket in loaded.checked_by_s3:
        rows += _rows(loaded, lake, bucket)
    rows += _copies(loaded, lake)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        output.show("  ".join(cells).rstrip())
    for row in rows[1:]:
        output.row(**dict(zip((name.lower().replace(" ", "_") for name in rows[0]), row, strict=True)))


_Row = tuple[str, str, str, str, str, str, str]


def _rows(catalog: Catalog, lake: Lake, bucket: str) -> list[_Row]:
    """The waiting requests of a bucket, and its newest job of each kind."""
    from fixity.engines.s3_batch.job_records import jobs_of, outcome_of, waiting_requests

    def kind(of: JobRecord | Waiting) -> str:
        return "second look" if of.first else "checksums"

    rows = [_waits(bucket, kind(each)) for each in waiting_requests(lake, bucket, output.warn)]
    # Jobs of AWS Batch were not submitted here.
    newest = {kind(each): each for each in jobs_of(lake, bucket, log=output.warn) if each.run_id}
    for name, record in newest.items():
        outcome = outcome_of(lake, bucket, record.job_id)
        loaded = ", loaded" if outcome and outcome.status == "Complete" else ""
        rows.append(_described(catalog, bucket, record.job_id, name, record.age, loaded))
    return rows or [(bucket, "-", "checksums", "never requested", "", "", "")]


def _copies(catalog: Catalog, lake: Lake) -> list[_Row]:
    """The jobs of repairs whose copies are not checked yet."""
    from fixity.engines.s3_batch.copy_jobs import open_copies

    return [
        _described(catalog, job.target, job.job_id, "copy", job.age)
        if job.job_id
        else _waits(job.target, "copy")
        for job in open_copies(lake, log=output.warn)
        if job.target in catalog.buckets and catalog.buckets[job.target].s3_batch
    ]


def _waits(bucket: str, kind: str) -> _Row:
    return (bucket, "-", kind, "waiting to be submitted", "", "", "")


def _described(catalog: Catalog, name: str, job_id: str, kind: str, age: float, loaded: str = "") -> _Row:
    """A job as S3 describes it now. Arguments: `age`, in seconds; `loaded`, said after its status."""
    from fixity.engines.s3_batch.batch_jobs import describe, open_s3_control

    bucket = catalog.buckets[name]
    assert bucket.s3_batch is not None  # the caller and the catalog see to it
    client = open_s3_control(bucket, catalog.store_of(bucket), bucket.s3_batch)
    state = describe(client, bucket.s3_batch.account_id, job_id)
    done = f"{state.succeeded + state.failed:,} of {state.tasks:,}"
    return (name, job_id, kind, f"{state.status}{loaded}", done, f"{state.failed:,}", seconds_text(age))
