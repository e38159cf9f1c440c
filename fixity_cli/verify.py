"""The main verbs: list and check a bucket, report on a pair, check the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from fixity.humanize import printable, reasons_text
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    BucketArgument,
    CatalogOption,
    Exit,
    ForExcelOption,
    PairArgument,
    VerboseOption,
    end,
    known,
    load,
    load_bucket,
    print_figures,
    say_csv,
    say_errors,
    say_red,
    stop_unless_done,
    stop_verified,
)

if TYPE_CHECKING:
    from fixity_cli.runs import Ended

verbs = typer.Typer()
catalog_verbs = typer.Typer(help="Work with the catalog (fixity.yaml).", no_args_is_help=True)
verbs.add_typer(catalog_verbs, name="catalog")


@verbs.command(epilog=STATUS_HELP)
def verify(
    pair: PairArgument,
    for_excel: ForExcelOption = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Check every object in both buckets of a pair, then compare the buckets."""
    _compare(pair, for_excel, catalog, verbose, read=True)


@verbs.command(epilog=STATUS_HELP)
def report(
    pair: PairArgument,
    for_excel: ForExcelOption = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compare both buckets of a pair by their newest checksums. Reads only objects that differ or failed."""
    _compare(pair, for_excel, catalog, verbose, read=False)


@verbs.command(epilog=STATUS_HELP)
def checksums(bucket: BucketArgument, catalog: CatalogOption = None, verbose: VerboseOption = False) -> None:
    """Check every object in a bucket. Status 1 if any is damaged or could not be read."""
    from jobs.names import CHECKSUMS_JOB

    ended = _ran(CHECKSUMS_JOB, bucket, catalog, verbose)
    said = ended.metadata["checksums"]
    print_figures(
        f"Checksums of {bucket} complete:",
        {
            "Objects": said["dagster/row_count"],
            "Succeeded": said["succeeded"],
            "Failed": said["failed"],
            "Skipped": said["skipped"],
            "Bytes read": said["bytes_read"],
        },
        said["reasons"],
        of=bucket,
    )
    output.place("Table", said["table"])
    stop_verified(ended)


@verbs.command(epilog=STATUS_HELP)
def inventory(bucket: BucketArgument, catalog: CatalogOption = None, verbose: VerboseOption = False) -> None:
    """List what a bucket holds, and keep the list as a table."""
    from jobs.names import INVENTORY_JOB

    ended = _ran(INVENTORY_JOB, bucket, catalog, verbose)
    said = ended.metadata["inventory"]
    print_figures(
        f"Inventory of {bucket} complete:",
        {"Objects": said["dagster/row_count"], "Bytes": said["bytes"], "Excluded": said["excluded"]},
        of=bucket,
    )
    output.place("Table", said["table"])
    stop_verified(ended)


@catalog_verbs.command("check", epilog=STATUS_HELP)
def catalog_check(catalog: CatalogOption = None) -> None:
    """Print the catalog's buckets and pairs, or everything that is wrong with it."""
    loaded = load(catalog)
    output.show(f"{loaded.file}: {len(loaded.buckets)} buckets, {len(loaded.pairs)} pairs")
    output.show(f"lake: {loaded.lake}")
    for bucket in loaded.buckets.values():
        place = loaded.place_of(bucket)
        text = f"bucket {bucket.name}: {place}, {bucket.algorithm}"
        output.row(text, bucket=bucket.name, place=place, algorithm=bucket.algorithm)
    for pair in loaded.pairs.values():
        text = f"pair {pair.name}: {pair.source} -> {pair.replica}, by {pair.match}"
        output.row(text, pair=pair.name, source=pair.source, replica=pair.replica, match=pair.match)


def _ran(job: str, bucket: str, catalog: Path | None, verbose: bool) -> Ended:
    """Run a job of a bucket. Ends the command where the run failed."""
    from fixity_cli.runs import runner

    loaded, _ = load_bucket(catalog, bucket)
    with runner(loaded, verbose) as runs:
        ended = runs.run(job, bucket)
    stop_unless_done(ended)
    return ended


def _compare(pair: str, for_excel: Path | None, catalog: Path | None, verbose: bool, read: bool) -> NoReturn:
    """Compare a pair, print the report and all red checks. Arguments: `read`, whether to check it first."""
    from fixity.reports import Counts, stats, summary_text
    from fixity_cli.runs import runner
    from jobs.names import CHECKSUMS_JOB, REPORT_JOB

    loaded = load(catalog)
    known(pair, loaded.pairs, "pair")
    buckets = (loaded.pairs[pair].source, loaded.pairs[pair].replica) if read else ()
    with runner(loaded, verbose) as runs:
        # If one side cannot be reached, the other is still checked.
        sides = [runs.run(CHECKSUMS_JOB, bucket) for bucket in buckets]
        for ended in sides:
            say_errors(ended)
        if not all(ended.success for ended in sides):
            say_red(*sides)
            end(Exit.NOT_DONE, f"{pair}: no report, because a bucket could not be checked")
        reported = runs.run(REPORT_JOB, pair)
    stop_unless_done(reported)
    said = reported.metadata["fixity_report"]
    counts = replace(Counts.from_stats(said), rows=said["dagster/row_count"])
    output.say(summary_text(counts))
    if said["reasons"]:
        output.say(f"        {'Reasons:':<20}{reasons_text(said['reasons'])}")
    output.add("results", of=pair, **stats(counts), rows=counts.rows, reasons=said["reasons"])
    _say_suspects(said)
    say_csv(loaded, said["csv"], for_excel)
    stop_verified(*sides, reported)


def _say_suspects(said: Mapping[str, Any]) -> None:
    """Print what a second look found, and the first rows of a report that say that something is wrong.

    Arguments: `said`, the report's metadata.
    """
    from jobs.names import FIRST_SUSPECTS, LOOKED_AGAIN, SUSPECTS, TURNED_OUT_RIGHT

    if said.get(LOOKED_AGAIN):
        found = f"{said[LOOKED_AGAIN]}, of which {said[TURNED_OUT_RIGHT]} turned out right"
        output.say(f"        {'Looked at again:':<20}{found}")
    records = said[SUSPECTS].records if SUSPECTS in said else ()
    for record in records:
        row = record.data
        version = f" ({row['version_id']})" if row["version_id"] else ""
        agreed = f"last agreed {row['last_agreed_at']}" if row["last_agreed_at"] else ""
        said_of_it = "; ".join(filter(None, (row["diagnosis"], agreed, row["detail"])))
        output.say(
            printable(f"{row['status']}: {row['key']}{version}{said_of_it and ': '}{said_of_it}", 2000)
        )
        output.add("rows", **row)
    if len(records) == FIRST_SUSPECTS:
        output.say(f"… these are the first {FIRST_SUSPECTS}: the CSV has all")
