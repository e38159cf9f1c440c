"""The kinds of text in the catalog, with a validator for each: names, owners, URLs, paths.

A validator raises ValueError with a whole sentence that shows the bad value. An error of the type
`secret` does not show it. Which key has which kind does not belong here; that is in `model`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from fixity.catalog.messages import NO_SECRETS, shown

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
# A file's longest name is a name, a run's id and "_ingest-report.json": 255 bytes on usual file systems.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,189}")
# Dagster's own rule for an e-mail address (dagster._core.utils.is_valid_email): it refuses others.
_EMAIL = re.compile(r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Z|a-z]{2,7}\b")


def check_name(name: str) -> str:
    """Names are partition keys and parts of file names: Dagster and file systems must accept them."""
    if not _NAME.fullmatch(name) or "..." in name:
        raise ValueError(
            f"{shown(name)} cannot be a name: up to 190 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit, without '...'"
        )
    return name


def _check_owner(owner: str) -> str:
    if not (_EMAIL.fullmatch(owner) or (owner.startswith("team:") and len(owner) > len("team:"))):
        raise ValueError(f"{shown(owner)} is not an owner: an e-mail address or team:name")
    return owner


def _check_endpoint(url: str) -> str:
    if "@" in url:
        raise PydanticCustomError("secret", "{why}", {"why": f"the URL has a user in it; {NO_SECRETS}"})
    wanted = "write it as https://host, https://host:port or https://host/path"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url):
        raise ValueError(f"{shown(url)} is not the URL of an endpoint: {wanted}")
    if parts.query or parts.fragment:
        raise ValueError(f"{shown(url)} has more than a host and a path: {wanted}")
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError(
            f"{shown(url)} has a path that cannot be signed: the parts of a path are letters, digits, '-', "
            "'.', '_' and '~'"
        )
    return url.rstrip("/?#")


def local_path(value: object, info: ValidationInfo) -> object:
    """An absolute path. `~` is expanded; a relative path starts at the catalog's folder."""
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if "://" in text:
        raise ValueError(f"{shown(text)} is not a local path")
    try:
        if not text or b"\0" in os.fsencode(text):
            raise ValueError(f"{shown(text)} is not a path")
        path = Path(text).expanduser()
    except UnicodeEncodeError:
        raise ValueError(f"{shown(text)} is not a path") from None
    except RuntimeError:
        raise ValueError(f"{shown(text)} begins with a user who is unknown on this machine") from None
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / path).absolute()


def _place_of(what: str) -> Callable[[object, ValidationInfo], object]:
    """A validator of the place where something is kept, such as "the lake"."""

    def place(value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        if not value.startswith("s3://"):
            if "://" in value:
                raise ValueError(
                    f"{shown(value)} cannot hold {what}: a local directory or s3://bucket/prefix can"
                )
            path = local_path(value, info)
            real = Path(os.path.realpath(str(path)))
            if real == real.parent:
                raise ValueError(
                    f"{shown(value)} is the whole file system: name a directory of its own, such as "
                    f"./{what.removeprefix('the ')}"
                )
            return str(path)
        if "@" in value:
            raise PydanticCustomError("secret", "{why}", {"why": f"the URL has a user in it; {NO_SECRETS}"})
        bucket, _, prefix = value.removeprefix("s3://").partition("/")
        if not bucket or prefix.startswith("/") or re.search(r"[\s?#]", value):
            raise ValueError(f"{shown(value)} is not a place for {what}: write s3://bucket/prefix")
        return value.rstrip("/")

    return place


def _check_real_name(bucket: str) -> str:
    # Stores differ in the names they allow; an ARN (an access point) is the only one with a slash.
    if re.search(r"\s", bucket) or ("/" in bucket and not bucket.startswith("arn:")):
        raise ValueError(
            f"{shown(bucket)} is not a bucket's name: write the name alone, a prefix under `prefix`"
        )
    return bucket


def _check_prefix(prefix: str) -> str:
    if prefix.startswith("/"):
        raise ValueError(
            f"{shown(prefix)} begins with '/': a prefix is written like 'folder/', from the first key"
        )
    return prefix


Name = Annotated[str, AfterValidator(check_name)]
"""The name of a store, bucket or pair."""

Text = Annotated[str, Field(min_length=1)]
"""Text that is not empty."""

Owner = Annotated[str, AfterValidator(_check_owner)]
"""Whom to contact: an e-mail address, or `team:name`."""

Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
"""The URL of an S3 endpoint: scheme, host, port, and the path that some stores put before the bucket."""

RealName = Annotated[Text, AfterValidator(_check_real_name)]
"""A bucket's name on its store."""

Prefix = Annotated[str, AfterValidator(_check_prefix)]
"""The beginning of the keys that belong to a part of a bucket."""

LocalPath = Annotated[Path, BeforeValidator(local_path)]
"""An absolute local path, written relative to the catalog's folder (`folder` in the context) or with `~`."""

LakeRoot = Annotated[str, BeforeValidator(_place_of("the lake"))]
"""Where the lake is: an absolute local path as text, or `s3://bucket/prefix`."""

WitnessPlace = Annotated[str, BeforeValidator(_place_of("the witness"))]
"""Where the witness of the log is, as in `LakeRoot`."""
