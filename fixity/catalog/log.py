"""The log: which key signs its seals, and who outside of the lake proves when they were made: the key `log`.

Making keys, seals, time stamps and copies does not belong here; that is in `fixity.log`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from fixity.catalog.base import Part
from fixity.catalog.fields import LocalPath, WitnessPlace, local_path
from fixity.catalog.messages import NO_SECRETS, shown
from fixity.catalog.units import Term

FROM_ENVIRONMENT = "env:"
"""How `key` begins where an environment variable holds the key."""
FROM_KMS = "kms:"
"""How `key` begins where AWS KMS holds the key."""
_KMS_KEY = re.compile(r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/|alias/)?[A-Za-z0-9/_-]{1,256}")


def _key(value: object, info: ValidationInfo) -> object:
    """The name of a variable, that of a key in KMS, or an absolute path as text."""
    if not isinstance(value, str):
        return value
    if "PRIVATE KEY" in value or "\n" in value:
        why = (
            "a private key does not belong in the catalog: name its file, or the environment variable that "
            "holds it, such as env:FIXITY_LOG_KEY (the value is not shown here)"
        )
        raise PydanticCustomError("secret", "{why}", {"why": why})
    if value.startswith(FROM_KMS):
        if not _KMS_KEY.fullmatch(value.removeprefix(FROM_KMS)):
            example = "kms:arn:aws:kms:us-east-1:111122223333:key/1234abcd-…"
            raise ValueError(f"{shown(value)} names no key in AWS KMS: write it like {example}")
        return value
    if not value.startswith(FROM_ENVIRONMENT):
        return str(local_path(value, info))
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", value.removeprefix(FROM_ENVIRONMENT)):
        raise ValueError(f"{shown(value)} names no environment variable: write it like env:FIXITY_LOG_KEY")
    return value


def _check_tsa(url: str) -> str:
    if "@" in url:
        raise PydanticCustomError("secret", "{why}", {"why": f"the URL has a user in it; {NO_SECRETS}"})
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", url) or parts.query or parts.fragment:
        raise ValueError(
            f"{shown(url)} is not the URL of a time stamping authority: write it like https://host/path"
        )
    return url


class Log(Part):
    """How the log is sealed, and who proves from outside of the lake that it was not rewritten."""

    key: Annotated[str, BeforeValidator(_key)]
    """The private key that signs the seals: a file, which `fixity log init` makes; `env:NAME` for an
    environment variable that holds it; or `kms:` and the id or ARN of a key in AWS KMS
    (ECC_NIST_EDWARDS25519), which is asked with the credentials of the store `aws`."""
    tsa: Annotated[str, AfterValidator(_check_tsa)] | None = None
    """The URL of a time stamping authority (RFC 3161), which proves once a day when the newest seal was
    there; by default none."""
    tsa_root: LocalPath | None = None
    """The file with the authority's root certificate (PEM), and with its intermediate certificates where its
    answers do not hold them."""
    witness: WitnessPlace | None = None
    """Another place that gets a copy of each seal, once a day: `s3://bucket/prefix` of a bucket with Object
    Lock, best of another account, or a directory, best of another machine; by default none."""
    witness_store: str = "aws"
    """The name of the store that holds an s3:// witness."""
    witness_lock: Term = timedelta(days=3650)
    """How long each copy in an s3:// witness is locked (Object Lock, compliance mode). Nobody can shorten
    it."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.tsa is not None and self.tsa_root is None:
            raise ValueError(
                "`tsa` needs `tsa_root`, without which nobody can tell the authority's answers from others: "
                "get its root certificate (PEM) from the authority, and name the file"
            )
        if self.tsa is None and self.tsa_root is not None:
            raise ValueError("`tsa_root` does nothing without `tsa`: name the authority, or remove the key")
        for key in ("witness_store", "witness_lock"):
            if key in self.model_fields_set and not (self.witness or "").startswith("s3://"):
                raise ValueError(
                    f"`{key}` is only for a `witness` on S3: write s3://bucket/prefix there, or remove it"
                )
        return self


def stores_of_log(settings: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """The store that `log` names, with its path of keys.

    Arguments: `settings`, validated or as in the file.
    """
    if isinstance(settings, Log):
        yield ("log", "witness_store"), settings.witness_store
    elif isinstance(settings, Mapping) and isinstance(settings.get("witness_store"), str):
        yield ("log", "witness_store"), settings["witness_store"]
