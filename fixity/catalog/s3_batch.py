"""The settings of S3 batch jobs, for buckets whose checksums S3 computes.

Requesting jobs and reading their reports do not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StrictInt

from fixity.catalog.base import Part
from fixity.catalog.fields import Endpoint, RealName

ENGINE = "s3_batch"
"""The engine of a bucket whose checksums S3 computes."""


class S3Batch(Part):
    """S3 Batch Operations: the account of the jobs, their role, and where their reports go."""

    account_id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    """The AWS account that owns the bucket and the jobs: twelve digits, in quotes."""
    role_arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/\S+$")]
    """The role that S3 assumes to read the objects: arn:aws:iam::111122223333:role/name."""
    report_bucket: RealName
    """The bucket for manifests and completion reports, in the same account."""
    priority: Annotated[StrictInt, Field(ge=0, le=2147483647)] = 10
    """The priority of the jobs; S3 starts a higher number first."""
    checksum_type: Literal["FULL_OBJECT", "COMPOSITE"] = "FULL_OBJECT"
    """Whether the checksum covers all bytes, or the checksums of parts: it is compared with nothing."""
    decode_report_keys: bool = False
    """Whether the keys in completion reports are URL-encoded."""
    endpoint_url: Endpoint | None = None
    """The endpoint of S3 Control, for development; by default AWS."""


def with_common_settings(content: object) -> object:
    """The catalog's mapping, with its `s3_batch` merged into that of each bucket that S3 checks.

    A bucket's own settings win. Values of a wrong form stay unchanged; validation refuses them later.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("s3_batch"), Mapping):
        return content
    buckets = content.get("buckets")
    if not isinstance(buckets, Mapping):
        return content
    return {
        **content,
        "buckets": {name: _filled(each, content["s3_batch"]) for name, each in buckets.items()},
    }


def _filled(bucket: object, common: Mapping[str, object]) -> object:
    if not isinstance(bucket, Mapping) or bucket.get("engine") != ENGINE:
        return bucket
    own = bucket.get("s3_batch") or {}
    return {**bucket, "s3_batch": {**common, **own} if isinstance(own, Mapping) else own}


def what_is_wrong(engine: str, settings: S3Batch | None, is_local: bool, algorithm: str) -> str | None:
    """Why S3 cannot check a bucket, or None if it can or need not."""
    if engine != ENGINE:
        return None
    if is_local:
        return "S3 cannot check a local directory: leave `engine` out, or name a bucket of S3"
    if settings is None:
        return (
            "`engine: s3_batch` needs `s3_batch: {account_id, role_arn, report_bucket}`, here or at the top"
        )
    if algorithm == "CRC64NVME" and settings.checksum_type == "COMPOSITE":
        return "S3 has no COMPOSITE checksum of CRC64NVME: choose FULL_OBJECT"
    return None
