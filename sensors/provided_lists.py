"""Takes the list that a bucket's provider has written, when its last file arrives, once for each list.

Every five minutes it looks, for each bucket with `inventory` and a folder of lists, for complete ones (S3
writes `manifest.checksum` last, Google the manifest), and starts `take_inventory` for the newest if it is
newer than the last one that was taken. A list that is refused is not taken again: the inventory before stays
until the next list.
"""

import dagster as dg
from pydantic import TypeAdapter

from fixity.catalog import Catalog
from fixity.errors import BucketUnreachable
from fixity.humanize import printable
from jobs.names import INVENTORY_JOB, LIST_TAG
from sensors.cursors import read_cursor

_CURSOR = TypeAdapter(dict[str, dict[str, str]])


def provided_lists_sensor(catalog: Catalog) -> dg.SensorDefinition:
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
        from fixity.inventories.provider import complete

        seen = read_cursor(context.cursor, dict[str, dict[str, str]], {})
        requests: list[dg.RunRequest] = []
        waiting: list[str] = []
        taken: dict[str, dict[str, str]] = {}
        for bucket in buckets:
            assert bucket.inventory and bucket.inventory.at
            before = seen.get(bucket.name, {}).get(bucket.inventory.at, "")  # of another folder: begun anew
            newest = before
            try:
                names = complete(catalog, bucket)
                newest = max([*names, before])
            except BucketUnreachable as error:
                waiting.append(f"{bucket.name}: {printable(error)}")
            if newest > before:
                requests.append(
                    dg.RunRequest(
                        run_key=f"{bucket.name}:{bucket.inventory.at}/{newest}",
                        partition_key=bucket.name,
                        tags={LIST_TAG: newest},
                    )
                )
            taken[bucket.name] = {bucket.inventory.at: newest}
        for text in waiting:
            context.log.warning(text)
        return dg.SensorResult(
            run_requests=requests,
            cursor=_CURSOR.dump_json(taken).decode(),
            skip_reason=None if requests else "; ".join(waiting) or "no new lists",
        )

    return provided_lists
