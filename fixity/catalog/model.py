"""The catalog's parts and the rules within each: stores, buckets, pairs, and the catalog as a whole.

A new key of `fixity.yaml` is a field here, with its meaning below it: the meaning is shown where the
key is missing. The kinds of values are in `fields` and `units`, rules between the parts in
`references`; reading files and wording pydantic's errors are not done here.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from fixity.catalog.fields import Endpoint, LakeRoot, LocalPath, Name, Owner, Prefix, RealName, Text
from fixity.catalog.places import place_of, place_problems
from fixity.catalog.references import cautions, reference_problems
from fixity.catalog.units import BatchInterval, ByteSize, Duration, Term

Algorithm = Literal[
    "MD5",
    "SHA1",
    "SHA256",
    "SHA512",
    "CRC32",
    "CRC32C",
    "CRC64NVME",
    "XXHASH64",
    "XXHASH3",
    "XXHASH128",
]
"""A checksum algorithm, in S3's own spelling."""

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""Every algorithm that a bucket may have."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Store(_Part):
    """How to reach buckets: AWS, or an S3-compatible endpoint. Credentials come from outside."""

    name: Name
    """The store's key in the catalog."""
    endpoint_url: Endpoint | None = None
    """The endpoint, `https://host`; AWS's own where it is left out."""
    region: Text | None = None
    """The region to sign for; the AWS configuration's where it is left out."""
    profile: Text | None = None
    """The profile of the AWS configuration files that has the credentials; else the AWS chain."""
    ca_bundle: LocalPath | None = None
    """Certificates (PEM) to verify an endpoint of one's own with."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Whether the bucket's name stands in the path or in the host's name."""
    monthly_egress: Annotated[ByteSize, Field(gt=0)] | None = None
    """How much rolling fixity may read of its buckets in any 30 days, in bytes."""


class Bucket(_Part):
    """A place with objects: a bucket in a store, or a local directory."""

    name: Name
    """The bucket's key in the catalog, and its partition key."""
    store: str = "aws"
    """The name of the store that has it; of no meaning for a local directory."""
    bucket: RealName | None = None
    """The name that the store knows it by; the catalog's where it is left out."""
    prefix: Prefix = ""
    """Only keys that begin so belong to it."""
    path: LocalPath | None = None
    """The local directory that is the bucket."""
    exclude: tuple[Text, ...] = ()
    """Patterns of keys that are left out."""
    versions: Literal["current", "all"] = "current"
    """Whether only current versions are listed, or all."""
    algorithm: Algorithm = "SHA256"
    """What its objects are hashed with."""
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=1024)] | None = None
    """How many objects are read at a time, at most (1 to 1024)."""
    max_bandwidth: Annotated[ByteSize, Field(gt=0)] | None = None
    """How much is read, at most, in bytes a second."""
    fixity_every: Term | None = None
    """How old an object's newest check may be; with it the bucket is checked by rolling fixity."""
    batch_interval: BatchInterval = timedelta(minutes=30)
    """How often rolling fixity takes a batch (whole minutes, 1m to 24h)."""
    batch_items: Annotated[StrictInt, Field(ge=1)] = 2500
    """How many objects such a batch has, at most."""
    batch_bytes: Annotated[ByteSize, Field(gt=0)] | None = None
    """How many bytes such a batch has, at most, unless it is a single object."""
    owners: tuple[Owner, ...] = ()
    """Whom to ask: e-mail addresses and `team:name`; the catalog's owners where it is left out."""
    description: str | None = None
    """What it is, for people."""

    @property
    def real_name(self) -> str:
        """The name that the store knows the bucket by."""
        return self.bucket or self.name

    @property
    def is_local(self) -> bool:
        """Whether the bucket is a local directory."""
        return self.path is not None

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.path is None:
            return self
        given = {
            "store": "store" in self.model_fields_set,
            "bucket": self.bucket is not None,
            "prefix": self.prefix != "",
            "versions: all": self.versions == "all",
        }
        wrong = [f"`{key}`" for key, is_given in given.items() if is_given]
        if wrong:
            raise ValueError(
                "a bucket with `path` is a local directory and cannot have "
                f"{', '.join(wrong)}: remove one or the other"
            )
        return self


