"""The verb `fixity status`: whether everything is verified, from what is kept of the last checks.

It reads no object and starts no run. What the status says does not belong here; that is in `fixity.status`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from fixity.humanize import printable
from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, Exit, known, load

verbs = typer.Typer()
_LONGEST = 300  # characters of what is wrong


@verbs.command(epilog=STATUS_HELP)
def status(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these buckets and pairs. Default: all."),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Show whether all buckets and pairs are verified, and what to do where they are not.

    Status 1 if any is a `problem` or `unknown`, or if the log is broken; a `warning` is status 0. Reads no
    object, starts no run.
    """
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.status import COLOURS, VERIFIED, status_of
    from fixity.status.advice import facts, finding_text, log_facts, summary_line, to_do, wrong_with

    loaded = load(catalog)
    for name in names or ():
        known(name, [*loaded.buckets, *loaded.compared], "bucket or pair")
    found = status_of(open_lake(loaded), loaded, utc_now())
    if names:
        found = found.only(names)
    output.say(summary_line(found))
    for finding in found.platform:
        output.red(finding_text(finding))
    for note in found.notes:
        output.warn(note)
    if found.log is not None:
        text = f"{found.log.state:<9} log     {log_facts(found.log, found.at)}"
        output.row(text, kind="log", name="log", **asdict(found.log), colour=COLOURS[found.log.state])
    for row in found.rows:
        next_step = to_do(row, loaded)
        lines = [f"{row.state:<9} {row.kind:<7} {row.name:<24} {facts(row, found.at)}"]
        lines += [f"          {printable(text, _LONGEST)}" for text in wrong_with(row)]
        lines += [f"          To do: {next_step}"] if next_step else []
        output.row("\n".join(lines), **asdict(row), colour=COLOURS[row.state], to_do=next_step)
    if found.state != VERIFIED:
        output.say("What a word means and what to do about it: fixity explain WORD")
    raise typer.Exit(Exit.VERIFIED if found.is_verified else Exit.NOT_VERIFIED)
