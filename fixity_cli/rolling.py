"""The verbs of rolling fixity: list due objects, check a batch or one object, show the coverage."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from fixity.humanize import printable
from fixity.words import when_right
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    BucketArgument,
    CatalogOption,
    Exit,
    VerboseOption,
    end,
    load,
    load_bucket,
    print_figures,
    say_damaged,
    say_errors,
    say_red,
    stop,
    stop_verified,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

verbs = typer.Typer()

ItemsOption = Annotated[int | None, typer.Option("--items", min=1, help="The largest number of objects.")]


@verbs.command(epilog=STATUS_HELP)
def due(
    bucket: BucketArgument,
    items: ItemsOption = None,
    confirm: Annotated[
        bool, typer.Option("--confirm-empty", help="Confirm that the newest inventory is rightly empty.")
    ] = False,
    catalog: CatalogOption = None,
) -> None:
    """List the objects of a bucket that are due, in the order of checking, and what is left out."""
    from fixity.clock import utc_now
    from fixity.humanize import bytes_text, printable
    from fixity.lake import open_lake
    from fixity.ledger import confirm_empty, ready
    from fixity.ledger.fold import settings_of
    from fixity.rolling import Limits, bucket_coverage, due_now
    from fixity.rolling.lease import leases

    loaded, wanted = load_bucket(catalog, bucket)
    lake = open_lake(loaded)
    if confirm:
        confirm_empty(lake, bucket)
    if confirm and wanted.fixity_every is None:
        output.say(f"confirmed: '{bucket}' is rightly empty. Check it again: fixity checksums {bucket}")
        raise typer.Exit(Exit.VERIFIED)
    if wanted.schedule is None:
        end(Exit.WRONG_USE, f"'{bucket}' has no term: give it a `policy` or `fixity_every` in the catalog")
    if not wanted.is_rolled:
        output.note(
            f"'{bucket}' has `engine: {wanted.engine}`: only the policy's `sample` is due for the platform"
        )
    run_id = str(uuid.uuid4())
    covered = bucket_coverage(lake, wanted, run_id)
    for text in covered.ledger:
        output.warn(text)
    with lake.workspace() as workspace:
        snapshot = ready(lake, bucket, settings_of(wanted), run_id)
        alive = [each for each in leases(lake, bucket) if each.is_alive(utc_now())]
        taken = [file for each in alive for file in each.batches(lake, workspace)]
        rows = due_now(lake, snapshot, taken, utc_now(), Limits(items or wanted.batch_items), workspace)
    for row in rows.to_pylist():
        since = f"{row['verified_at']:%Y-%m-%d %H:%M} UTC" if row["verified_at"] else "never"
        text = f"{since:<22}{bytes_text(row['size']):>10}  {printable(row['key'], 5000)}"
        output.row(text, **{name: row[name] for name in ("key", "version_id", "size", "verified_at")})
    text = (
        f"{covered.due + covered.never:,} of {covered.objects:,} objects are past their term or never checked"
    )
    output.note(f"{text}; the next {rows.num_rows:,} to check are listed above")
    if covered.archived:
        output.note(f"left out: {covered.archived:,} archived (GLACIER, DEEP_ARCHIVE)")
    if alive:
        output.note(f"left out: objects that the run {alive[0].run_id} is checking")


@verbs.command("roll", epilog=STATUS_HELP)
def roll_bucket(
    bucket: BucketArgument,
    items: ItemsOption = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Check a batch of due objects of a bucket, now. Status 1 if any failed or is damaged."""
    _roll(catalog, bucket, items, (), verbose)


