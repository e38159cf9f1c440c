"""The verb `fixity metrics`: numbers for Prometheus, from what is kept of the last checks.

It reads no object and starts no run. Which numbers there are does not belong here; it is in
`fixity.metrics`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, Exit, end, load

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def metrics(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.prom",
            dir_okay=False,
            help="Write a file for node_exporter's textfile collector, which appears whole; not stdout.",
        ),
    ] = None,
    runs: Annotated[
        bool, typer.Option("--runs", help="Also how many runs of Dagster have not ended.")
    ] = False,
    catalog: CatalogOption = None,
) -> None:
    """Print numbers for Prometheus: states, coverage, incidents, ages of evidence, what waits, bytes.

    Status 0 whatever they say; 3, and no number, if the lake keeps no result, as when its disk is away. Reads
    no object, starts no run. Watch `fixity_made_timestamp_seconds` too: it grows old if nobody makes them.
    """
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.metrics import metrics_text, write_metrics
    from fixity.status import keeps_results, status_of
    from fixity_cli.instance import home_of

    if out is not None and out.suffix != ".prom":
        end(Exit.WRONG_USE, f"{out}: the textfile collector reads only files whose names end in .prom")
    loaded = load(catalog)
    lake = open_lake(loaded)
    if not keeps_results(lake):  # zeros would say that nothing is wrong
        where = lake.location("")
        end(Exit.NOT_DONE, f"{where} keeps no result of any run: mount its disk, or check a bucket first")
    status = status_of(lake, loaded, utc_now())
    counted = None
    if runs:
        from fixity_cli.deployment import unfinished_runs

        counted = unfinished_runs(home_of(loaded.file))
    if out is None:
        output.show(metrics_text(status, counted).rstrip("\n"))
    else:
        write_metrics(out, status, counted)
