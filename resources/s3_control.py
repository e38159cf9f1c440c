"""S3 Control, which runs batch jobs, and the buckets that their reports go to."""

from typing import TYPE_CHECKING

import dagster as dg

from fixity.catalog import S3Batch
from fixity.engines.s3_batch.batch_jobs import JobState, open_s3_control
from fixity.engines.s3_batch.errors import S3ControlError
from fixity.lake import Lake
from resources.catalog import CatalogResource

if TYPE_CHECKING:
    from mypy_boto3_s3control import S3ControlClient


class S3ControlResource(dg.ConfigurableResource):
    """Opens S3 Control and the report buckets, with the credentials of each bucket's store."""

    catalog: dg.ResourceDependency[CatalogResource]

    def checks(self, bucket: str) -> bool:
        """Whether it is S3 that computes a bucket's checksums."""
        return self.catalog.bucket(bucket).engine == "s3_batch"

    def settings(self, bucket: str) -> S3Batch:
        """A bucket's settings. Raises S3ControlError for one that S3 does not check."""
        settings = self.catalog.bucket(bucket).s3_batch
        if settings is None or not self.checks(bucket):
            raise S3ControlError(
                f"'{bucket}' has no `engine: s3_batch`: its checksums are computed by materializing "
                f"checksums[{bucket}]"
            )
        return settings

    def client(self, bucket: str) -> "S3ControlClient":
        """S3 Control for a bucket's jobs, in the bucket's region. Raises S3ControlError."""
        said = self.catalog.bucket(bucket)
        return open_s3_control(said, self.catalog.catalog.store_of(said), self.settings(bucket))

    def compute_job(self, bucket: str, job_id: str) -> JobState:
        """A job of AWS Batch as it is now. Raises S3ControlError."""
        from fixity.engines.s3_batch.compute import describe_compute_job

        said = self.catalog.bucket(bucket)
        return describe_compute_job(said, self.catalog.catalog.store_of(said), self.settings(bucket), job_id)

    def reports(self, bucket: str, report_bucket: str | None = None) -> Lake:
        """The bucket that completion reports and manifests of a bucket go to, its files by their keys.

        Arguments: `report_bucket`, where an earlier job was told to write; as the catalog says without it.
        """
        from fixity.lake.s3 import S3Lake

        settings = self.settings(bucket)
        said = self.catalog.bucket(bucket)
        return S3Lake(report_bucket or settings.report_bucket, "", self.catalog.catalog.store_of(said))
