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
    Field,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from fixity.catalog.base import Part
from fixity.catalog.fields import Endpoint, LakeRoot, LocalPath, Name, Owner, Prefix, RealName, Text
from fixity.catalog.locations import place_of, place_problems
from fixity.catalog.map_results import MapResults, map_engine_problems, stores_of_map_results
from fixity.catalog.queues import Queues, stores_named
from fixity.catalog.references import cautions, reference_problems
from fixity.catalog.restore import Restore
from fixity.catalog.s3_batch import S3Batch, what_is_wrong, with_common_settings
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


class Catalog(Part):
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
    pairs: dict[str, Pair] = Field(default={})
    """Pairs by name."""
    queues: Queues = Queues()
    """The queues that sensors take messages from."""
    s3_batch: dict[str, object] = Field(default={})
    """The settings of S3's batch jobs for every bucket that S3 checks; a bucket's own come first."""
    stacks: tuple[Name, ...] = ()
    """DuraCloud stacks: each bucket of theirs that has a `-repl` is a pair."""
    map_results: MapResults | None = None
    """Where a Step Functions Distributed Map writes its results."""

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

    @property
    def checked_by_s3(self) -> list[str]:
        """The buckets whose checksums S3 computes, in the catalog's order."""
        return [bucket.name for bucket in self.buckets.values() if bucket.engine == "s3_batch"]

    @model_validator(mode="before")
    @classmethod
    def _with_common_settings(cls, content: object) -> object:
        return with_common_settings(content)

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
        named = {("lake_store",): self.lake_store, **dict(stores_named(self.queues))}
        named |= dict(stores_of_map_results(self.map_results))
        problems = reference_problems(named, self.stores, self.buckets, self.pairs)
        problems += map_engine_problems(self.map_results, self.buckets)
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
