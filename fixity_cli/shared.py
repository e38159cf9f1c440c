"""What all verbs of the `fixity` command share: options, exit statuses, the catalog, and what is printed.

A verb itself does not belong here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO

import typer

from fixity.humanize import printable
from fixity.words import when_right
from fixity_cli.output import output

if TYPE_CHECKING:
    from fixity.catalog import Bucket, Catalog
    from fixity_cli.runs import Ended


class Exit(IntEnum):
    """What the command's exit status means."""

    VERIFIED = 0
    NOT_VERIFIED = 1
    WRONG_USE = 2
    NOT_DONE = 3
    INTERRUPTED = 130


STATUS_HELP = (
    "Exit status: 0 verified; 1 a check is red; 2 wrong usage or configuration; 3 something could not be "
    "done, such as reaching a bucket; 130 interrupted."
)
"""The last line of every verb's help."""

CatalogOption = Annotated[
    Path | None,
    typer.Option(
        "--catalog",
        metavar="FILE",
        help="The catalog. Default: the file in FIXITY_CATALOG, else fixity.yaml in this folder.",
    ),
]


def _in_a_folder(file: Path | None) -> Path | None:
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {file.absolute().parent}")
    return file


ForExcelOption = Annotated[
    Path | None,
    typer.Option(
        "--for-excel",
        metavar="FILE",
        dir_okay=False,
        callback=_in_a_folder,
        help="A copy of the CSV for spreadsheets: with a mark for UTF-8, and an apostrophe before "
        "each text that would become a formula or a number there.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's own log on stderr.")]


def _names_in(section: str) -> Callable[[typer.Context, str], list[str]]:
    """Completes a name of the catalog in the shell."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        from fixity.catalog import CatalogError, load_catalog

        try:
            names = getattr(load_catalog(ctx.params.get("catalog")), section)
        except CatalogError:
            return []
        return [name for name in names if name.startswith(incomplete)]

    return complete


PairsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PAIR...", help="Pairs of the catalog.", autocompletion=_names_in("compared")),
]
AllOption = Annotated[bool, typer.Option("--all", help="All pairs of the catalog.")]
BucketsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="BUCKET...", help="Buckets of the catalog.", autocompletion=_names_in("buckets")),
]
AllBucketsOption = Annotated[bool, typer.Option("--all", help="All buckets of the catalog.")]
BucketArgument = Annotated[
    str,
    typer.Argument(metavar="BUCKET", help="A bucket of the catalog.", autocompletion=_names_in("buckets")),
]


def load(file: Path | None) -> Catalog:
    """The catalog, with its warnings on stderr. Raises CatalogError."""
    from fixity.catalog import load_catalog

    loaded = load_catalog(file)
    for pair in loaded.pairs.values():
        for caution in loaded.cautions(pair):
            output.warn(f"pairs.{pair.name}: {caution}")
    return loaded


def load_bucket(file: Path | None, name: str) -> tuple[Catalog, Bucket]:
    """The catalog, and a bucket of it. Ends the command if the catalog does not have the name."""
    loaded = load(file)
    known(name, loaded.buckets, "bucket")
    return loaded, loaded.buckets[name]


def known(name: str, names: Iterable[str], kind: str) -> None:
    """End the command, and suggest a similar name, if the catalog does not have the name."""
    names = list(dict.fromkeys(names))
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    end(Exit.WRONG_USE, f"the catalog has no {kind} '{name}'.{hint} It has: {', '.join(names) or 'none'}")


def print_figures(
    title: str, figures: Mapping[str, object], reasons: dict[str, int] | None = None, of: str = ""
) -> None:
    """Print counts below a title, in columns, and why objects were not read, if any.

    Arguments: `of`, the name of what was counted, for `--json`.
    """
    output.figures(title, of, figures, reasons or {})


def say_csv(catalog: Catalog, place: str, for_excel: Path | None) -> None:
    """Print where a report's CSV is, and write it for a spreadsheet if that is asked for.

    Arguments: `place`, as the lake names it. Raises LakeError.
    """
    from fixity.lake import LakeError, open_lake
    from fixity.lake.csv_files import read_rows

    output.place("CSV", place)
    if for_excel is None:
        return
    lake = open_lake(catalog)
    name = place.removeprefix(lake.location("")).lstrip("/")

    def lines(text: TextIO) -> Iterator[Iterable[str | None]]:
        columns, rows = read_rows(text)
        yield columns
        for row in rows:
            if row.problem:
                raise LakeError(f"{place}, line {row.line}: {row.problem}")
            yield (cell or None for cell in row.cells.values())

    with (
        lake.workspace() as workspace,
        lake.fetch(name, workspace).open(encoding="utf-8", newline="") as text,
    ):
        write_for_excel(lines(text), for_excel)


def write_for_excel(rows: Iterable[Iterable[object]], file: Path) -> None:
    """Write rows, the header first, for a spreadsheet, and print where. Ends the command if that fails."""
    from fixity.lake.csv_files import SPREADSHEET_LINES, write_for_spreadsheet

    try:
        lines = write_for_spreadsheet(file, rows)
    except OSError as error:
        end(Exit.NOT_DONE, f"{file} cannot be written: {error.strerror}")
    output.place("For a spreadsheet", file)
    if lines > SPREADSHEET_LINES:
        output.warn(f"{file} has {lines:,} lines, but Excel shows only {SPREADSHEET_LINES:,} of them")


def say_errors(ended: Ended) -> None:
    """Print a run's errors on stderr."""
    for error in ended.errors:
        output.fail(error)
    if not ended.success:
        # A request that could not be used has done nothing that could go on.
        output.note(f"run {ended.run_id} failed" + ("" if ended.wrong_usage else f"; {ended.kept}"))


def say_red(*runs: Ended) -> None:
    """Print the red checks of runs on stderr, and the damaged objects with when they were last right.

    Of a check that is red in several runs, the last run counts.
    """
    red = {check.partition(": ")[0]: check for ended in runs for check in ended.failed_checks}
    for check in red.values():
        output.red(check)
    say_damaged(row for ended in runs for row in ended.damaged)


def say_damaged(rows: Iterable[Mapping[str, object]]) -> None:
    """Print damaged objects on stderr, each once, with when they were last right."""
    told = {}
    for row in rows:
        version = f" ({row['version_id']})" if row["version_id"] else ""
        last = when_right(row["good_at"])
        told[
            f"damaged: {row['key']}{version} of {row['bucket']}: {last}, wrong since {row['damaged_at']}"
        ] = row
    for line, row in told.items():
        typer.echo(printable(line, 2000), err=True)
        output.add("damaged", **row)


def stop_unless_done(ended: Ended) -> None:
    """Print a run's errors, and end the command where the run failed."""
    say_errors(ended)
    if not ended.success:
        stop(ended)


def stop_verified(*runs: Ended) -> NoReturn:
    """Print the red checks of runs that succeeded, and end the command with status 1 if there are any."""
    say_red(*runs)
    raise typer.Exit(max(map(status_of, runs), default=Exit.VERIFIED))


def status_of(ended: Ended) -> Exit:
    """The exit status that a run gives."""
    if not ended.success:
        return Exit.WRONG_USE if ended.wrong_usage else Exit.NOT_DONE
    return Exit.NOT_VERIFIED if ended.failed_checks else Exit.VERIFIED


def stop(ended: Ended) -> NoReturn:
    """End the command with the status of a run that failed."""
    raise typer.Exit(status_of(ended))


def end(status: Exit, message: str) -> NoReturn:
    """End the command with a message on stderr."""
    output.fail(message)
    raise typer.Exit(status)
