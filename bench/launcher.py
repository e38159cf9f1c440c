"""Runs one command and says what it used, as JSON: CPU and wall seconds, peak memory in bytes.

A program by itself, small on purpose: Linux counts the memory of whoever starts a process towards
the peak of that process, and the benchmarks' own process holds boto3 and Arrow.

Usage: python -I -S launcher.py OUTPUT ERRORS COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(output: str, errors: str, command: list[str]) -> int:
    """Run `command`, its stdout and stderr in the files `output` and `errors`; returns its exit status."""
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, writing, 0o644),
        (os.POSIX_SPAWN_OPEN, 2, errors, writing, 0o644),
    ]
    begun = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=files)
    _, status, used = os.wait4(process, 0)
    wall = time.perf_counter() - begun
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "wall": wall, "peak": used.ru_maxrss * 1024}))
    return abs(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
