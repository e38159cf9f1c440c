"""The verb that starts the platform: the Dagster UI with its daemon, on loopback only."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fixity_cli.shared import CatalogOption, load

verbs = typer.Typer()


@verbs.command()
def dev(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The UI's port on 127.0.0.1.")] = 3000,
    catalog: CatalogOption = None,
) -> None:
    """Start the Dagster UI, and the daemon that runs schedules and sensors. Ctrl-C ends both.

    Only this machine can reach the UI.
    Dagster keeps its runs in DAGSTER_HOME, else in .dagster/ beside the catalog.
    """
    from fixity.catalog import ENVIRONMENT
    from fixity_cli.instance import prepare_home

    loaded = load(catalog)
    home = prepare_home(loaded.file)
    os.environ[ENVIRONMENT] = str(loaded.file)  # the code server reads it too
    typer.echo(f"catalog {loaded.file}, instance {home}: http://127.0.0.1:{port}", err=True)
    sys.stderr.flush()
    # Dagster would have people use a command of another package instead.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    words = [*quiet, "-m", "dagster", "dev", "-w", str(_workspace(home)), "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, *words])


def _workspace(home: Path) -> Path:
    """Copy workspace.yaml into the instance's folder, with the one line that differs by environment.

    Dagster puts a code location's working directory first on Python's path, by default the one that the
    user is in: a jobs.py there would be imported instead of ours. So this names the folder of our packages.
    """
    import yaml

    packaged = Path(__file__).with_name("workspace.yaml")  # in a wheel; a checkout has it at its top
    packages = Path(__file__).resolve().parents[1]
    source = packaged if packaged.exists() else packages / "workspace.yaml"
    workspace = yaml.safe_load(source.read_text(encoding="utf-8"))
    for location in workspace["load_from"]:
        location["python_module"]["working_directory"] = str(packages)
    written = home / "fixity-workspace.yaml"  # a workspace.yaml there is the user's own
    written.write_text(yaml.safe_dump(workspace), encoding="utf-8")
    return written
