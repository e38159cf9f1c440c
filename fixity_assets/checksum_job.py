"""A job that computes the checksum of every object of a bucket: one of S3 Batch Operations, or your own map.

S3 Batch reads the objects, archived ones too. This may take a week, and no run waits for it. When the job
ends, the sensor `batch_completion` starts a run of `checksums` that loads its report. A request is sent only
once, also if its run is re-executed. If the account already has the maximum of active jobs, the request waits
and nothing is materialized; the sensor `batch_reconciliation` sends it later.

For a bucket with `engine: step_functions` the state machine of `map_results` is started, and the sensor
`results_manifest` finds its results.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from fixity.catalog.map_results import ENGINE as MAP_ENGINE
from fixity.clock import utc_now
from fixity.engines.s3_batch.job_records import waiting_requests
from fixity.engines.s3_batch.request import note_request, requested_job, submit_request
from fixity.rolling.jobs import record_map
from fixity_assets.describe import GROUP, RETRIES, failures_in_plain_words
from fixity_assets.keep_status import keep_status
from jobs.names import CHECKSUM_JOB_ASSET, REQUEST_TAG
from resources import CatalogResource, LakeResource, S3ControlResource
from resources.map_results import MapResultsResource

POOL = "s3_batch_submission"
"""One submission at a time, so that no two use the same free place in the account."""


class Selection(dg.Config):
    """Which objects to check. keys_file: a local file with one key in each line; without it, all objects."""

    keys_file: str | None = None

    def keys(self) -> list[str] | None:
        """The keys, None for all."""
        if self.keys_file is None:
            return None
        lines = Path(self.keys_file).read_text(encoding="utf-8").split("\n")
        return [line.removesuffix("\r") for line in lines if line.removesuffix("\r")]


def checksum_job_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `checksum_job`, one partition for each bucket that jobs of others read."""

    @dg.asset(
        name=CHECKSUM_JOB_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"s3"},
        owners=owners,
        partitions_def=buckets,
        deps=["inventory"],
        pool=POOL,
        retry_policy=RETRIES,
        output_required=False,
    )
    def checksum_job(
        context: dg.AssetExecutionContext,
        config: Selection,
        catalog: CatalogResource,
        lake: LakeResource,
        s3_control: S3ControlResource,
        map_results: MapResultsResource,
    ) -> Iterator[dg.MaterializeResult]:
        began = utc_now()
        request_id = context.run.root_run_id or context.run.run_id
        with failures_in_plain_words():
            bucket = catalog.bucket(context.partition_key)
            if bucket.engine == MAP_ENGINE:
                kept_in = lake.open()
                execution = map_results.start(bucket, request_id)
                record_map(kept_in, bucket.name, utc_now())
                metadata = {"execution": execution, "algorithm": bucket.algorithm}
                yield keep_status(context, kept_in, began, dg.MaterializeResult(metadata=metadata))
                return
            client, kept_in = s3_control.client(bucket.name), lake.open()
            token = context.run.tags.get(REQUEST_TAG)
            job = None if token else requested_job(kept_in, bucket, request_id)
            waiting = None
            if token:
                found = [each for each in waiting_requests(kept_in, bucket.name) if each.token == token]
                if not found:
                    context.log.info("the request that waited is a job by now")
                    keep_status(context, kept_in, began, dg.MaterializeResult())
                    return
                (waiting,) = found
            elif job is None:
                reports = s3_control.reports(bucket.name)
                waiting = note_request(kept_in, reports, bucket, request_id, config.keys())
            if waiting:
                job = submit_request(catalog.catalog, kept_in, client, bucket, waiting, context.run.run_id)
            if job is None:
                context.log.warning(
                    "the account has the maximum of active jobs: the request waits, and the sensor "
                    "batch_reconciliation submits it when there is room"
                )
                keep_status(context, kept_in, began, dg.MaterializeResult())
                return
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={
                "job_id": job.job_id,
                "job": dg.MetadataValue.url(_console(client.meta.region_name, job.job_id)),
                "algorithm": job.algorithm,
                "objects": "all" if job.objects is None else job.objects,
                "report": f"s3://{job.report_bucket}/{job.report}",
                "inventory": dg.MetadataValue.path(kept_in.location(job.inventory)),
            }
        )
        yield keep_status(context, kept_in, began, result)

    return checksum_job


def _console(region: str, job_id: str) -> str:
    return f"https://{region}.console.aws.amazon.com/s3/jobs/{job_id}?region={region}"
