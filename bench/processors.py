"""A part of a processor for a process and all that it starts, as a machine of its own would have.

By a control group (version 1, as root). How much a process used is in `measure`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devstack.machines import NotAllowed

_GROUPS = Path("/sys/fs/cgroup/cpu")
_PERIOD = 20_000  # microseconds: short, so that a request waits for no long time
_WEIGHT = 29_154  # as that of a process of the priority -15, which the servers may have


@contextmanager
def own_processor(session: int, share: float) -> Iterator[None]:
    """Give all processes of a session together so much of a processor, for the length of the block.

    Raises NotAllowed where there are no such groups, or we may not make one.
    """
    group = _GROUPS / f"fixity-bench-{session}"
    try:
        group.mkdir()
    except OSError as error:
        raise NotAllowed(
            f"a part of a processor needs root and control groups (version 1): {error}"
        ) from error
    try:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (group / "cpu.shares").write_text(str(_WEIGHT))
        (group / "cpu.cfs_quota_us").write_text(str(int(_PERIOD * share)))
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                if int(file.read_text().rpartition(")")[2].split()[3]) == session:
                    (group / "cgroup.procs").write_text(file.parent.name)
        yield
    finally:
        for process in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (_GROUPS / "cgroup.procs").write_text(process)
        group.rmdir()
