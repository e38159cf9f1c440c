"""The Dagster instance of the command line and of `make dev`: DAGSTER_HOME, else `.dagster/` here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_TEMPLATE = Path(__file__).resolve().parent.parent / "dagster.yaml"


def prepare_home() -> Path:
    """Set DAGSTER_HOME where it is not set, make the folder, and give it this project's settings.

    Returns the folder. Settings that are there already stay as they are.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or ".dagster").expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists() and _TEMPLATE.exists():
        shutil.copyfile(_TEMPLATE, home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"  # also where the folder has settings of its own
    return home
