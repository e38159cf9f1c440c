"""The verb `fixity map-results`: gathers the results of a map run by hand, as the Lambda does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, load

verbs = typer.Typer()


@verbs.command("map-results", epilog=STATUS_HELP)
def map_results(
    manifest: Annotated[
        str, typer.Argument(metavar="S3-URL", help="A map run's manifest, s3://bucket/…/manifest.json.")
    ],
    on_failed: Annotated[
        Literal["refuse", "include"] | None,
        typer.Option(
            help="If executions failed: refuse, or list them under `failed`. Default: as in the catalog."
        ),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            "--catalog",
            metavar="FILE",
            help="The catalog. Default: the file in FIXITY_CATALOG, else fixity.yaml here, else none.",
        ),
    ] = None,
) -> None:
    """Gather the results of a map run into one object, and print its key and bucket as JSON.

    Keeps no checks. To keep them, materialize map_results in the UI.
    """
    from fixity.catalog import ENVIRONMENT, FILE_NAME
    from fixity.engines.step_functions.handler import gather_at

    named = catalog is not None or os.environ.get(ENVIRONMENT) or Path(FILE_NAME).is_file()
    loaded = load(catalog) if named else None
    gathered = gather_at(manifest, loaded, on_failed)
    output.row(json.dumps(gathered.message), **gathered.message)
