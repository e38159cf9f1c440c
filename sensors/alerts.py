"""Tells people when something goes wrong, and when it is right again, as `alerts` in the catalog says.

Every minute it looks whether a result of asset checks or an event of an incident was added to the lake, by
the daemon, the command or a person. If so, and every five minutes anyway, it sends what is due. An incident,
a check or a run is told once, and a target gets one message an hour at most. A target that is down is tried
again. Then it asks the heartbeat's URL, if batches, sensors, coverage and all targets work. It also keeps
for `fixity status` that the daemon ticks.
"""

from datetime import datetime, timedelta

import dagster as dg

from fixity.alerts import ask, note_heartbeat, note_tick, send, tell
from fixity.catalog import Catalog
from fixity.clock import EPOCH, utc_now
from jobs.runs import UNFINISHED
from resources import LakeResource
from sensors.cursors import read_cursor
from sensors.fixity_status import state_of_results

NAME = "alerts"
EVERY = timedelta(minutes=5)
"""How often it looks, also if nothing was added."""
_RETRY_WITHIN = timedelta(hours=1)
_LATE = 10  # intervals of a sensor, or minutes
_WILL_RETRY, _RETRIED_BY = "dagster/will_retry", "dagster/auto_retry_run_id"


def alerts_sensor(catalog: Catalog) -> dg.SensorDefinition:
    """The sensor `alerts`."""

    @dg.sensor(
        name=NAME,
        description=__doc__,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        target=[],
    )
    def alerts(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        now, kept_in = utc_now(), lake.open()
        found, last = (
            state_of_results(kept_in) or "",
            read_cursor(context.cursor, tuple[str, datetime], ("", EPOCH)),
        )
        if last[0] == found and timedelta(0) <= now - last[1] < EVERY:
            return dg.SensorResult(skip_reason="nothing was added", cursor=context.cursor)
        note_tick(kept_in, now)
        text = "the catalog has no alerts"
        if catalog.alerts is not None:
            told = tell(kept_in, catalog, now, send, lambda run_id: is_final(context.instance, run_id, now))
            late = late_sensors(context, now)
            said = [f"told {name}" for name in told.sent]
            said += [f"{name} is down: {why}" for name, why in told.down.items()]
            said += [f"the sensor {name} is late or fails" for name in late]
            if catalog.alerts.heartbeat is not None and told.on_time and not late:
                why = ask(catalog.alerts.heartbeat)
                note_heartbeat(kept_in, why, now)
                said += [f"the heartbeat's URL was not asked: {why}" if why else "heartbeat"]
            text = "; ".join(said) or "nothing to tell"
        return dg.SensorResult(skip_reason=text, cursor=f'["{found}", "{now.isoformat()}"]')

    return alerts


def is_final(instance: dg.DagsterInstance, run_id: str, now: datetime) -> bool:
    """Whether a failed run is not tried again by Dagster itself, at a time (UTC)."""
    record = instance.get_run_record_by_id(run_id) if run_id else None
    if record is None or record.dagster_run.tags.get(_WILL_RETRY) != "true":
        return True
    retry = instance.get_run_by_id(record.dagster_run.tags.get(_RETRIED_BY, ""))
    if retry is None:  # not begun yet
        return now.timestamp() - (record.end_time or 0) > _RETRY_WITHIN.total_seconds()
    return retry.status not in UNFINISHED


def late_sensors(context: dg.SensorEvaluationContext, now: datetime) -> list[str]:
    """The sensors that run, and whose last tick failed or was too long ago."""
    sensors = context.repository_def.sensor_defs if context.repository_def else ()
    known = {each.name: each.minimum_interval_seconds or 30 for each in sensors if each.name != NAME}
    late = []
    for state in context.instance.all_instigator_state() if known else ():
        if state.instigator_name not in known or not state.is_running:
            continue
        ticks = context.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        allowed = _LATE * max(known[state.instigator_name], 60)
        if any(
            tick.status.value == "FAILURE" or now.timestamp() - tick.timestamp > allowed for tick in ticks
        ):
            late.append(state.instigator_name)
    return late
