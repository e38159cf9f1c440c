"""The verbs `fixity sql` and `fixity shell`: DuckDB over the lake, with a view for each kind of table."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from fixity.errors import WrongUsage
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    CatalogOption,
    Exit,
    ForExcelOption,
    end,
    load,
    write_for_excel,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fixity.reports.query import Explorer

verbs = typer.Typer()

UnrestrictedOption = Annotated[
    bool,
    typer.Option(
        "--unrestricted",
        help="Allow every statement, and reading and writing any file. Default: only queries, and only files "
        "of the lake.",
    ),
]
_VIEWS = "Views: inventory, checksums, checks (all history), reports, due, incidents (their events)."


@verbs.command(epilog=f"{_VIEWS} {STATUS_HELP}")
def sql(
    statement: Annotated[str, typer.Argument(metavar="SQL", help='Such as "select count(*) from due".')],
    for_excel: ForExcelOption = None,
    unrestricted: UnrestrictedOption = False,
    catalog: CatalogOption = None,
) -> None:
    """Query the lake in SQL. Prints a table on a terminal, CSV elsewhere."""
    import duckdb

    from fixity.lake import open_lake
    from fixity.reports.query import exploring

    loaded = load(catalog)
    with exploring(loaded, open_lake(loaded), output.warn, unrestricted) as explorer:
        try:
            _answer(explorer, statement, for_excel)
        except duckdb.Error as error:
            end(Exit.WRONG_USE, str(error))


@verbs.command(epilog=f"{_VIEWS} {STATUS_HELP}")
def shell(unrestricted: UnrestrictedOption = False, catalog: CatalogOption = None) -> None:
    """Query the lake in SQL, one statement after another; end each with a semicolon."""
    import duckdb

    from fixity.lake import open_lake
    from fixity.reports.query import exploring

    with suppress(ImportError):
        import readline  # noqa: F401 - gives input() a history

    loaded = load(catalog)
    terminal = sys.stdin.isatty()
    if terminal:
        typer.echo(f"{_VIEWS} End a statement with ';'. Leave with Ctrl-D.")
    with exploring(loaded, open_lake(loaded), output.warn, unrestricted) as explorer:
        statement = ""
        while True:
            try:
                statement += input(("fixity> " if not statement else "   ...> ") if terminal else "") + "\n"
            except EOFError:
                break
            if not statement.rstrip().endswith(";"):
                continue
            try:
                _answer(explorer, statement)
            except (duckdb.Error, WrongUsage) as error:
                typer.echo(str(error), err=True)
            statement = ""


def _answer(explorer: Explorer, statement: str, for_excel: Path | None = None) -> None:
    from fixity.lake.csv_files import csv_line

    relation = explorer.ask(statement)
    if relation is None:
        return
    if sys.stdout.isatty() and for_excel is None and not output.as_json:
        relation.show(max_rows=100)
        return
    found = chain.from_iterable(iter(lambda: relation.fetchmany(10_000), []))
    rows = chain([relation.columns], found)
    if for_excel is not None:
        write_for_excel(rows, for_excel)
    elif output.as_json:
        names = _distinct(relation.columns)
        for row in found:
            output.row(**dict(zip(names, row, strict=True)))
    else:
        sys.stdout.writelines(map(csv_line, rows))


def _distinct(columns: Iterable[str]) -> list[str]:
    """Names of columns of which no two are the same, as an object in JSON needs them: `a`, `a_2`."""
    names: dict[str, None] = {}
    for column in columns:
        name, number = column, 2
        while name in names:
            name, number = f"{column}_{number}", number + 1
        names[name] = None
    return list(names)
