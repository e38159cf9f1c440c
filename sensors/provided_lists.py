"""Takes the list that a bucket's provider has written, when its last file arrives, once for each list.

Every five minutes it looks, for each bucket with `inventory` and a folder of lists, for complete ones (S3
and Azure write a checksum of the manifest last, Google the manifest), and starts `take_inventory` for the
newest if it is newer than the last one that was taken. If that run fails, it is tried again: 15 minutes
later, then with delays that double, up to 12 hours; until then the inventory before stays. If a provider has
written no list for `inventory.max_age`, the sensor's ticks fail and name the bucket, once what was found of
the others is kept. Lists whose names are of the future, or no time, are passed over with a warning.
"""

from collections.abc import Callable
from datetime import datetime
from itertools import takewhile

import dagster as dg
from pydantic import TypeAdapter

from fixity.catalog import Bucket, Catalog
from fixity.clock import utc_now
from fixity.errors import BucketUnreachable
from fixity.humanize import printable
from jobs.names import INVENTORY_JOB, LIST_TAG
from jobs.runs import UNSUCCESSFUL, due_again
from sensors.cursors import read_cursor

_CURSOR = TypeAdapter(dict[str, dict[str, str]])
_NONE = "0 "
_NONE_SINCE = _NONE + "{:%Y-%m-%dT%H-%M}"
"""What the cursor has instead of the newest list where there is none: when the sensor first looked."""
_RUNS = 12  # of one list: from then on delays do not grow


def provided_lists_sensor(catalog: Catalog, clock: Callable[[], datetime] = utc_now) -> dg.SensorDefinition:
    """The sensor `provided_lists`, over all buckets of the catalog that have `inventory`."""
    buckets = [bucket for bucket in catalog.buckets.values() if bucket.has_lists]

    @dg.sensor(
        name="provided_lists",
        description=__doc__,
        job_name=INVENTORY_JOB,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def provided_lists(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        # boto3 takes a third of a second to import, and most code locations load this for nothing.
        from fixity.inventories.folder import LIST_AHEAD, ListRefused, time_of
        from fixity.inventories.provider import complete

        now = clock()
        seen = read_cursor(context.cursor, dict[str, dict[str, str]], {})
        requests: list[dg.RunRequest] = []
        waiting: list[str] = []
        silent: list[str] = []
        taken: dict[str, dict[str, str]] = {}
        for bucket in buckets:
            assert bucket.inventory and bucket.inventory.at
            before = seen.get(bucket.name, {}).get(bucket.inventory.at, "")  # of another folder: begun anew
            began = time_of(before.removeprefix(_NONE))
            if began is None or began > now + LIST_AHEAD:  # of a wrong clock: it would hide all that come
                before = ""
            newest = before or _NONE_SINCE.format(now)
            names: tuple[str, ...] = ()
            try:
                found = complete(catalog, bucket, now)
                names = found.names
                newest = names[-1] if names else newest  # also where one that was taken is removed
                waiting += [f"{bucket.name}: {note}" for note in found.notes]
            except BucketUnreachable as error:
                waiting.append(f"{bucket.name}: {printable(error)}")
            since = time_of(newest.removeprefix(_NONE)) or now
            is_late = now - since > bucket.inventory.max_age
            run_key = f"{bucket.name}:{bucket.inventory.at}/{newest}"
            if newest == before:
                run_key = "" if is_late else _again(context.instance, bucket, newest, now)
            if newest in names and run_key:
                requests.append(
                    dg.RunRequest(run_key=run_key, partition_key=bucket.name, tags={LIST_TAG: newest})
                )
            taken[bucket.name] = {bucket.inventory.at: newest}
            if is_late:
                silent.append(f"'{bucket.name}' ({bucket.inventory.at}) since {since:%Y-%m-%d %H:%M} UTC")
        for text in waiting:
            context.log.warning(text)
        # Of a tick that fails, Dagster keeps neither the cursor nor requests: such a one has nothing new.
        if silent and not requests and taken == seen:
            raise ListRefused(
                f"no complete list has come for {'; '.join(silent)}, which is longer than "
                "`inventory.max_age`: see whether the provider still writes lists there, or list the bucket "
                "without `inventory`"
            )
        return dg.SensorResult(
            run_requests=requests,
            cursor=_CURSOR.dump_json(taken).decode(),
            skip_reason=None if requests else "; ".join(waiting) or "no new lists",
        )

    return provided_lists


def _again(instance: dg.DagsterInstance, bucket: Bucket, name: str, now: datetime) -> str:
    """The key of a new run for a list whose runs all failed; '' if it is not due."""
    tags = {"dagster/partition": bucket.name, LIST_TAG: name}
    records = instance.get_run_records(dg.RunsFilter(job_name=INVENTORY_JOB, tags=tags), limit=_RUNS)
    failed = list(takewhile(lambda record: record.dagster_run.status in UNSUCCESSFUL, records))
    is_due = bool(failed) and due_again(failed) <= now.timestamp()
    return f"again:{failed[0].dagster_run.run_id}" if is_due else ""