@verbs.command("check", epilog=STATUS_HELP)
def check_key(
    bucket: BucketArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="An object's key, below the bucket's prefix.")],
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Check one object now, in all its listed versions, against what is expected of it.

    Status 1 also if one could not be read because it is gone, changed or archived.
    """
    _roll(catalog, bucket, None, (key,), verbose)


def _roll(
    catalog: Path | None, bucket: str, items: int | None, keys: tuple[str, ...], verbose: bool
) -> NoReturn:
    from fixity.lake import open_lake
    from fixity.ledger.lost import lost_now, lost_rows
    from fixity.ledger.snapshot import in_force
    from fixity_cli.runs import runner
    from jobs.names import ROLL_JOB, roll_config

    loaded, settings = load_bucket(catalog, bucket)
    with runner(loaded, verbose) as runs:
        ended = runs.run(ROLL_JOB, bucket, roll_config(items, keys))
    say_errors(ended)
    if "checksums" not in ended.metadata:
        stop(ended)
    said = ended.metadata["checksums"]
    print_figures(
        f"Rolling checks of {bucket} complete:",
        {
            "Objects": said["dagster/row_count"],
            "Succeeded": said["succeeded"],
            "Failed": said["failed"],
            "Skipped": said["skipped"],
            "First seen": said["registered"],
            "Damaged": said["damaged"],
            "Bytes read": said["bytes_read"],
        },
        said["reasons"],
        of=bucket,
    )
    if said["cut_short"] != "-":
        output.place("The batch ended early", said["cut_short"])
    if said["dagster/row_count"]:
        output.place("Table", said["table"])
    lake = open_lake(loaded)
    snapshot = in_force(lake, bucket)
    if snapshot is not None:
        lost = lost_now(lake, settings, snapshot)
        _say_lost(bucket, lost_rows(lost), lost.num_rows)
    if not ended.success:
        say_red(ended)
        stop(ended)
    # Of a key that was named, nobody wants to hear that it is verified when nobody read it.
    if keys and said["skipped"]:
        say_red(ended)
        raise typer.Exit(Exit.NOT_VERIFIED)
    stop_verified(ended)


def _say_lost(bucket: str, first: Sequence[Mapping[str, Any]], lost: int) -> None:
    """Print the first lost objects of a bucket on stderr, with when they were last seen and last right.

    Arguments: `lost`, how many there are.
    """
    for row in first:
        version = f" ({row['version_id']})" if row["version_id"] else ""
        damaged = f", known to be damaged since {row['damaged_at']}" if row["damaged_at"] else ""
        right = when_right(row["good_at"])
        text = f"lost: {row['key']}{version} of {bucket}: last seen {row['last_seen']}, {right}{damaged}"
        typer.echo(printable(text, 2000), err=True)
        output.add("lost", bucket=bucket, **row)
    if lost > len(first):
        output.note(f"… and {lost - len(first):,} more lost objects of {bucket}")


@verbs.command(epilog=STATUS_HELP)
def coverage(catalog: CatalogOption = None) -> None:
    """Count which objects of all buckets were checked within their term.

    Status 1 if any are overdue, damaged or could not be read, if a schedule does not run, or if a bucket
    cannot be counted.
    """
    from fixity.clock import utc_now
    from fixity.humanize import seconds_text
    from fixity.lake import open_lake
    from fixity.ledger.damage import damage_rows
    from fixity.status.coverage import count_coverage

    loaded = load(catalog)
    lake = open_lake(loaded)
    wrong = False
    rows, results = count_coverage(lake, loaded, str(uuid.uuid4()), utc_now())
    by_name = {row.bucket: row for row in rows}
    for bucket, result in zip(loaded.buckets.values(), results, strict=True):
        row = by_name.get(bucket.name)
        if row is None:
            (check,) = result.checks
            (output.fail if check.is_red else output.warn)(check.description)
            wrong = wrong or check.is_red
            continue
        wrong = wrong or not row.is_right
        print_figures(
            f"Coverage of {bucket.name}:",
            {
                "Read by": row.engine,
                "Term": "none (any check counts as within it)"
                if row.term is None
                else seconds_text(row.term.total_seconds()),
                "Objects": row.objects,
                "Within term": row.within_term,
                "Past term": row.due,
                "Never checked": row.never,
                "Overdue": row.overdue,
                "Failing": row.failing,
                "Damaged": row.damaged,
                "Lost": row.lost,
                "Archived": row.archived,
                "Oldest check": row.oldest or "-",
                "Past and never": "rate not known yet"
                if row.days_to_go is None
                else f"done in {row.days_to_go:.1f} days at this rate",
                **({"SILENT": row.silence} if row.silence else {}),
            },
            of=bucket.name,
        )
        for said in row.ledger:
            output.fail(said)
        if row.failing:
            output.fail(
                f"{bucket.name}: {row.failing:,} objects could not be read: fixity status {bucket.name}"
            )
        for said in filter(None, (row.unread, row.shortfall)):
            output.warn(f"{bucket.name}: {said}")
        say_damaged(damage_rows(bucket.name, row.damage))
        _say_lost(bucket.name, row.first_lost, row.lost)
    # Where no bucket was ever listed, nobody knows anything.
    raise typer.Exit(Exit.NOT_VERIFIED if wrong or not rows else Exit.VERIFIED)
