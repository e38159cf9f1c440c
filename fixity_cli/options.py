"""The options that all verbs have: `--json` and `--quiet`. Options of some verbs do not belong here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from fixity_cli.output import output

WITHOUT = {
    "dev": "becomes Dagster's own command",
    "worker": "becomes Celery's own command",
    "shell": "answers a person",
    "premis": "prints XML",
    "metrics": "prints the text of Prometheus",
}
"""The verbs without them, and why."""


def _use_json(ctx: typer.Context, wanted: bool) -> bool:
    output.verb = ctx.command_path.partition(" ")[2]
    if wanted and not ctx.resilient_parsing:
        output.use_json(sys.stdout)
    return wanted


def _use_quiet(wanted: bool) -> bool:
    output.quiet = wanted
    return wanted


def _common(
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            is_eager=True,
            expose_value=False,
            callback=_use_json,
            help="Print one JSON document on stdout instead of text (`man fixity` lists its fields).",
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            is_eager=True,
            expose_value=False,
            callback=_use_quiet,
            help="Print no progress and no summary, only what was asked for and what is wrong.",
        ),
    ] = False,
) -> None: ...


def with_common_options(commands: Mapping[str, Any]) -> None:
    """Give the options to all verbs, and to those within them, that can have them."""
    app = typer.Typer(add_completion=False)
    app.command()(_common)
    _give(commands, get_command(app).params)


def _give(commands: Mapping[str, Any], options: list[Any]) -> None:
    for name, command in commands.items():
        if isinstance(command, TyperGroup):
            _give(command.commands, options)
        elif name not in WITHOUT:
            command.params += options
