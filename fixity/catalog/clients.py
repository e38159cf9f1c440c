"""A boto3 client of a store, for everything that is not in a hot path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from fixity.catalog import Store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(store: Store, connections: int = 10) -> S3Client:
    """A client of a store's endpoint, with the store's region and profile, for `connections` threads.

    Raises BotoCoreError.
    """
    session = boto3.Session(profile_name=store.profile, region_name=store.region)
    style = "path" if store.endpoint_url and store.addressing_style == "auto" else store.addressing_style
    return session.client(
        "s3",
        endpoint_url=store.endpoint_url,
        verify=str(store.ca_bundle) if store.ca_bundle else None,
        config=Config(
            retries={"mode": "adaptive", "total_max_attempts": 8},
            max_pool_connections=max(10, connections),
            s3={"addressing_style": style},
            # Other vendors refuse the checksums that newer SDKs add by themselves.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
