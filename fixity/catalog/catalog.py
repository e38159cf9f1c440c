"""The catalog as a whole: stores, buckets and pairs by name, and the rules that hold between them."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from fixity.catalog.base import Part
from fixity.catalog.fields import LakeRoot, Name, Owner
from fixity.catalog.locations import place_of, place_problems
from fixity.catalog.map_results import MapResults, map_engine_problems, stores_of_map_results
from fixity.catalog.model import Bucket, Pair, Store
from fixity.catalog.queues import Queues, stores_named
from fixity.catalog.references import cautions, reference_problems
from fixity.catalog.s3_batch import with_common_settings


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
