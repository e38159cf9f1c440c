"""The verb `fixity page`: makes the pages for people. What they show does not belong here."""

from __future__ import annotations

from typing import Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, known, load

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def page(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Buckets and pairs whose pages are made in any case. Default: only what changed.",
        ),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Make the pages of all buckets, pairs and incidents: HTML files in the lake, for any browser.

    They show what is known already; nothing is read or compared.
    """
    from fixity.lake import open_lake
    from fixity.pages import INDEX, make_pages

    loaded = load(catalog)
    for name in names or ():
        known(name, [*loaded.buckets, *loaded.compared], "bucket or pair")
    lake = open_lake(loaded)
    made = make_pages(lake, loaded, names or ())
    for each in made:
        output.row(page=lake.location(each))
    output.note(f"{len(made):,} pages were made")
    output.place("First page", lake.location(INDEX))
