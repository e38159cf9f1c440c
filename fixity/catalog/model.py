"""The catalog's parts and the rules within each: stores, buckets and pairs.

A new key of `fixity.yaml` is a field here, with a docstring that errors show when the key is missing. The
kinds of values are in `fields` and `units`, rules between parts in `references`. Reading files and
wording pydantic's errors do not belong here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)

from fixity.catalog.base import Part
from fixity.catalog.fields import Endpoint, LocalPath, Name, Owner, Prefix, RealName, Text
from fixity.catalog.inventory import ProvidedInventory
from fixity.catalog.messages import shown
from fixity.catalog.policy import Holds, NamedPolicy, Policy, with_engine
from fixity.catalog.real_names import what_cannot_be_read
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


MIN_BANDWIDTH = 1024
"""The default of a bucket's `min_bandwidth`, in bytes a second."""

CHUNK_SIZE = 20 * 1024**3
"""The default of a bucket's `chunk_size`, in bytes."""


class Store(Part):
    """How to reach buckets: AWS, or an S3-compatible endpoint. Credentials come from outside."""

    name: Name
    """The store's key in the catalog."""
    endpoint_url: Endpoint | None = None
    """The S3 endpoint, `https://host`, with a port or a path if the store has one; by default AWS's own."""
    region: Text | None = None
    """The region to sign for; by default that of the AWS configuration."""
    profile: Text | None = None
    """The profile of the AWS configuration files with the credentials; by default the AWS chain."""
    ca_bundle: LocalPath | None = None
    """A file of certificates (PEM) to verify your own endpoint with."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Whether the bucket's name is in the path or in the host name."""
    monthly_egress: Annotated[ByteSize, Field(gt=0)] | None = None
    """How many bytes may be read from all its buckets in any 30 days; by default no limit."""
    requester_pays: StrictBool = False
    """Whether each request says that you pay for it. Without it, a bucket whose requester pays answers
    AccessDenied."""
    etag_is_md5: StrictBool = True
    """Whether an ETag of 32 digits is the MD5 of the bytes, as on AWS. On some stores it is another digest,
    or the MD5s of a multipart upload without `-N`: say `false` there."""


def _term_of_policy(bucket: dict[str, Any]) -> timedelta | None:
    policy = bucket.get("policy")
    return policy.bytes if isinstance(policy, Policy) else None


