"""Redis from Debian's package redis-server, on loopback: the broker of workers."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence

from devstack.server_process import LOOPBACK, ServerProcess


class RedisServer(ServerProcess):
    """A server that keeps what it was told over a kill, as one of a deployment does.

    Arguments: `host`, the address where it listens. Raises NotInstalled.
    """

    def __init__(self, host: str = LOOPBACK) -> None:
        super().__init__("redis-server", shutil.which("redis-server"), host)

    def command(self) -> Sequence[str]:
        of_network = ["--bind", self.host, "--port", str(self.port), "--protected-mode", "no"]
        of_data = ["--dir", str(self.folder), "--save", "", "--appendonly", "yes"]
        return [self.program, *of_network, *of_data]

    def answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def url(self, database: int = 0) -> str:
        """The URL of one of its 16 databases."""
        return f"redis://{self.host}:{self.port}/{database}"
