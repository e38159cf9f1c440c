"""Starts `fixity dev`: webserver, daemon and code server of a catalog, on loopback.

The servers that the platform talks to do not belong here.
"""

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
    """A running Dagster, with its GraphQL interface.

    Arguments: `pid`, of the process that started all; `now`, seconds of a clock, and `sleep`, which waits.
    """

    def __init__(
        self,
        url: str,
        log: Path,
        pid: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self.log = log
        self.pid = pid
        self._now = now
        self._sleep = sleep

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Send a GraphQL query, and return its data. Raises AssertionError with the server's errors."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        data: dict[str, Any] = content["data"]
        return data

    def wait_for(
        self,
        look: Callable[[], _Found | None],
        what: str,
        timeout: float = 120.0,
        progress: Callable[[], object] = lambda: None,
    ) -> _Found:
        """Call `look` every half second until it returns something true.

        Arguments: `timeout`, in seconds; `progress` says how far it is, and the time begins anew whenever
        that changes. Raises AssertionError, with the end of the log.
        """
        seen: object = None
        next_asked = self._now()  # seldom: what is asked takes time of the server, which may be measured
        deadline = next_asked + timeout
        while self._now() < deadline:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                found = look()
                if found:
                    return found
                if self._now() >= next_asked:
                    next_asked = self._now() + timeout / 6
                    if (so_far := progress()) != seen:
                        seen, deadline = so_far, self._now() + timeout
            self._sleep(0.5)
        far = "" if seen is None else f" after {seen}"
        raise AssertionError(f"no {what} within {timeout:.0f} s{far}:\n{self.log.read_text()[-4000:]}")


@contextlib.contextmanager
def dagster_dev(folder: Path, catalog: Path, port: int | None = None) -> Iterator[DagsterDev]:
    """Run `fixity dev` for the length of a `with` block; `folder` holds its instance and log.

    Arguments: `port` of the UI, by default any that is free.
    """
    if port is None:
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
            # If the parent shell ignores SIGINT, the process would ignore it too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    dev = DagsterDev(f"http://127.0.0.1:{port}", log, process.pid)
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
