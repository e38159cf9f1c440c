"""Repairs in processes of their own, each of which ends itself with SIGKILL at a given effect.

It reads lines `CATALOG RUN_ID POINT` and answers each with a number: how many effects there were, or -1 if
the process was killed before the one numbered POINT; 0 kills none. An effect is a file that is opened for
writing, renamed, linked, removed or written to, and a request that writes, before and after it is sent. Each
repair is forked off one process, so that the imports cost time only once.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from botocore.httpsession import URLLib3Session

import fixity.buckets.s3.writer  # noqa: F401 - else each repair imports it anew
from fixity.buckets import local_writer
from fixity.catalog import load_catalog
from fixity.lake import open_lake
from fixity.repair import Order, RepairRun, repair
from fixity.repair.sides import open_side
from fixity.rolling.lease import Lease

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Effects:
    """Counts the effects on a folder and on stores, and ends the process before the one numbered `point`."""

    def __init__(self, folder: str, point: int) -> None:
        self.folder, self.point, self.count = folder, point, 0

    def one(self) -> None:
        self.count += 1
        if self.count == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(given[2], int) or not given[2] & WRITES:
                return
        elif event not in EVENTS:
            return
        if isinstance(given[0], str | os.PathLike) and os.fspath(given[0]).startswith(self.folder):
            self.one()

    def watch(self) -> None:
        send, update = URLLib3Session.send, local_writer._FileUpload.update

        def sending(session: URLLib3Session, request: Any) -> Any:
            if request.method not in ("GET", "HEAD"):
                self.one()
                answer = send(session, request)
                self.one()
                return answer
            return send(session, request)

        def updating(upload: local_writer._FileUpload, piece: memoryview) -> None:
            update(upload, piece[: len(piece) // 2])
            self.one()
            update(upload, piece[len(piece) // 2 :])

        sessions: Any = URLLib3Session
        uploads: Any = local_writer._FileUpload
        sessions.send, uploads.update = sending, updating
        sys.addaudithook(self.audit)


def run(file: Path, run_id: str, point: int) -> int:
    """Repair the pair `p`; returns the number of effects."""
    effects = Effects(str(file.parent), point)
    effects.watch()
    leases: Any = Lease
    leases.is_alive = lambda lease, now: False  # of those killed before
    catalog = load_catalog(file)
    with ExitStack() as opened:
        sides = {name: opened.enter_context(open_side(catalog, catalog.buckets[name], 2)) for name in "ab"}
        repair(Order(catalog.pairs["p"]), RepairRun(open_lake(catalog), run_id, sides))
    return effects.count


def main() -> None:
    for line in sys.stdin:
        file, run_id, point = line.split()
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writes, str(run(Path(file), run_id, int(point))).encode())
            os._exit(0)
        os.close(writes)
        _, status = os.waitpid(child, 0)
        said = os.read(reads, 100).decode()
        os.close(reads)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            said = "-1"
        print(said or "failed", flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
