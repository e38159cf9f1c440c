"""The lake's server dies while the command works: it says what happened, what is kept, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import SeaweedFS
from tests.command import run_command

_WAITS_NOT = """
import dagster as dg
from fixity_assets import describe
describe.RETRIES = dg.RetryPolicy(max_retries=1, delay=0)
from fixity_cli.main import main
main()
"""


def _write_catalog(folder: Path, bucket: str, endpoint_url: str) -> None:
    (folder / "fixity.yaml").write_text(
        f"lake: s3://{bucket}/lake\nlake_store: real\n"
        f"stores: {{real: {{endpoint_url: '{endpoint_url}', region: us-east-1}}}}\n"
        "buckets: {a: {path: a}, b: {path: b}}\npairs: {a: {replica: b, replication_lag: 0s}}\n"
    )


@pytest.mark.parametrize(
    ("dies_at", "kept"),
    [
        ("lake/checksums/a/", "what was read of a is kept"),
        ("lake/reports/", "the checks of both buckets are as they were"),
    ],
)
def test_a_verification_whose_lake_dies_ends_in_words_and_goes_on_when_it_is_back(
    tmp_path: Path, seaweedfs: SeaweedFS, make_bucket: Callable[[], str], dies_at: str, kept: str
) -> None:
    bucket = make_bucket()
    for side in "ab":
        (tmp_path / side).mkdir()
        for number in range(5):
            (tmp_path / side / str(number)).write_text(str(number))
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home")}
    with FaultyProxy(seaweedfs.endpoint_url) as proxy:
        _write_catalog(tmp_path, bucket, proxy.endpoint_url)
        command = subprocess.Popen(
            [sys.executable, "-c", _WAITS_NOT, "verify", "a"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 60
        while not any(each.method == "PUT" and each.key.startswith(dies_at) for each in proxy.requests):
            assert command.poll() is None, command.communicate()
            assert time.monotonic() < until, "the command does not come so far"
            time.sleep(0.001)
    output, errors = command.communicate(timeout=200)
    assert command.returncode == 3, errors
    assert "Traceback" not in errors and "bug of fixity" not in errors and "complete" not in output
    assert f"the lake's s3://{bucket}/lake/" in errors
    assert "See whether its store answers: fixity doctor" in errors and kept in errors
    _write_catalog(tmp_path, bucket, seaweedfs.endpoint_url)
    again = run_command(["verify", "a"], tmp_path, environment)
    assert again.returncode == 0 and "Matches:            5" in again.stdout, again.stderr
