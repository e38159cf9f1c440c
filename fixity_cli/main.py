"""The `fixity` command: all its verbs. They read the catalog, run jobs, and print results."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Annotated

import typer

from fixity.errors import bug_text
from fixity.start import started_quickly
from fixity.version import VERSION
from fixity_cli.failures import Verbs
from fixity_cli.interrupts import interrupts
from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, Exit

VERBS = {
    "init": ["init"],
    "verify": ["verify", "report", "checksums", "inventory", "catalog"],
    "status": ["status"],
    "page": ["page"],
    "incidents": ["incidents", "incident"],
    "history": ["history"],
    "repair": ["repair"],
    "drill": ["drill"],
    "map_results": ["map-results"],
    "batch": ["request", "jobs"],
    "ingest": ["ingest", "restore", "deposit"],
    "premis": ["premis"],
    "evidence": ["evidence"],
    "rolling": ["due", "roll", "check", "coverage"],
    "plan": ["plan"],
    "sql": ["sql", "shell"],
    "alert": ["alert"],
    "accept": ["lake"],
    "log": ["log"],
    "explain": ["explain"],
    "doctor": ["doctor"],
    "metrics": ["metrics"],
    "dev": ["dev"],
    "worker": ["worker"],
}
"""The modules of this package that have verbs, and these, in the order of the help."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fixity {VERSION}")
        raise typer.Exit


def _options(
    _: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit."),
    ] = False,
) -> None: ...


@cache
def app_with(verb: str | None = None) -> typer.Typer:
    """The command with all its verbs, or with those that are in one module with `verb`.

    To make all verbs takes a tenth of a second, as long as what some of them do.
    """
    app = typer.Typer(
        name="fixity",
        cls=Verbs,
        help="Prove that the objects in your buckets and their replicas are intact, byte for byte. "
        "Each run also shows in the Dagster UI (start it with `fixity dev`). Dagster keeps its runs in "
        "DAGSTER_HOME, else in .dagster/ beside the catalog.",
        epilog=STATUS_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if sys.stdout.isatty() else None,  # to import it takes longer than the rest
    )
    app.callback()(_options)
    wanted = [module for module, verbs in VERBS.items() if verb in verbs]
    for module in wanted or VERBS:
        app.add_typer(import_module(f"fixity_cli.{module}").verbs)
    return app


def __getattr__(name: str) -> typer.Typer:
    """`app`, the command with all its verbs, for whoever imports it."""
    if name == "app":
        return app_with()
    raise AttributeError(name)


@started_quickly()
def main() -> None:
    """The entry point of the `fixity` command."""
    status: object = None

    def leave() -> None:
        # Last of all that is done at the end. Python would now take two thousand modules apart, one by one.
        if isinstance(status, int):
            with suppress(OSError):  # Python says so itself if nobody reads what it prints
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)

    atexit.register(leave)  # the first one that is registered is called last
    try:
        import fixity_assets  # noqa: F401 - refuses modules of the user's that have the names of ours
    except ImportError as error:
        typer.echo(str(error), err=True)
        sys.exit(Exit.WRONG_USE)
    interrupts.listen(output.say_interrupted)
    try:
        app_with(sys.argv[1] if len(sys.argv) > 1 else None)()
    except SystemExit as ended:
        interrupts.end_if_received()
        status = ended.code
        raise
    except Exception as error:
        import traceback

        # Status 1 would say that damage was found.
        typer.echo(bug_text(f"{type(error).__name__}: {error}", traceback.format_exc()), err=True)
        sys.exit(Exit.NOT_DONE)
