"""The sensor that makes `fixity_status`: one run for many changes, none where nothing changed."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from fixity.clock import utc_now
from fixity.incidents.events import OPENED, Event, append
from fixity.lake import open_lake
from fixity.status import Check, Result, keep_result
from jobs.names import STATUS_JOB
from resources import CatalogResource, LakeResource
from sensors.fixity_status import fixity_status_sensor
from tests.platform import PAIR, Platform


def _tick(
    platform: Platform, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[dg.RunRequest], str | None]:
    resources = {"lake": LakeResource(catalog=CatalogResource(file=str(platform.file)))}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        result = fixity_status_sensor()(context)
    if isinstance(result, dg.SkipReason):
        return [], cursor
    assert isinstance(result, dg.SensorResult)
    return list(result.run_requests or ()), result.cursor


def _keep(platform: Platform, run_id: str, passed: bool, bucket: str = PAIR) -> None:
    check = Check("no_damage", passed, "ERROR")
    keep_result(open_lake(platform.catalog), Result("checksums", bucket, run_id, utc_now(), (check,)))


def test_many_changes_bring_one_run_and_no_change_none(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    assert _tick(platform, instance) == ([], None)  # a new lake
    for number in range(5):
        _keep(platform, f"run-{number}", True, f"{PAIR}-{number}")
    asked, cursor = _tick(platform, instance)
    assert len(asked) == 1 and _tick(platform, instance, cursor) == ([], cursor)
    _keep(platform, "another", False)
    asked, cursor = _tick(platform, instance, cursor)
    assert len(asked) == 1
    incident = Event("i", OPENED, utc_now() - timedelta(hours=1), run_id="r", bucket=PAIR, key="k")
    append(open_lake(platform.catalog), [incident])
    asked, cursor = _tick(platform, instance, cursor)
    assert len(asked) == 1 and _tick(platform, instance, cursor) == ([], cursor)


def test_while_a_run_goes_on_the_changes_are_left_to_the_next(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    _keep(platform, "1", True)
    job = platform.definitions().resolve_job_def(STATUS_JOB)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert _tick(platform, instance) == ([], None)
    instance.report_run_canceled(run)
    assert len(_tick(platform, instance)[0]) == 1
