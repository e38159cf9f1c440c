"""The verb `fixity premis`: PREMIS events on stdout."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, BucketArgument, CatalogOption, Exit, end, load_bucket

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def premis(
    bucket: BucketArgument,
    key: Annotated[str | None, typer.Option("--key", help="Print only the events of this object.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="DATE", help="Print only events since this date (UTC), such as 2026-01-31."
        ),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Print the events of a bucket as one PREMIS 3 document in XML.

    One for each check, and for each object that was deleted, repaired or replicated.
    """
    from datetime import UTC, datetime

    from fixity.lake import open_lake
    from fixity.reports.premis import Choice, Subject, print_events

    loaded, _ = load_bucket(catalog, bucket)
    try:
        first = datetime.fromisoformat(since) if since else None
    except ValueError:
        end(Exit.WRONG_USE, f"'{since}' is not a date: write it as 2026-01-31 or 2026-01-31T12:00")
    if first and first.tzinfo is None:
        first = first.replace(tzinfo=UTC)
    out = sys.stdout.buffer
    print_events(open_lake(loaded), Subject.of(loaded, bucket), out, Choice(key, first), output.warn)
    out.flush()
