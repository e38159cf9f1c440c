"""The one place where an error becomes words on stderr and an exit status.

A verb catches only errors after which it goes on.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from fixity.errors import WrongUsage, plain_words
from fixity_cli.interrupts import interrupts
from fixity_cli.options import with_common_options
from fixity_cli.output import output
from fixity_cli.shared import Exit

_OF_DATABASES = ("sqlalchemy.", "sqlite3", "dagster_postgres.")
_DISK_FULL = "53100"  # of PostgreSQL


class Verbs(TyperGroup):
    """The verbs, each of which may raise any `FixityError`, and has the options that all have in common."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's own settings
        super().__init__(**settings)
        with_common_options(self.commands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as above
        """Remember the words of the command, for `invoke`."""
        self._words = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps the type of a context to itself
        """Run a verb. Ends the command at an error that can happen in use; raises every other."""
        output.begin()
        status = int(Exit.NOT_DONE)  # of an error that nobody foresaw: `main` prints it
        try:
            super().invoke(ctx)
            status = Exit.VERIFIED
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or interrupts.received:
                output.say_interrupted()
                raise typer.Exit(Exit.INTERRUPTED) from None
            status = _status(error)
            if "--json" in self._words and isinstance(error, typer.TyperException) and not output.as_json:
                output.use_json(sys.stdout)  # where an option is wrong, no other one is looked at
                within = getattr(error, "ctx", None)  # only errors of usage have it
                output.verb = within.command_path.partition(" ")[2] if within else ""
            if isinstance(error, Exception) and (text := _words(error)):
                output.fail(text)
                raise typer.Exit(status) from error
            raise
        finally:
            output.end(status)


def _words(error: Exception) -> str | None:
    """The text of an error that can happen in use; None for all others."""
    if isinstance(error, BrokenPipeError):  # whoever reads our output has enough: typer knows what to do
        return None
    if isinstance(error, typer.Abort):  # also the end of input
        return "stopped, because a question was not answered"
    text = plain_words(error)
    if text is None and type(error).__module__.startswith(_OF_DATABASES):
        text = _of_database(error)
    return text


def _of_database(error: Exception) -> str:
    """What Dagster's database says, and what to do where it is full or does not answer."""
    home = os.environ.get("DAGSTER_HOME")
    said = error.__cause__ if type(error).__module__.startswith("dagster_postgres.") else error
    said = getattr(said, "orig", None) or said or error
    text = f"Dagster cannot keep its runs in {home}: {said}"
    if getattr(said, "pgcode", None) == _DISK_FULL or "disk is full" in str(said):
        return f"{text}: make room on the database's disk, then type the command again"
    return f"{text}: see fixity doctor" if said is not error and home else text


def _status(error: BaseException) -> int:
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.TyperException):  # typer prints it
        output.add_error(error.format_message())
        return error.exit_code
    return Exit.WRONG_USE if isinstance(error, WrongUsage | typer.Abort) else Exit.NOT_DONE
