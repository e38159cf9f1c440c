"""The catalog's parts and the rules within each: stores, buckets, pairs, and the catalog as a whole.

A new key of `fixity.yaml` is a field here, with its meaning below it: the meaning is shown where the
key is missing. The kinds of values are in `fields` and `units`, rules between the parts in
`references`; reading files and wording pydantic's errors are not done here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    Field,
    StrictInt,
    model_validator,
)

from fixity.catalog.base import Part
from fixity.catalog.fields import Endpoint, LocalPath, Name, Owner, Prefix, RealName, Text
from fixity.catalog.restore import Restore
from fixity.catalog.s3_batch import S3Batch, what_is_wrong
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


CHUNK_SIZE = 20 * 1024**3
"""Bytes of a chunk where a bucket says nothing."""


class Store(Part):
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


class Bucket(Part):
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
    chunk_size: Annotated[ByteSize, Field(ge=1024 * 1024)] = CHUNK_SIZE
    """After how many bytes of a large object its progress is kept."""
    archived: Literal["skip", "restore"] = "skip"
    """What is done with archived objects: nothing, or they are restored and then read."""
    restore: Restore = Restore()
    """How archived objects are restored."""
    write_tags: bool = False
    """Whether ingest writes the checksums that it computed into the objects' tags."""
    engine: Literal["stream", "s3_batch", "step_functions"] = "stream"
    """Who reads the bytes: the platform itself, S3 in a batch job, or a map of Step Functions."""
    s3_batch: S3Batch | None = None
    """The settings of S3's batch jobs; the catalog's own where it is left out."""
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
    def _can_be_checked(self) -> Self:
        if wrong := what_is_wrong(self.engine, self.s3_batch, self.is_local, self.algorithm):
            raise ValueError(wrong)
        if self.archived == "restore" and self.engine != "stream":
            raise ValueError(
                f"`archived: restore` cannot go with `engine: {self.engine}`, which does not read what was "
                "restored: remove one or the other"
            )
        return self

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.path is None:
            return self
        given = {
            "store": "store" in self.model_fields_set,
            "bucket": self.bucket is not None,
            "prefix": self.prefix != "",
            "versions: all": self.versions == "all",
            "archived: restore": self.archived == "restore",
            "write_tags": self.write_tags,
        }
        wrong = [f"`{key}`" for key, is_given in given.items() if is_given]
        if wrong:
            raise ValueError(
                "a bucket with `path` is a local directory and cannot have "
                f"{', '.join(wrong)}: remove one or the other"
            )
        return self

    @model_validator(mode="after")
    def _is_rolled_only_where_it_is_read(self) -> Self:
        if self.fixity_every is not None and self.engine != "stream":
            raise ValueError(
                f"`fixity_every` has the platform read the bucket, and `engine: {self.engine}` has it not: "
                "remove one or the other"
            )
        return self


class Pair(Part):
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
