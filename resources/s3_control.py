"""S3 Control, which runs batch jobs, and the buckets that their reports go to."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import dagster as dg

from fixity.catalog import Bucket, S3Batch, Store
from fixity.lake import Lake
from fixity.s3_batch.jobs import S3ControlError
from resources.catalog import CatalogResource

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
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
        from botocore.exceptions import BotoCoreError

        said = self.catalog.bucket(bucket)
        try:
            return _client(said, self.catalog.catalog.store_of(said), self.settings(bucket))
        except BotoCoreError as error:
            raise S3ControlError(f"S3 Control cannot be opened for '{bucket}': {error}") from error

    def reports(self, bucket: str) -> Lake:
        """The bucket that completion reports and manifests of a bucket go to, its files by their keys."""
        from fixity.lake.s3 import S3Lake

        settings = self.settings(bucket)
        said = self.catalog.bucket(bucket)
        return S3Lake(settings.report_bucket, "", self.catalog.catalog.store_of(said))


def _client(bucket: Bucket, store: Store, settings: S3Batch) -> "S3ControlClient":
    import boto3
    from botocore.config import Config

    session = boto3.Session(profile_name=store.profile)
    client = session.client(
        "s3control",
        region_name=store.region or session.region_name or "us-east-1",
        verify=str(store.ca_bundle) if store.ca_bundle else None,
        config=Config(
            connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4}
        ),
    )
    if settings.endpoint_url:
        client.meta.events.register("before-send.s3-control", _SentTo(settings.endpoint_url))
    return client


class _SentTo:
    """Sends requests to an endpoint as it is: botocore would put the account's id before its host."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url

    def __call__(self, request: "AWSPreparedRequest", **_: object) -> None:
        way = urlsplit(request.url)
        request.url = f"{self._endpoint_url}{way.path}" + (f"?{way.query}" if way.query else "")
