"""The reference, made from the code: the pages of `docs/reference/`, and a man page of the command.

`python -m fixity_cli.reference` writes all of them; a test holds them to the code. The command's page and the
man page are made here, the others in `reference_pages`. What a verb does does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from fixity_cli.main import app
from fixity_cli.output import FIELDS
from fixity_cli.reference_pages import MADE, catalog, platform, tables, words_and_checks

_ABOUT_JSON = (
    "With `--json`, a verb prints one JSON document on stdout, also if it fails; all else goes to stderr. "
    "The document always has these fields; lists may be empty, and later versions may add fields:"
)
_DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True)
class Verb:
    """A verb: its name after the command's, its help, and its parameters with theirs."""

    name: str
    usage: str
    help: str
    epilog: str
    parameters: list[tuple[str, str]]


def markdown() -> str:
    """The page of the reference."""
    first, *verbs = _verbs()
    lines = ["# The command", "", MADE, "", first.help, ""]
    lines += [first.epilog, "", "## JSON", "", _ABOUT_JSON, "", "| field | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in FIELDS.items()]
    for verb in verbs:
        lines += ["", f"## {verb.name}", "", f"`{verb.usage}`", "", verb.help, ""]
        lines += [f"- `{name}`: {text}" for name, text in verb.parameters]
    return "\n".join(lines) + "\n"


def man_page() -> str:
    """The man page, for groff's man macros."""
    first, *verbs = _verbs()
    lines = [
        '.\\" Made by python -m fixity_cli.reference.',
        ".TH FIXITY 1",
        ".SH NAME",
        "fixity \\- prove that objects in buckets and their replicas are intact, byte for byte",
        ".SH SYNOPSIS",
        ".B fixity",
        "VERB [OPTIONS] [ARGUMENTS]",
        ".SH DESCRIPTION",
        *_roff(first.help),
        ".SH VERBS",
    ]
    for verb in verbs:
        lines += [f".SS {_escaped(verb.usage)}", *_roff(verb.help)]
        for name, text in verb.parameters:
            lines += [".TP", f".B {_escaped(name)}", *_roff(text)]
    lines += [".SH JSON", *_roff(_ABOUT_JSON)]
    for name, text in FIELDS.items():
        lines += [".TP", f".B {_escaped(name)}", *_roff(text)]
    lines += [".SH EXIT STATUS", *_roff(first.epilog.removeprefix("Exit status: "))]
    return "\n".join(lines) + "\n"


def _verbs() -> Iterator[Verb]:
    """The command itself, then all its verbs."""
    command: Any = get_command(app)
    yield from _below(command, command.make_context("fixity", [], resilient_parsing=True))


def _below(command: Any, context: Any) -> Iterator[Verb]:  # noqa: ANN401 - typer keeps these types to itself
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield Verb(
        context.command_path,
        usage,
        _line(command.help or ""),
        _line(command.epilog or ""),
        [(name, _line(text)) for name, text in filter(None, records) if not name.startswith("--help")],
    )
    if isinstance(command, TyperGroup):
        for name, verb in command.commands.items():
            within = verb.make_context(name, [], parent=context, resilient_parsing=True)
            yield from _below(verb, within)


def _line(text: str) -> str:
    """A text as one line for each of its paragraphs."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))


def _roff(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield _escaped(line) if line else ".PP"


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


FILES = {
    "reference/command.md": markdown,
    "reference/catalog.md": catalog,
    "reference/words.md": words_and_checks,
    "reference/tables.md": tables,
    "reference/platform.md": platform,
    "fixity.1": man_page,
}
"""The files in `docs/`, and what makes each."""


def main() -> None:
    """Write the files."""
    for name, made in FILES.items():
        (_DOCS / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
