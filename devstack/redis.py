"""Redis on loopback, from Debian's package redis-server: the broker of workers."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence

from devstack.server_process import ServerProcess


class RedisServer(ServerProcess):
    """A server that keeps what it was told over a kill, as one of a deployment does. Raises NotInstalled."""

    def __init__(self) -> None:
        super().__init__("redis-server", shutil.which("redis-server"))

    def command(self) -> Sequence[str]:
        of_network = ["--bind", "127.0.0.1", "--port", str(self.port)]
        of_data = ["--dir", str(self.folder), "--save", "", "--appendonly", "yes"]
        return [self.program, *of_network, *of_data]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def url(self, database: int = 0) -> str:
        """The URL of one of its 16 databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"