class Pair(_Part):
    """A source bucket and the replica that should hold the same."""

    name: Name
    """The pair's key in the catalog, and its partition key."""
    source: str = Field(default_factory=lambda pair: str(pair.get("name", "")))
    """The name of the source bucket; the pair's own name where it is left out."""
    replica: str
    """The name of the bucket that holds the copy."""
    match: Literal["key", "version"] | None = None
    """What makes two objects the same one. In a catalog never None: version where both buckets list
    all versions, else key."""
    replication_lag: Duration = timedelta(minutes=15)
    """How old an object must be before it is expected in the replica."""


class Catalog(_Part):
    """All buckets and pairs, with every default filled in and every name leading somewhere."""

    file: Path
    """The file that it was read from."""
    lake: LakeRoot
    """Where tables and reports are kept: a directory (absolute), or s3://bucket/prefix."""
    lake_store: str = "aws"
    """The name of the store that an s3:// lake is reached through."""
    owners: tuple[Owner, ...] = ()
    """The owners of buckets that name none."""
    stores: dict[str, Store] = Field(default={}, validate_default=True)
    """Stores by name; `aws` is always among them."""
    buckets: dict[str, Bucket] = Field(min_length=1)
    """Buckets by name, one at least."""
    pairs: dict[str, Pair] = {}
    """Pairs by name."""

    def store_of(self, bucket: Bucket) -> Store:
        """The store that has a bucket (which is not a local directory)."""
        return self.stores[bucket.store]

    def place_of(self, bucket: Bucket) -> str:
        """Where a bucket is and which versions are meant, as one text: another text, another place."""
        return place_of(bucket, self.store_of(bucket))

    def cautions(self, pair: Pair) -> list[str]:
        """What to tell whoever reads the report of a pair, since the catalog may not mean it so."""
        return cautions(self.buckets[pair.source], self.buckets[pair.replica])

    def pairs_of(self, bucket_name: str) -> list[Pair]:
        """The pairs in which a bucket is source or replica, in the catalog's order."""
        return [pair for pair in self.pairs.values() if bucket_name in (pair.source, pair.replica)]

    @field_validator("stores", "buckets", "pairs", mode="before")
    @classmethod
    def _with_names(cls, section: object, info: ValidationInfo) -> object:
        """Each part knows its name; a section or part with nothing in it is an empty mapping."""
        if section is None:
            section = {}
        if not isinstance(section, dict):
            return section
        if info.field_name == "stores":
            section = {"aws": None, **section}
        return {name: with_name(name, part) for name, part in section.items()}

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        problems = reference_problems(self.lake_store, self.stores, self.buckets, self.pairs)
        problems += place_problems(self.lake, self.lake_store, self.stores, self.buckets)
        if problems:
            raise ValidationError.from_exception_data(
                "Catalog",
                [
                    InitErrorDetails(
                        type=PydanticCustomError("reference", "{why}", {"why": why}), loc=keys, input=None
                    )
                    for keys, why in problems
                ],
            )
        for name, bucket in self.buckets.items():
            if "owners" not in bucket.model_fields_set:
                self.buckets[name] = bucket.model_copy(update={"owners": self.owners})
        for name, pair in self.pairs.items():
            both = {self.buckets[pair.source].versions, self.buckets[pair.replica].versions}
            match = pair.match or ("version" if both == {"all"} else "key")
            self.pairs[name] = pair.model_copy(update={"match": match})
        return self


def with_name(name: object, part: object) -> object:
    """A part as it stands in the file, with its key as its name."""
    if part is None:
        part = {}
    return {"name": name, **part} if isinstance(part, dict) else part
