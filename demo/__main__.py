"""`make demo`: a source and its replica on a real S3 server, damaged on purpose; report, repair, the log.

At the end it starts the UI, and goes on until Ctrl-C, so that everything in the UI can be tried. Without a
terminal, or with `--exit`, it ends by itself. Everything is in .demo/. The server's data is made anew each
time. The catalog, the lake and the Dagster instance stay, so the UI shows the reports of earlier runs too.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from demo.collection import make_collection
from demo.spoiling import fill, spoil
from devstack.dagster_dev import dagster_dev
from devstack.seaweedfs import SeaweedFS
from fixity.catalog import load_catalog
from fixity.incidents.state import incidents_now
from fixity.lake import open_lake
from fixity_cli.main import app

HOME = Path(".demo").absolute()
FILE = HOME / "fixity.yaml"
SOURCE, REPLICA = "collection", "collection-repl"
CATALOG = """\
lake: ./lake
log: {{key: log-key.pem, witness: ./witness}}  # a witness of your own is on another machine
stores:
  loopback: {{endpoint_url: {endpoint}, region: us-east-1}}
buckets:
  collection: {{store: loopback, description: The deposited files, owners: ["team:preservation"]}}
  collection-repl: {{store: loopback, description: Its replica, owners: ["team:preservation"]}}
pairs:
  # 0s: the replica was written a moment ago; a longer lag would make its differences `pending`.
  # both: a repair may also write to the source, from which a file is deleted.
  collection: {{replica: collection-repl, replication_lag: 0s, repair: both}}
"""


def demo(
    files: Annotated[Path | None, typer.Option(help="Use copies of the files in this folder.")] = None,
    stay: Annotated[
        bool | None,
        typer.Option("--stay/--exit", help="Show the UI until Ctrl-C, or not. By default, on a terminal."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The UI's port on 127.0.0.1.")] = 3000,
) -> None:
    """Verify and repair a small collection, or copies of the files in a folder, after damaging some."""
    began = time.monotonic()
    files = files and files.expanduser()
    shutil.rmtree(HOME / "server", ignore_errors=True)
    if files is None:
        files = HOME / "files"
        shutil.rmtree(files, ignore_errors=True)
        make_collection(files)
    print("Starting SeaweedFS, a real S3 server, on this machine …", flush=True)
    with SeaweedFS(HOME / "server") as server:
        os.environ.update(server.environment, DAGSTER_HOME=str(HOME / "home"))
        FILE.write_text(CATALOG.format(endpoint=server.endpoint_url))
        (HOME / "witness").mkdir(exist_ok=True)
        (HOME / "server.env").write_text(server.shell_environment)
        keys = fill(server.client(), files, SOURCE, REPLICA)
        print(f"Copied {len(keys)} files from {files} into two buckets. Damage on purpose:")
        for what in spoil(server, keys, SOURCE, REPLICA):
            print(f"  - {what}")
        if not list((HOME / "lake/log/seals").glob("*")):
            print("\nBeginning the log, which proves that the evidence is not edited:")
            _fixity("log", "init")
        print(f"\nVerifying ({time.monotonic() - began:.0f} s after the start):")
        began_verifying = time.monotonic()
        status = _fixity("verify", SOURCE)
        took = time.monotonic() - began_verifying
        if status not in (0, 1):
            sys.exit(f"the verification could not be done (exit status {status})")
        said = "problems found" if status else "all objects match"
        print(f"\nVerified in {took:.1f} s. Status {status}: {said}.")
        _repair()
        _verify_log()
        if sys.stdout.isatty() if stay is None else stay:
            _show_ui(port)
            return
    relative = HOME.relative_to(Path.cwd())
    print(
        f"\nTo see these results in the Dagster UI (http://127.0.0.1:{port}, asset fixity_report), run:\n"
        f"  FIXITY_CATALOG={relative}/fixity.yaml DAGSTER_HOME=$PWD/{relative}/home make dev PORT={port}\n"
        "To materialize assets there, the S3 server must run: use make demo on a terminal."
    )


def _show_ui(port: int) -> None:
    """Show the UI until Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell ignores the first one with `&`
        signal.signal(number, signal.default_int_handler)
    print("\nStarting the Dagster UI …", flush=True)
    try:
        with dagster_dev(HOME, FILE, port) as dev:
            print(
                f"The UI: {dev.url}/assets  Everything in it works until you end it here with Ctrl-C.",
                flush=True,
            )
            signal.pause()
    except KeyboardInterrupt:
        print(f"\nEnded. To begin anew: make demo. All data is in {HOME}; make clean removes it.")


def _repair() -> None:
    """Plan the repair of what was found, carry it out, and show the incident of the first damaged object."""
    lake = open_lake(load_catalog(FILE))
    found = [incident for incident in incidents_now(lake) if not incident.is_over]
    if not found:
        return
    print("\nWhat is wrong is kept as incidents. A repair first shows what it would do:")
    _fixity("repair", SOURCE)
    print("\nThe repair reads each good copy, replaces the bad one, and reads the new one:")
    _fixity("repair", SOURCE, "--apply")
    print("\nThe incident, from detection to its end:")
    _fixity("incident", found[0].id)


def _verify_log() -> None:
    """Seal what the runs kept, verify it, and say how to break it."""
    print("\nAll that these runs kept is sealed, and verified:")
    _fixity("log", "seal")
    _fixity("log", "verify")
    ledger = max((HOME / "lake/checksums" / SOURCE).glob("*.parquet"), key=lambda file: file.stat().st_mtime)
    here = Path.cwd()
    print(
        "\nBreak it and see: change a file of the ledger, and the log names it.\n"
        f"  printf x >> {ledger.relative_to(here)}\n"
        f"  .venv/bin/fixity log verify --catalog {FILE.relative_to(here)}"
    )


def _fixity(*words: str) -> int:
    """Run the command in this process, so that Dagster is loaded once. Returns its exit status."""
    print(f"$ fixity {' '.join(words)}", flush=True)
    return int(app([*words, "--catalog", str(FILE)], standalone_mode=False) or 0)


if __name__ == "__main__":
    HOME.mkdir(exist_ok=True)
    typer.run(demo)
