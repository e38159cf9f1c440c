"""`dagster dev` as `fixity dev` starts it: webserver, daemon and code server of a catalog, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from devstack.seaweedfs import free_ports

_Found = TypeVar("_Found")


class DagsterDev:
    """A running Dagster, spoken to through GraphQL."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Send a GraphQL query; returns its data. Raises AssertionError with the server's errors."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            said = json.load(answer)
        assert "errors" not in said, said["errors"]
        data: dict[str, Any] = said["data"]
        return data

    def wait_for(self, look: Callable[[], _Found | None], what: str, timeout: float = 120.0) -> _Found:
        """Look again every half second until there is something; `timeout` in seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                found = look()
                if found:
                    return found
            time.sleep(0.5)
        raise AssertionError(f"no {what} within {timeout:.0f} s:\n{self.log.read_text()[-4000:]}")


@contextlib.contextmanager
def dagster_dev(folder: Path, catalog: Path) -> Iterator[DagsterDev]:
    """Run `fixity dev` within a `with` block; `folder` holds its instance and log."""
    (port,) = free_ports(1)
    log = folder / "dagster-dev.log"
    environment = {**os.environ, "DAGSTER_HOME": str(folder / "home")}
    words = ["dev", "--port", str(port), "--catalog", str(catalog)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("fixity")), *words],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Started from a shell that ignores SIGINT, it would ignore every signal to end.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    dev = DagsterDev(f"http://127.0.0.1:{port}", log)
    try:
        dev.wait_for(
            lambda: dev.ask("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")[
                "workspaceOrError"
            ].get("locationEntries"),
            "webserver",
        )
        yield dev
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
