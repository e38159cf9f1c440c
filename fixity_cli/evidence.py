"""The verb `fixity evidence`: the package for an auditor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fixity.humanize import printable
from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, Exit, end, known, load, print_figures

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def evidence(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The package: a new folder, or a new file that ends in .zip."),
    ],
    since: Annotated[
        str, typer.Option("--since", metavar="DATE", help="From this date (UTC) on, such as 2026-01-01.")
    ],
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DATE", help="To the end of this date (UTC). Default: until now."),
    ] = None,
    bucket: Annotated[
        list[str] | None,
        typer.Option("--bucket", help="Only this bucket and its pairs; give it once for each. Default: all."),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Make the package for an auditor: a BagIt bag with all evidence of a period, and how to verify it.

    It appears whole or not at all. Status 1 if something is wrong: the package says what.
    """
    from fixity.clock import utc_now
    from fixity.evidence.make import make_package
    from fixity.evidence.order import Order
    from fixity.lake import open_lake

    loaded = load(catalog)
    for each in bucket or ():
        known(each, loaded.buckets, "bucket")
    order = Order.of(loaded, since, until, tuple(dict.fromkeys(bucket or ())), utc_now())
    try:
        package = make_package(open_lake(loaded), loaded, order, out, output.progress)
    except OSError as error:
        end(Exit.NOT_DONE, f"{out} cannot be written: {error.strerror or error}")
    print_figures(
        f"Evidence from {order.since:%Y-%m-%d %H:%M} to {order.until:%Y-%m-%d %H:%M} UTC",
        {
            "Buckets": len(order.buckets),
            "Objects": sum(row["objects"] for row in package.last_coverage),
            "Incidents": len(package.figures["incidents"]),
            "Drills": len(package.figures["drills"]),
        },
        of=str(out),
    )
    output.place("Package", out)
    for file, problem in package.problems:
        output.warn(printable(f"{file}: {problem}"))
    for text in package.notes:
        output.warn(printable(text))
    for text in package.wrong:
        output.red(text)
    raise typer.Exit(Exit.NOT_VERIFIED if package.wrong else Exit.VERIFIED)
