"""Which process executes a run: a file for each run, which the process locks for as long as it lives.

The lock goes with the process, however that ends. What a process executes does not belong here.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

# Not in `jobs.names`: the daemon would import a jobs.py of the user's.
PROCESS_TAG = "dagster/fixity_process"
"""A run's tag, which the UI shows among those of Dagster: the file of its process."""


def process_file(home: str | Path, run_id: str) -> Path:
    """The file of a run's process, in the folder of the Dagster instance."""
    return Path(home) / "processes" / run_id


def process_of(run_id: str, tags: Mapping[str, str]) -> Path | None:
    """The file of a run's process by the run's tags; None if nothing is known of the process.

    A re-execution has the tags of the first run until it is started.
    """
    file = Path(tags.get(PROCESS_TAG, ""))
    return file if file.name == run_id else None


@contextmanager
def executing(file: Path) -> Iterator[None]:
    """Say that this process executes the run of the file, for the length of a `with` block."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(str(os.getpid()))
        held.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def is_executed(file: Path) -> bool:
    """Whether a process of this machine executes the run of the file."""
    try:
        with file.open() as seen:
            fcntl.flock(seen, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def interrupt(file: Path) -> bool:
    """Interrupt the process that executes the run of the file. Returns whether there is one."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        if is_executed(file):
            os.kill(int(file.read_text()), signal.SIGINT)
            return True
    return False
