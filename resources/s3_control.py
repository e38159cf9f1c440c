"""The resource that opens S3 Control, for batch jobs, and the buckets of their reports.

Requesting jobs and reading reports do not belong here.
"""

from typing import TYPE_CHECKING

import dagster as dg

from fixity.catalog import S3Batch
from fixity.engines.s3_batch.batch_jobs import JobState, open_s3_control
from fixity.engines.s3_batch.errors import S3ControlError
from fixity.lake import Lake
from resources.catalog import CatalogResource

if TYPE_CHECKING:
    from mypy_boto3_s3control import S3ControlClient

    from fixity.repair.sides import Account


class S3ControlResource(dg.ConfigurableResource):
    """Opens S3 Control and the report buckets, with the credentials of each bucket's store."""

    catalog: dg.ResourceDependency[CatalogResource]

    def checks(self, bucket: str) -> bool:
        """Whether S3 computes a bucket's checksums."""
        return self.catalog.bucket(bucket).engine == "s3_batch"

    def settings(self, bucket: str) -> S3Batch:
        """A bucket's settings. Raises S3ControlError for a bucket that S3 does not check."""
        settings = self.catalog.bucket(bucket).s3_batch
        if settings is None or not self.checks(bucket):
            raise S3ControlError(
                f"'{bucket}' has no `engine: s3_batch`: materialize checksums[{bucket}] to compute its "
                "checksums"
            )
        return settings

    def for_copies(self, bucket: str) -> "Account":
        """What copies to a bucket with `s3_batch` need, whatever its engine. Raises S3ControlError."""
        from fixity.lake.s3 import S3Lake
        from fixity.repair.sides import Account

        entry = self.catalog.bucket(bucket)
        if entry.s3_batch is None:
            raise S3ControlError(f"'{bucket}' has no `s3_batch` in the catalog any more: put it back")
        store = self.catalog.catalog.store_of(entry)
        client = open_s3_control(entry, store, entry.s3_batch)
        return Account(client, lambda report_bucket: S3Lake(report_bucket, "", store))

    def client(self, bucket: str) -> "S3ControlClient":
        """S3 Control for a bucket's jobs, in the bucket's region. Raises S3ControlError."""
        entry = self.catalog.bucket(bucket)
        return open_s3_control(entry, self.catalog.catalog.store_of(entry), self.settings(bucket))

    def compute_job(self, bucket: str, job_id: str) -> JobState:
        """A job of AWS Batch as it is now. Raises S3ControlError."""
        from fixity.engines.s3_batch.compute import describe_compute_job

        entry = self.catalog.bucket(bucket)
        return describe_compute_job(
            entry, self.catalog.catalog.store_of(entry), self.settings(bucket), job_id
        )

    def reports(self, bucket: str, report_bucket: str | None = None) -> Lake:
        """The bucket of completion reports and manifests; its files are named by their keys.

        Arguments: `report_bucket`, the report bucket of an earlier job; by default the catalog's.
        """
        from fixity.lake.s3 import S3Lake

        settings = self.settings(bucket)
        store = self.catalog.catalog.store_of(self.catalog.bucket(bucket))
        return S3Lake(report_bucket or settings.report_bucket, "", store)
