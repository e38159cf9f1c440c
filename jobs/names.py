"""Names that assets, jobs, sensors and the command line share: of jobs and assets, of tags and metadata.

What a job does belongs to `jobs`, what an asset computes to `fixity_assets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

INVENTORY_JOB = "take_inventory"
CHECKSUMS_JOB = "check_bucket"
REPORT_JOB = "report_pair"
REQUEST_JOB = "request_checksums"
INGEST_JOB = "ingest_checksums"
ROLL_JOB = "roll"
PREMIS_JOB = "export_premis"
COVERAGE_JOB = "coverage_of_buckets"
INCIDENTS_JOB = "list_incidents"
INGEST_BUCKET_JOB = "ingest_bucket"
INGEST_SELECTED_JOB = "ingest_selected"
RESTORE_JOB = "restore_bucket"
MAP_RESULTS_JOB = "gather_map_results"
REPAIR_JOB = "repair"
DRILL_JOB = "drill"
SEAL_JOB = "seal_log"
STATUS_JOB = "make_status"
DELETE_RUNS_JOB = "delete_old_runs"

STATUS_ASSET = "fixity_status"
PAGES_ASSET = "pages"
REPORT_ASSET = "fixity_report"
REPAIR_ASSET = "repairs"
DRILLS_ASSET = "drills"
RESTORED_ASSET = "restored"
MAP_RESULTS_ASSET = "map_results"
CHECKSUM_JOB_ASSET = "checksum_job"
INCIDENTS_ASSET = "incidents"
LOG_ASSET = "log"

SOURCE_RUN, REPLICA_RUN = "source_run_id", "replica_run_id"
"""Metadata of a pair's report: the runs whose tables it compares."""


def runs_compared(buckets: Sequence[str]) -> list[str]:
    """Metadata of a report of these buckets: the run whose table it compares, of each."""
    _, *replicas = buckets
    names = [REPLICA_RUN] if len(replicas) == 1 else [f"{REPLICA_RUN}_{each}" for each in replicas]
    return [SOURCE_RUN, *names]


FIRST_SUSPECTS = 10
"""How many rows that say that something is wrong a report's metadata and the command show."""

READ_BY_S3 = "to_be_read_again_by_s3"  # metadata: how many objects S3 is to read, since the platform cannot
NOT_REPORTED = "not_reported"  # metadata of a repair: why the pair was not reported after it
LOOKED_AGAIN, TURNED_OUT_RIGHT, SUSPECTS = "looked_again", "turned_out_right", "suspects"
"""Metadata of a report: how many rows were looked at again, how many of them are ok now, and the first rows
that still say that something is wrong."""

ROLLING = "cut_short"
"""Metadata by which a materialization of `checksums` is known to be a batch of rolling checks."""

TAKEN_OVER = "taken_over"
"""Metadata of `checksums`: how many checks were made by interrupted runs, and taken over."""


def roll_config(items: int | None = None, keys: Sequence[str] = ()) -> dict[str, Any]:
    """The config of a run of `checksums` over what is due (at most so many objects), or over these keys."""
    said = {"objects": "due", **({"items": items} if items else {}), **({"keys": list(keys)} if keys else {})}
    return {"ops": {"checksums": {"config": said}}}


WRONG_USAGE = "wrong_usage"
"""Metadata of a failure that the catalog or the launchpad's config causes: the user must change it."""

READY, LOOK_AGAIN_AT = "ready_selection", "look_again_at"
"""Metadata for the sensor: the list of objects that can be read, and when to look again."""

MAP_RUNS = dg.DynamicPartitionsDefinition(name="map_runs")
"""Map runs by `<consignment id>/<random id>`; the sensor adds them as their manifests appear."""


REFUSED = "fixity/refused"
"""The tag of a run whose results were refused: another attempt would end the same way."""

REQUEST_TAG = "fixity/request"
"""A run's tag: the token of the waiting request that it submits."""

JOB_TAG = "fixity/job_id"
"""A run's tag: the S3 Batch job whose report it loads. Without it, the bucket's newest job."""


COMPUTE_TAG = "fixity/compute_job_id"
"""A run's tag: the AWS Batch job whose report it loads."""

LIST_TAG = "fixity/list"
"""A run's tag: the name of the provider's list that it takes. Without it, the newest."""

SELECTION = "fixity/selection"
"""The tag of a run that names its list of objects."""
