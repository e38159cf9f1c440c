"""The boto3 client of S3 Control. What is asked of it is in `jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from fixity.catalog import Bucket, S3Batch, Store
from fixity.engines.s3_batch.errors import S3ControlError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_s3control import S3ControlClient


def s3_control_client(bucket: Bucket, store: Store, settings: S3Batch) -> S3ControlClient:
    """S3 Control for a bucket's jobs, which run in the bucket's region. Raises S3ControlError."""
    try:
        session = boto3.Session(profile_name=store.profile)
        client = session.client(
            "s3control",
            region_name=store.region or session.region_name or "us-east-1",
            verify=str(store.ca_bundle) if store.ca_bundle else None,
            config=Config(
                connect_timeout=10,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 2},
            ),
        )
    except BotoCoreError as error:
        raise S3ControlError(f"S3 Control cannot be opened for '{bucket.name}': {error}") from error
    if settings.endpoint_url:
        client.meta.events.register("before-send.s3-control", _SentTo(settings.endpoint_url))
    return client


class _SentTo:
    """Sends requests to an endpoint as it is: botocore would put the account's id before its host."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url

    def __call__(self, request: AWSPreparedRequest, **_: object) -> None:
        way = urlsplit(request.url)
        request.url = f"{self._endpoint_url}{way.path}" + (f"?{way.query}" if way.query else "")
