"""PostgreSQL from Debian's package, on loopback: where Dagster keeps runs and events of several machines.

It does not run as root: there it runs as the user `postgres`, which the package makes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from devstack.server_process import LOOPBACK, ServerProcess

USER = "fixity"  # without a password: nobody else reaches where the server listens
_BINARIES = Path("/usr/lib/postgresql")  # one folder a version
_numbers = count(1)


class PostgresServer(ServerProcess):
    """A server that does not wait for the disk.

    Arguments: `host`, the address where it listens. Raises NotInstalled.
    """

    gentle, at_once = signal.SIGINT, signal.SIGQUIT  # fast and immediate shutdown

    def __init__(self, host: str = LOOPBACK) -> None:
        super().__init__("postgresql", _postgres(), host, "postgres" if os.geteuid() == 0 else None)
        self._data = self.folder / "data"

    def command(self) -> Sequence[str]:
        if not self._data.exists():
            self._run("initdb", f"--pgdata={self._data}", f"--username={USER}", "--auth=trust", "--no-sync")
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\n")
        where = ["-D", str(self._data), "-h", self.host, "-p", str(self.port), "-k", ""]
        return [self.program, *where, "-F", "-c", "full_page_writes=off"]

    def answers(self) -> bool:
        words = [self._beside("pg_isready"), "--quiet", *self._address]
        return subprocess.run(words, check=False).returncode == 0

    def make_database(self) -> str:
        """Make an empty database; returns its name."""
        name = f"dagster_{next(_numbers)}"
        self._run("createdb", *self._address, f"--username={USER}", name)
        return name

    def storage(self, database: str) -> dict[str, Any]:
        """What `storage` is in a dagster.yaml whose runs and events are kept in one of its databases."""
        # SQLAlchemy's own choice would be psycopg 3, and dagster-postgres brings psycopg 2.
        address = {"hostname": self.host, "port": self.port, "scheme": "postgresql+psycopg2"}
        login = {"username": USER, "password": "", "db_name": database}
        return {"postgres": {"postgres_db": {**address, **login}}}

    @property
    def _address(self) -> list[str]:
        return [f"--host={self.host}", f"--port={self.port}"]

    def _beside(self, program: str) -> str:
        return str(Path(self.program).with_name(program))

    def _run(self, program: str, *words: str) -> None:
        command = [self._beside(program), *words]
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.folder)


def _postgres() -> str | None:
    """The newest version's program: Debian does not put it on the path."""
    found = sorted(_BINARIES.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else _resolved(shutil.which("postgres"))


def _resolved(program: str | None) -> str | None:
    """The others lie beside it, and not beside a link to it."""
    return program and str(Path(program).resolve())
