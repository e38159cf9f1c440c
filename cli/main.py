"""The verbs of the `fixity` command: they read the catalog, run jobs, and print what came of it."""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.map_results import map_results

if TYPE_CHECKING:
    from cli.runs import Ended, Runner
    from fixity.catalog import Catalog, Pair


class Exit(IntEnum):
    """What the command's exit status means."""

    VERIFIED = 0
    NOT_VERIFIED = 1
    WRONG_USE = 2
    NOT_DONE = 3


_STATUS_HELP = (
    "Exit status: 0 verified; 1 the verdict has an error; 2 wrong usage or configuration; "
    "3 something could not be done, such as a bucket that cannot be reached."
)

app = typer.Typer(
    name="fixity",
    help="Prove that what is kept in buckets and their replicas is still there, byte for byte. "
    "Runs show in the Dagster UI of the same instance (DAGSTER_HOME, else .dagster/ in the working "
    "directory).",
    epilog=_STATUS_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
catalog_app = typer.Typer(help="Work with the catalog, fixity.yaml.", no_args_is_help=True)
app.add_typer(catalog_app, name="catalog")
app.command("map-results", epilog=_STATUS_HELP)(map_results)

CatalogOption = Annotated[
    Path | None,
    typer.Option(
        "--catalog",
        metavar="FILE",
        help="The catalog; else the file that FIXITY_CATALOG names, else fixity.yaml here.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's own log on stderr.")]
PairArgument = Annotated[str, typer.Argument(metavar="PAIR", help="A pair of the catalog.")]
BucketArgument = Annotated[str, typer.Argument(metavar="BUCKET", help="A bucket of the catalog.")]


@app.command(epilog=_STATUS_HELP)
def verify(pair: PairArgument, catalog: CatalogOption = None, verbose: VerboseOption = False) -> None:
    """List and hash both buckets of a pair, then report whether they hold the same."""
    from cli.runs import runner
    from jobs import CHECKSUMS_JOB

    loaded = _load(catalog)
    wanted = _pair(loaded, pair)
    with runner(loaded, verbose) as runs:
        # A side that cannot be reached does not keep the other from being checked.
        sides = [runs.run(CHECKSUMS_JOB, bucket) for bucket in (wanted.source, wanted.replica)]
        for ended in sides:
            _say_errors(ended)
        if not all(ended.success for ended in sides):
            _end(Exit.NOT_DONE, f"{pair}: no report, since not both buckets could be checked")
        reported = _report(runs, wanted)
    _print_report(reported)


@app.command(epilog=_STATUS_HELP)
def report(pair: PairArgument, catalog: CatalogOption = None, verbose: VerboseOption = False) -> None:
    """Report on a pair from its newest tables of checksums, without reading the buckets again."""
    from cli.runs import runner

    loaded = _load(catalog)
    wanted = _pair(loaded, pair)
    with runner(loaded, verbose) as runs:
        reported = _report(runs, wanted)
    _print_report(reported)


@app.command(epilog=_STATUS_HELP)
def checksums(bucket: BucketArgument, catalog: CatalogOption = None, verbose: VerboseOption = False) -> None:
    """List a bucket and compute the checksum of every object in it. Status 1 when some failed."""
    from cli.runs import runner
    from jobs import CHECKSUMS_JOB

    loaded = _load(catalog)
    _known(bucket, loaded.buckets, "bucket")
    with runner(loaded, verbose) as runs:
        ended = runs.run(CHECKSUMS_JOB, bucket)
    _stop_unless_done(ended)
    said = ended.metadata["checksums"]
    _print_figures(
        f"Checksums of {bucket} complete:",
        {
            "Objects": said["dagster/row_count"],
            "Succeeded": said["succeeded"],
            "Failed": said["failed"],
            "Skipped": said["skipped"],
            "Bytes read": said["bytes_read"],
        },
    )
    typer.echo(f"Table: {said['table']}")
    raise typer.Exit(Exit.NOT_VERIFIED if said["failed"] else Exit.VERIFIED)


@app.command(epilog=_STATUS_HELP)
def inventory(bucket: BucketArgument, catalog: CatalogOption = None, verbose: VerboseOption = False) -> None:
    """List what a bucket holds and keep the list as a table."""
    from cli.runs import runner
    from jobs import INVENTORY_JOB

    loaded = _load(catalog)
    _known(bucket, loaded.buckets, "bucket")
    with runner(loaded, verbose) as runs:
        ended = runs.run(INVENTORY_JOB, bucket)
    _stop_unless_done(ended)
    said = ended.metadata["inventory"]
    _print_figures(
        f"Inventory of {bucket} complete:",
        {"Objects": said["dagster/row_count"], "Bytes": said["bytes"], "Excluded": said["excluded"]},
    )
    typer.echo(f"Table: {said['table']}")


@catalog_app.command("check", epilog=_STATUS_HELP)
def catalog_check(catalog: CatalogOption = None) -> None:
    """Say what the catalog says, or everything that is wrong with it."""
    loaded = _load(catalog)
    typer.echo(f"{loaded.file}: {len(loaded.buckets)} buckets, {len(loaded.pairs)} pairs")
    typer.echo(f"lake: {loaded.lake}")
    for bucket in loaded.buckets.values():
        typer.echo(f"bucket {bucket.name}: {loaded.place_of(bucket)}, {bucket.algorithm}")
    for pair in loaded.pairs.values():
        typer.echo(f"pair {pair.name}: {pair.source} -> {pair.replica}, by {pair.match}")


def _load(file: Path | None) -> Catalog:
    from fixity.catalog import CatalogError, load_catalog

    try:
        loaded = load_catalog(file)
    except CatalogError as error:
        _end(Exit.WRONG_USE, str(error))
    for pair in loaded.pairs.values():
        for caution in loaded.cautions(pair):
            typer.echo(f"warning: pairs.{pair.name}: {caution}", err=True)
    return loaded


def _known(name: str, names: Iterable[str], kind: str) -> None:
    names = list(names)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    _end(Exit.WRONG_USE, f"the catalog has no {kind} '{name}'{hint} It has: {', '.join(names) or 'none'}")


def _pair(catalog: Catalog, name: str) -> Pair:
    _known(name, catalog.pairs, "pair")
    return catalog.pairs[name]


def _report(runs: Runner, pair: Pair) -> Ended:
    from jobs import REPORT_JOB

    ended = runs.run(REPORT_JOB, pair.name)
    _stop_unless_done(ended)
    return ended


def _print_report(ended: Ended) -> NoReturn:
    from fixity.reports import Counts, summary_text

    said = ended.metadata["fixity_report"]
    typer.echo(summary_text(Counts.from_stats(said)))
    typer.echo(f"CSV: {said['csv']}")
    if "left_out" in said:
        typer.echo(f"left out, so that older checks may stand in its place: {said['left_out']}", err=True)
    raise typer.Exit(Exit.NOT_VERIFIED if ended.failed_checks else Exit.VERIFIED)


def _print_figures(title: str, figures: dict[str, int]) -> None:
    typer.echo(title)
    for name, value in figures.items():
        typer.echo(f"        {name + ':':<20}{value}")


def _say_errors(ended: Ended) -> None:
    for error in ended.errors:
        typer.echo(error, err=True)
    if not ended.success:
        typer.echo(f"run {ended.run_id} failed; the UI can re-execute it from failure", err=True)


def _stop_unless_done(ended: Ended) -> None:
    _say_errors(ended)
    if not ended.success:
        raise typer.Exit(Exit.NOT_DONE)


def _end(status: Exit, message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)


# They add their verbs to `app`, and take from above what all verbs share.
from cli import batch, ingest, premis, rolling, sql  # noqa: E402, F401


def main() -> None:
    """The entry point of the `fixity` command."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # Status 1 would say that damage was found.
        if "--verbose" in sys.argv or "-v" in sys.argv:
            traceback.print_exc()
        typer.echo(f"could not be done: {type(error).__name__}: {error}", err=True)
        sys.exit(Exit.NOT_DONE)
