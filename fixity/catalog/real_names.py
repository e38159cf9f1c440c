"""The names of places on AWS that look like buckets and cannot be read as one, with why and what to do.

Which characters a name may have does not belong here; that is in `fields`.
"""

from __future__ import annotations

import re

from fixity.catalog.messages import shown

_ACCESS_POINT = re.compile(r"arn:aws[a-z-]*:s3:[a-z0-9-]+:[0-9]{12}:accesspoint[/:][a-z0-9-]{3,50}")
_BUCKET = re.compile(r"arn:[a-z0-9-]+:s3:::([^/:]+)")
_DIRECTORY = (
    "is a directory bucket (S3 Express One Zone), which fixity cannot read: it wants session keys for each "
    "bucket, lists in no order, and its ETags are not MD5s: name the general purpose bucket that holds the "
    "objects to keep"
)
_MULTI_REGION = (
    "is a multi-Region access point, which answers from whichever bucket is nearest: a check would not say "
    "which copy it read. Name each bucket behind it"
)
_OBJECT_LAMBDA = (
    "is an Object Lambda access point, which changes the bytes of objects: name the bucket behind it"
)
_OUTPOSTS = "is on S3 on Outposts, which fixity cannot read: name a bucket in a region"


def what_cannot_be_read(name: str) -> str | None:
    """Why a bucket of this real name cannot be read, and what to name instead; None if it can be read."""
    why = _kind_of_arn(name) if name.startswith("arn:") else _kind_of_name(name)
    return f"{shown(name)} {why}" if why else None


def _kind_of_name(name: str) -> str | None:
    if name.endswith(("--x-s3", "--xa-s3")):
        return _DIRECTORY
    if name.endswith(".mrap"):
        return _MULTI_REGION
    if name.endswith("--ol-s3"):
        return _OBJECT_LAMBDA
    if name.endswith("--op-s3"):
        return _OUTPOSTS
    if name.endswith("--table-s3"):
        return "is a table bucket, whose tables are not objects: name a general purpose bucket"
    return None


def _kind_of_arn(arn: str) -> str | None:
    if _ACCESS_POINT.fullmatch(arn):
        return None
    service = arn.split(":")[2:3]
    if service == ["s3express"]:
        return _DIRECTORY
    if service == ["s3-object-lambda"]:
        return _OBJECT_LAMBDA
    if service == ["s3-outposts"]:
        return _OUTPOSTS
    if re.fullmatch(r"arn:[^:]*:s3::[^:]*:accesspoint[/:].+", arn):
        return _MULTI_REGION
    if bucket := _BUCKET.fullmatch(arn):
        return f"is the ARN of a bucket: write its name alone, {bucket[1]}"
    return (
        "is not the ARN of an access point: write "
        "arn:aws:s3:region:account:accesspoint/name, or the name of a bucket"
    )
