"""The Dagster instance of the command line and of `fixity dev`: its folder and its settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SETTINGS = Path(__file__).with_name("dagster.yaml")


def prepare_home(catalog_file: Path) -> Path:
    """Make the folder of the Dagster instance, with this project's settings, and set DAGSTER_HOME to it.

    Arguments: catalog_file: the catalog; the folder is `.dagster` beside it unless DAGSTER_HOME is set.
    Returns: the folder. Settings that are there already stay as they are.
    Raises: OSError, saying what to do, when the folder cannot be made or written.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or catalog_file.with_name(".dagster")).expanduser().absolute()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # runs' logs name objects
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(_SETTINGS, home / "dagster.yaml")
    except OSError as error:
        raise OSError(
            f"{home}: Dagster cannot keep its runs there ({error.strerror}): "
            "set DAGSTER_HOME to a folder that you can write to"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"  # also where the folder has settings of its own
    return home
