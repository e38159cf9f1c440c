"""The verb `fixity map-results`: the results of a map run by hand, as the Lambda gathers them."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fixity_cli.shared import STATUS_HELP, load

verbs = typer.Typer()


class OnFailed(StrEnum):
    """What to do where executions failed."""

    REFUSE = "refuse"
    INCLUDE = "include"


@verbs.command("map-results", epilog=STATUS_HELP)
def map_results(
    manifest: Annotated[
        str, typer.Argument(metavar="S3-URL", help="A map run's manifest, s3://bucket/…/manifest.json.")
    ],
    on_failed: Annotated[
        OnFailed | None,
        typer.Option(help="Where executions failed: refuse, or list them beside. Else as in the catalog."),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            "--catalog",
            metavar="FILE",
            help="The catalog; else the file that FIXITY_CATALOG names, else fixity.yaml here, else none.",
        ),
    ] = None,
) -> None:
    """Gather the results of a map run into one object, and print its key and bucket as JSON.

    Keeps no checks: materialize map_results in the UI for that.
    """
    from fixity.catalog import ENVIRONMENT, FILE_NAME
    from fixity.engines.step_functions.handler import gather_at

    named = catalog is not None or os.environ.get(ENVIRONMENT) or Path(FILE_NAME).is_file()
    loaded = load(catalog) if named else None
    gathered = gather_at(manifest, loaded, on_failed.value if on_failed else None)
    typer.echo(json.dumps(gathered.message))
