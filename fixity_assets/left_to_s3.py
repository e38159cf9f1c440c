"""Has S3 read again what differs and the platform could not read, in buckets that S3 checks.

The request waits in the lake for the sensor `batch_reconciliation`. What is to be read does not belong here.
"""

from collections.abc import Callable

import dagster as dg

from fixity.catalog import Bucket
from fixity.engines.s3_batch.job_records import Waiting
from fixity.errors import FixityError
from fixity.humanize import printable
from fixity.lake import Lake
from resources import S3ControlResource, StoresResource


def left_to_s3(
    context: dg.AssetExecutionContext,
    stores: StoresResource,
    name: str,
    note: Callable[[Lake, Bucket], Waiting | None],
) -> int:
    """How many objects of a bucket S3 is asked to read again. A request that fails is told, and no error.

    Arguments: `note` keeps the request, and is given the report bucket and the bucket.
    """
    control = S3ControlResource(catalog=stores.catalog)
    if not control.checks(name):
        return 0
    try:
        waiting = note(control.reports(name), stores.catalog.bucket(name))
    except FixityError as error:
        text = f"{name}: S3 was not asked to read what could not be read twice: {error}"
        context.log.warning(printable(text, 2000))
        return 0
    return (waiting.objects or 0) if waiting else 0
