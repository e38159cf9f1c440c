"""The Dagster UI with its daemon, on loopback only: `make dev`, or `python -m fixity_cli.dev [PORT]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fixity.catalog import ENVIRONMENT, CatalogError, load_catalog
from fixity_cli.instance import prepare_home

_WORKSPACE = Path(__file__).resolve().parent.parent / "workspace.yaml"


def main() -> None:
    """Check the catalog, then become `dagster dev`. Exits with 2 when the catalog is wrong."""
    try:
        catalog = load_catalog()
    except CatalogError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    os.environ[ENVIRONMENT] = str(catalog.file)  # the code server has a working directory of its own
    home = prepare_home()
    port = sys.argv[1] if len(sys.argv) > 1 else "3000"
    sys.stderr.write(f"catalog {catalog.file}, instance {home}: http://127.0.0.1:{port}\n")
    sys.stderr.flush()
    dagster = str(Path(sys.executable).with_name("dagster"))
    os.execv(dagster, [dagster, "dev", "-w", str(_WORKSPACE), "-h", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    main()
