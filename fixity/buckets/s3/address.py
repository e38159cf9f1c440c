"""Endpoint, region and credentials of a bucket, from the catalog and botocore's configuration.

botocore knows the credentials, profiles, regions and endpoints of all partitions; this module uses that. It
imports botocore only if the catalog and the environment are not enough, because the import takes longer
than hashing two hundred megabytes. Sending requests does not belong here.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from fixity.buckets.s3.http1 import Origin
from fixity.buckets.s3.sigv4 import Keys, encode_path
from fixity.catalog import Store as StoreEntry
from fixity.catalog.clients import aws_s3_client, store_session
from fixity.errors import BucketUnreachable

if TYPE_CHECKING:
    import boto3

_DNS_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Address:
    """Where requests to a bucket go.

    `base_path`, encoded, stands before '/<key>': the endpoint's path, and '/<bucket>' unless the bucket is in
    the host name. `keys` returns the keys to sign with; keys that expire are renewed. `requester_pays`:
    whether requests say that whoever sends them pays for them.
    """

    origin: Origin
    base_path: str
    region: str
    keys: Callable[[], Keys]
    requester_pays: bool = False


class _Given(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None


def resolve(store: StoreEntry, bucket: str, timeout: float = 60.0) -> Address:
    """Find the endpoint, region and credentials of a bucket.

    Arguments: `bucket`, its name on the store; `timeout` in seconds for each wait on the network.
    Raises BucketUnreachable: unknown profile, no credentials, or a bucket that AWS does not let us see.
    """
    given = _given_by_the_environment(store)
    if given and store.region and store.endpoint_url:
        return _address(store.endpoint_url, store.region, bucket, store, lambda: given, timeout)
    return _resolved_by_botocore(store, bucket, timeout)


def _given_by_the_environment(store: StoreEntry) -> Keys | None:
    """Keys that do not expire, if botocore's chain would also take them from the environment."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if store.profile or not key or not secret or "AWS_CREDENTIAL_EXPIRATION" in os.environ:
        return None
    return _Given(key, secret, os.environ.get("AWS_SECURITY_TOKEN") or os.environ.get("AWS_SESSION_TOKEN"))


def _resolved_by_botocore(store: StoreEntry, bucket: str, timeout: float) -> Address:
    from botocore import exceptions

    try:
        session = store_session(store)
        credentials = session.get_credentials()
        region = store.region or session.region_name or "us-east-1"
        endpoint = store.endpoint_url
        if credentials is None:
            profile = f"the profile '{store.profile}'" if store.profile else "the AWS credential chain"
            raise BucketUnreachable(
                f"no credentials for the store '{store.name}' in {profile}: set AWS_PROFILE or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile in the catalog"
            )
        if endpoint is None:
            endpoint, region = _aws_endpoint(session, region, bucket, store)
    except exceptions.BotoCoreError as error:
        broken = isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError)
        is_final = not broken or isinstance(error, exceptions.SSLError)
        raise BucketUnreachable(f"the store '{store.name}' cannot be opened: {error}", is_final) from error
    return _address(endpoint, region, bucket, store, credentials.get_frozen_credentials, timeout)


def _aws_endpoint(session: boto3.Session, region: str, bucket: str, store: StoreEntry) -> tuple[str, str]:
    from botocore.exceptions import ClientError

    if _is_access_point(bucket):  # botocore knows its host in each partition of AWS
        region = bucket.split(":")[3]
        client = aws_s3_client(session, store, region)
        url = client.generate_presigned_url("head_bucket", Params={"Bucket": bucket})
        return f"https://{urlsplit(url).hostname}", region
    client = aws_s3_client(session, store, region)
    try:
        found = client.head_bucket(Bucket=bucket).get("BucketRegion", region)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        why = {
            404: "there is no such bucket",
            403: "access is denied (s3:ListBucket is needed; for a bucket whose requester pays, "
            "`requester_pays: true` of its store in the catalog)",
            401: "the credentials are not accepted",
        }.get(status, str(error))
        raise BucketUnreachable(f"s3://{bucket} cannot be reached: {why}", final=status < 500) from error
    if found != region:
        client = aws_s3_client(session, store, found)
    return client.meta.endpoint_url, found


def _is_access_point(bucket: str) -> bool:
    """Whether a bucket is named by the ARN of an access point, which is its host."""
    return bucket.startswith("arn:")


def _address(
    endpoint: str, region: str, bucket: str, store: StoreEntry, keys: Callable[[], Keys], timeout: float
) -> Address:
    parts = urlsplit(endpoint)
    assert parts.hostname is not None  # the catalog and botocore guarantee it
    virtual = store.addressing_style == "virtual" or (
        store.addressing_style == "auto"
        and store.endpoint_url is None
        and parts.hostname.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        and _DNS_BUCKET.fullmatch(bucket) is not None
    )
    tls = None
    if parts.scheme == "https":
        bundle = store.ca_bundle or os.environ.get("AWS_CA_BUNDLE") or None
        try:
            tls = ssl.create_default_context(cafile=str(bundle) if bundle else None)
        except OSError as error:
            raise BucketUnreachable(f"the ca_bundle {bundle} cannot be read: {error}") from error
        if bundle is None:
            tls.load_verify_locations(cafile=botocore_certificates())
    origin = Origin(
        host=f"{bucket}.{parts.hostname}" if virtual else parts.hostname,
        port=parts.port or (443 if tls else 80),
        tls=tls,
        timeout=timeout,
    )
    base_path = parts.path if virtual or _is_access_point(bucket) else f"{parts.path}/{encode_path(bucket)}"
    return Address(origin, base_path, region, keys, store.requester_pays)


def botocore_certificates() -> str:
    """The path of the certificate authorities that botocore trusts by default."""
    from botocore.httpsession import where

    return str(where())
