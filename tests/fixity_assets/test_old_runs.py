"""Old runs are deleted from Dagster, but none that anybody still looks at; the lake stays as it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from fixity.catalog import CatalogError, load_catalog
from fixity.clock import utc_now
from fixity.lake import open_lake
from fixity.status import Result, keep_result
from fixity_assets import old_runs
from fixity_assets.definitions import build_definitions
from jobs.names import CHECKSUMS_JOB, DELETE_RUNS_JOB


def run(file: Path, instance: dg.DagsterInstance, job: str, bucket: str | None = None) -> str:
    """Run a job of the catalog; returns its run's id."""
    found = build_definitions(load_catalog(file)).resolve_job_def(job)
    done = found.execute_in_process(instance=instance, partition_key=bucket)
    assert done.success
    return done.run_id


def write(folder: Path, **more: object) -> Path:
    file = folder / "fixity.yaml"
    said = {"lake": "./lake", "keep_runs": "400d", "buckets": {"a": {"path": "a"}, "b": {"path": "b"}}}
    file.write_text(yaml.safe_dump({**said, **more}))
    return file


def test_runs_go_after_their_time_but_for_the_newest_of_each_bucket_and_those_that_go_on(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "letter").write_text(name)
    file = write(tmp_path)
    first, second, of_b = (run(file, instance, CHECKSUMS_JOB, bucket) for bucket in "aab")
    goes_on = instance.create_run_for_job(old_runs.delete_old_runs, status=dg.DagsterRunStatus.STARTED).run_id
    lake = open_lake(load_catalog(file))
    kept = [file.name for file in lake.list("")]
    run(file, instance, DELETE_RUNS_JOB)
    assert {first, second, of_b, goes_on} < {each.run_id for each in instance.get_runs()}  # all are young
    later = utc_now() + timedelta(days=401)
    monkeypatch.setattr(old_runs, "utc_now", lambda: later)
    last = run(file, instance, DELETE_RUNS_JOB)
    assert {each.run_id for each in instance.get_runs()} == {second, of_b, goes_on, last}
    assert instance.all_logs(first) == [] and instance.all_logs(second) != []
    assert [file.name for file in lake.list("")] == kept


def test_where_the_lake_has_a_log_no_run_goes_before_all_that_was_kept_is_sealed(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    file = write(tmp_path, log={"key": "key.pem"}, buckets={"a": {"path": "a"}})
    old = run(file, instance, DELETE_RUNS_JOB)
    monkeypatch.setattr(old_runs, "utc_now", lambda: utc_now() + timedelta(days=401))
    lake = open_lake(load_catalog(file))
    for sealed_at, waiting, stays in (
        (None, 0, True),
        (utc_now() - timedelta(hours=1), 0, True),
        (utc_now(), 3, True),
        (utc_now() + timedelta(seconds=5), 0, False),
    ):
        if sealed_at is not None:
            counts = {"seals": 1, "waiting": waiting}
            keep_result(lake, Result("log", None, "r", sealed_at, counts=counts))
        run(file, instance, DELETE_RUNS_JOB)
        assert (instance.get_run_by_id(old) is not None) is stays, (sealed_at, waiting)


def test_without_a_time_there_is_no_such_job_and_a_short_time_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, keep_runs=None)
    names = {job.name for job in build_definitions(load_catalog(file)).jobs or ()}
    assert DELETE_RUNS_JOB not in names
    with pytest.raises(CatalogError, match="keep_runs: that is too short"):
        load_catalog(write(tmp_path, keep_runs="7d"))
