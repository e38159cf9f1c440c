"""`make demo-batch`: jobs, events, tables and the report, by a real daemon, ended by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.demo.test_demo import REPOSITORY, _processes_of


def test_the_whole_flow_runs_by_itself_and_finds_what_was_damaged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.batch"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        "ingest_checksums of stack-letters: SUCCESS (by batch_completion)",
        "ingest_checksums of stack-letters-repl: SUCCESS (by batch_completion)",
        "report_pair of stack-letters: SUCCESS (by report_when_both_sides_are_checked)",
    ):
        assert said in done.stdout
    figures = dict(line.split(":", 1) for line in done.stdout.splitlines() if line.startswith(" " * 8))
    counts = {name.strip(): value.strip() for name, value in figures.items()}
    deposited = re.search(r"(\d+) objects in two buckets", done.stdout)
    assert deposited and counts["total_objects"] == deposited[1]
    assert (counts["mismatches"], counts["failed_source"], counts["missing_replica"]) == ("1", "0", "0")
    assert not _processes_of(tmp_path)