class Bucket(Part):
    """A place with objects: a bucket in a store, or a local directory."""

    name: Name
    """The bucket's key in the catalog, and its partition key."""
    store: str = "aws"
    """The name of its store; without effect for a local directory."""
    bucket: RealName | None = None
    """The bucket's real name on the store; by default its key in the catalog."""
    prefix: Prefix = ""
    """Only keys that begin with this prefix belong to the bucket. It is removed from the keys."""
    path: LocalPath | None = None
    """The local directory that is the bucket."""
    exclude: tuple[Text, ...] = ()
    """Shell patterns of keys to leave out (`*` also matches `/`). The inventory says how many objects were
    left out. Give both buckets of a pair the same patterns: what only one side leaves out is reported as
    missing there."""
    versions: Literal["current", "all"] = "current"
    """Whether only current versions are listed, or all."""
    inventory: ProvidedInventory | None = None
    """A list that the provider writes, to be read instead of listing the bucket; by default the bucket is
    listed."""
    algorithm: Algorithm = "SHA256"
    """The algorithm of its checksums; the same for both buckets of a pair. If you change it, baselines are
    kept."""
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=1024)] | None = None
    """How many objects are read at once, at most (1 to 1024). By default 16 files of a local directory; of a
    store as many as bring more, from 16 to 256, which is found while it is read."""
    max_bandwidth: Annotated[ByteSize, Field(gt=0)] | None = None
    """How fast the bucket is read, at most, in bytes a second, such as `50MiB`; by default no limit."""
    min_bandwidth: ByteSize = MIN_BANDWIDTH
    """How many bytes a second a connection must give, over a minute of waiting; 0: no limit. A slower one is
    dropped, and the read continues on a new one; after three in a row the object fails with `TooSlow`. Time
    that `max_bandwidth` waits does not count."""
    chunk_size: Annotated[ByteSize, Field(ge=1024 * 1024)] = CHUNK_SIZE
    """The progress of a large object is saved after each such number of bytes. A killed run of `checksums`
    continues there (not for XXHASH algorithms, nor in rolling fixity)."""
    archived: Literal["skip", "restore"] = "skip"
    """Archived objects: skip them, or restore and then read them."""
    restore: Restore = Restore()
    """How archived objects are restored."""
    records_in: (
        tuple[Literal["object-tagging", "object-metadata", "s3-checksum", "object-etag"], ...] | None
    ) = None
    """The kinds of the objects' own records that ingest looks for; `[]`: none. By default all, but HEAD and
    tags are asked only where there are signs of records."""
    write_tags: bool = False
    """Whether ingest writes the checksums that it computed into the objects' tags."""
    etag_is_md5: StrictBool | None = None  # a loaded catalog never has None
    """Whether an ETag of 32 digits is the MD5 of the bytes; by default what the store says."""
    engine: Literal["stream", "s3_batch", "step_functions"] = "stream"
    """Who reads the bytes: the platform itself (`stream`), S3 in a batch job, or your own map of Step
    Functions."""
    s3_batch: S3Batch | None = None
    """The settings of S3 batch jobs; by default those of the catalog."""
    policy: NamedPolicy | None = None
    """How often it is checked, by whom and within which limits: the name of a policy, or one written here."""
    fixity_every: Term | None = Field(default_factory=_term_of_policy)
    """How old an object's newest check may be; short for `policy: {bytes: …}`. The schedule checks a bucket
    that has this key or a policy."""
    batch_interval: BatchInterval = timedelta(minutes=30)
    """How often rolling fixity starts a batch (whole minutes, 1m to 24h)."""
    batch_items: Annotated[StrictInt, Field(ge=1)] = 2500
    """The largest number of objects in a batch of rolling fixity."""
    batch_bytes: Annotated[ByteSize, Field(gt=0)] | None = None
    """The largest number of bytes in a batch of rolling fixity; by default no limit. A larger object is a
    batch of its own."""
    holds: Holds | None = None
    """How much it holds, about: `{objects: 40000000, bytes: 1PB}`. A policy whose limits cannot do that is
    refused, also once the bucket is listed; `fixity plan` uses it until then."""
    owners: tuple[Owner, ...] = ()
    """Whom to contact: e-mail addresses and `team:name`; by default the catalog's owners."""
    description: str | None = None
    """What the bucket is for."""

    @property
    def real_name(self) -> str:
        """The bucket's name on its store."""
        return self.bucket or self.name

    @property
    def is_access_point(self) -> bool:
        """Whether it is read through an access point, named by its ARN."""
        return self.real_name.startswith("arn:")

    @property
    def has_lists(self) -> bool:
        """Whether its provider writes lists into a folder."""
        return self.inventory is not None and self.inventory.folder is not None

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
                f"`archived: restore` cannot go with `engine: {self.engine}`, which does not read restored "
                "objects: remove one of the two"
            )
        return self

    @model_validator(mode="after")
    def _has_a_name_that_can_be_read(self) -> Self:
        if self.path is None and (wrong := what_cannot_be_read(self.real_name)):
            raise ValueError(wrong)
        if self.is_access_point and self.engine != "stream":
            raise ValueError(
                f"`engine: {self.engine}` needs the name of a bucket, and {shown(self.real_name)} is an "
                "access point: name its bucket, or leave `engine` out"
            )
        provider = self.inventory.from_ if self.inventory else ""
        if self.versions == "all" and provider in ("gcs_inventory", "azure_inventory"):
            raise ValueError(
                f"`from: {provider}` gives current versions only: leave `versions: all` out, or `inventory`"
            )
        if self.is_access_point and self.inventory:
            raise ValueError(
                f"`inventory` needs the name of a bucket, and {shown(self.real_name)} is an access point: "
                "name "
                "its bucket, or leave `inventory` out"
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
            "inventory": self.inventory is not None,
            "min_bandwidth": "min_bandwidth" in self.model_fields_set,
            "archived: restore": self.archived == "restore",
            "records_in": self.records_in is not None,
            "write_tags": self.write_tags,
        }
        wrong = [f"`{key}`" for key, is_given in given.items() if is_given]
        if wrong:
            raise ValueError(
                "a bucket with `path` is a local directory and cannot have "
                f"{', '.join(wrong)}: remove one or the other"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _with_engine(cls, bucket: Any) -> Any:  # noqa: ANN401 - as it is in the file
        return with_engine(bucket)

    @model_validator(mode="after")
    def _has_one_policy(self) -> Self:
        if self.policy is None:
            return self
        if "fixity_every" in self.model_fields_set:
            raise ValueError("`fixity_every` is short for `policy: {bytes: …}`: remove one of the two")
        if self.policy.by not in (None, self.engine):
            raise ValueError(
                f"`engine: {self.engine}` contradicts its policy, which says `by: {self.policy.by}`: remove "
                "one of the two"
            )
        if self.policy.window is not None and self.policy.window.length < self.batch_interval:
            raise ValueError(
                f"the policy's `window` ({self.policy.window.length}) is shorter than `batch_interval` "
                f"({self.batch_interval}), so there may be days without a batch: write a shorter interval"
            )
        return self

    @model_validator(mode="after")
    def _has_checksums_that_prove(self) -> Self:
        by_parts = self.s3_batch is not None and self.s3_batch.checksum_type == "COMPOSITE"
        if self.fixity_every is not None and self.engine == "s3_batch" and by_parts:
            raise ValueError(
                "a COMPOSITE checksum is compared with nothing, so no object would ever count as checked in "
                "time: choose `checksum_type: FULL_OBJECT`, or leave `policy` and `fixity_every` out"
            )
        return self

    @property
    def schedule(self) -> Policy | None:
        """The policy by which it is checked all the time; None for a bucket that is checked by hand."""
        return self.policy or (Policy(bytes=self.fixity_every) if self.fixity_every else None)

    @property
    def is_rolled(self) -> bool:
        """Whether the platform itself reads what falls due by its term."""
        return self.fixity_every is not None and self.engine == "stream"


class Pair(Part):
    """A source bucket and the replica, or several, that should hold the same objects."""

    name: Name
    """The pair's key in the catalog, and its partition key."""
    source: str = Field(default_factory=lambda pair: str(pair.get("name", "")))
    """The name of the source bucket; by default the pair's own name."""
    replica: str
    """The name of the bucket that holds the copy. A pair with several copies has `replicas` instead."""
    replicas: tuple[str, ...] = ()  # a loaded catalog has pairs of two instead
    """The names of the buckets that hold copies, such as `[wasabi, deep-archive, tape]`. Each is compared
    with the source as a pair of its own, `<pair>-to-<replica>`, and one report has a row an object with the
    state of each copy. From three copies on, a majority with the source in it shows which one is bad."""
    match: Literal["key", "version"] | None = None  # a loaded catalog never has None
    """What makes two objects the same: their key, or their version, if replication keeps version ids. By
    default version if both buckets list all versions, else key."""
    replication_lag: Duration = timedelta(minutes=15)
    """How long a new object may take to reach the replica before it counts as missing."""
    fixity_every: Term | None = None
    """How old its newest report may be; by default the shorter of its buckets' terms, if any has one."""
    repair: Literal["replica", "both", "never"] = "replica"
    """Where `fixity repair --apply` may write: to the replica, to both buckets, or nowhere."""

    @model_validator(mode="before")
    @classmethod
    def _has_one_replica_or_several(cls, content: object) -> object:
        if not isinstance(content, dict) or "replicas" not in content:
            return content
        if "replica" in content:
            raise ValueError("has both `replica` and `replicas`: keep one of them")
        several = content["replicas"]
        if several == []:
            raise ValueError("has empty `replicas`: name the buckets that hold copies")
        first = several[0] if isinstance(several, list | tuple) and several else ""
        return content | {"replica": first if isinstance(first, str) else ""}
