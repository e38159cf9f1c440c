"""The `fixity` command: all its verbs. They read the catalog, run jobs, and print results."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from fixity.errors import bug_text
from fixity_cli import (
    accept,
    alert,
    batch,
    dev,
    doctor,
    drill,
    evidence,
    explain,
    history,
    incidents,
    ingest,
    init,
    log,
    map_results,
    metrics,
    page,
    premis,
    repair,
    rolling,
    sql,
    status,
    verify,
)
from fixity_cli.failures import Verbs
from fixity_cli.interrupts import interrupts
from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, Exit

_FEW_COLLECTIONS = 50_000  # new objects. While much is imported, Python looks for garbage in vain

app = typer.Typer(
    name="fixity",
    cls=Verbs,
    help="Prove that the objects in your buckets and their replicas are intact, byte for byte. "
    "Each run also shows in the Dagster UI (start it with `fixity dev`). Dagster keeps its runs in "
    "DAGSTER_HOME, else in .dagster/ beside the catalog.",
    epilog=STATUS_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _module in (
    init,
    verify,
    status,
    page,
    incidents,
    history,
    repair,
    drill,
    map_results,
    batch,
    ingest,
    premis,
    evidence,
    rolling,
    sql,
    alert,
    accept,
    log,
    explain,
    doctor,
    metrics,
    dev,
):
    app.add_typer(_module.verbs)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"fixity {version('fixity-platform')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit."),
    ] = False,
) -> None: ...


def main() -> None:
    """The entry point of the `fixity` command."""
    gc.set_threshold(_FEW_COLLECTIONS)
    try:
        import fixity_assets  # noqa: F401 - refuses modules of the user's that have the names of ours
    except ImportError as error:
        typer.echo(str(error), err=True)
        sys.exit(Exit.WRONG_USE)
    interrupts.listen(output.say_interrupted)
    try:
        app()
    except SystemExit:
        interrupts.end_if_received()
        raise
    except Exception as error:
        import traceback

        # Status 1 would say that damage was found.
        typer.echo(bug_text(f"{type(error).__name__}: {error}", traceback.format_exc()), err=True)
        sys.exit(Exit.NOT_DONE)
