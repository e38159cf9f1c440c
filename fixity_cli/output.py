"""What a verb prints: lines for people, or one JSON document (`--json`).

Results go to stdout, all else to stderr. What a verb finds does not belong here.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

import typer

from fixity.humanize import printable, printable_lines, reasons_text

FIELDS = {
    "verb": "The verb, such as `verify` or `catalog check`",
    "status": "The exit status: 0, 1, 2, 3 or 130",
    "results": "For each bucket or pair that was worked on: its name (`of`), its figures, named as in the "
    "text, in lower case and with `_` for blanks, and its places in the lake (`table`, `csv`)",
    "rows": "What a verb lists, such as `due`, `jobs`, `sql` or `explain`: an object a row; of `verify` and "
    "`report`, the first rows that say that something is wrong",
    "red": "Why the status is 1: red checks with their reasons",
    "damaged": "Damaged objects: `bucket`, `key`, `version_id`, `good_at` (last right), `damaged_at` (wrong "
    "since)",
    "lost": "Objects that were listed or checked before and are gone: `bucket`, `key`, `version_id`, "
    "`last_seen`, `good_at`, `damaged_at`",
    "errors": "What could not be done or read, for people",
    "notes": "Warnings, and what else is said on stderr, for people",
    "runs": "The runs of Dagster: `job`, `partition`, `run_id` and whether it was a `success`",
}
"""The fields of the JSON document, and what they mean. All are always there, in this order."""


class Output:
    """What the verb that runs has to say. One for the process; `begin` starts it anew."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start anew, with lines for people."""
        self.verb = ""
        self.as_json = self.quiet = False
        self._document: dict[str, Any] = {name: [] for name in FIELDS}
        self.interrupted = "nothing was changed"
        """What is kept, and how to go on, if the command is interrupted now."""
        self._stdout: TextIO | None = None
        self._ended = threading.Lock()

    def use_json(self, stdout: TextIO) -> None:
        """Print one JSON document to `stdout` at the end, instead of lines for people.

        What is printed to `sys.stdout` meanwhile goes to stderr, so that the document stays alone.
        """
        self.as_json, self._stdout = True, stdout
        sys.stdout = sys.stderr

    def say(self, text: str) -> None:
        """Print a line of a summary, unless the user wants quiet or JSON."""
        if not self.quiet:
            self.show(text)

    def show(self, text: str) -> None:
        """Print a line that was asked for, unless the user wants JSON."""
        if not self.as_json:
            typer.echo(text)

    def progress(self, text: str) -> None:
        """Print progress on stderr, unless the user wants quiet."""
        if not self.quiet:
            typer.echo(text, err=True)

    def note(self, text: str) -> None:
        """Print on stderr what is good to know, unless the user wants quiet."""
        self._document["notes"].append(text)
        self.progress(printable_lines(text))

    def warn(self, text: str) -> None:
        """Print a warning on stderr."""
        self._document["notes"].append(text)
        typer.echo(f"warning: {printable_lines(text)}", err=True)

    def add_error(self, text: str) -> None:
        """Add an error to the document; something else prints it."""
        self._document["errors"].append(text)

    def fail(self, text: str) -> None:
        """Print an error on stderr."""
        self.add_error(text)
        typer.echo(printable_lines(text), err=True)

    def red(self, check: str) -> None:
        """Print a red check on stderr."""
        self._document["red"].append(check)
        typer.echo(f"red: {printable(check, 2000)}", err=True)

    def row(self, text: str | None = None, /, **row: object) -> None:
        """Print a row of a list that was asked for. Arguments: `text`, for people; None prints nothing."""
        self._document["rows"].append(row)
        if text is not None:
            self.show(text)

    def add(self, field: str, /, **values: object) -> None:
        """Add an object to a field of the document; prints nothing."""
        self._document[field].append(values)

    def place(self, name: str, place: object) -> None:
        """Print where something of the last result is. Arguments: `name`, such as "CSV"."""
        self.say(f"{name}: {place}")
        self.add_place(name, place)

    def add_place(self, name: str, place: object) -> None:
        """Add to the document where something of the last result is; prints nothing."""
        self._last_result()[_field(name)] = str(place)

    def figures(
        self, title: str, of: str, figures: Mapping[str, object], reasons: Mapping[str, int] | None = None
    ) -> None:
        """Print counts of something below a title, in columns, and why objects were not read, if any."""
        lines = {**figures, **({"Reasons": reasons_text(reasons)} if reasons else {})}
        self.say("\n".join([title, *(f"        {name + ':':<20}{value}" for name, value in lines.items())]))
        self.add("results", of=of, **{_field(name): value for name, value in figures.items()})
        if reasons is not None:
            self._last_result()["reasons"] = dict(reasons)

    def _last_result(self) -> dict[str, Any]:
        results: list[dict[str, Any]] = self._document["results"]
        if not results:
            self.add("results")
        return results[-1]

    def say_interrupted(self) -> None:
        """Say that the command was interrupted, once, and print the document."""
        if self._ended.acquire(blocking=False):
            self.fail(f"interrupted: {self.interrupted}")
            self._print(130)

    def end(self, status: int) -> None:
        """Print the document, if JSON is wanted and it was not printed yet."""
        if self._ended.acquire(blocking=False):
            self._print(status)

    def _print(self, status: int) -> None:
        if self._stdout is not None:
            self._document.update(verb=self.verb, status=status)
            self._stdout.write(json.dumps(_plain(self._document), indent=1, default=str) + "\n")
            self._stdout.flush()


def _plain(value: object) -> object:
    """A value as JSON knows it: numbers that are none, such as NaN, and all keys become texts."""
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return str(value)
    return value


def _field(name: str) -> str:
    return name.lower().replace(" ", "_")


output = Output()
"""The output of this process."""
