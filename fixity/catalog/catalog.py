"""The catalog as a whole: stores, buckets and pairs by name, and the rules between them.

The keys of one store, bucket or pair do not belong here; they are in `model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from fixity.catalog.alerts import Alerts
from fixity.catalog.base import Part
from fixity.catalog.capacity import capacity_problems
from fixity.catalog.copies import Copies, split
from fixity.catalog.executor import Executor
from fixity.catalog.fields import LakeRoot, Name, Owner
from fixity.catalog.locations import log_place_problems, place_of, place_problems
from fixity.catalog.log import Log, stores_of_log
from fixity.catalog.map_results import MapResults, map_engine_problems, stores_of_map_results
from fixity.catalog.model import Bucket, Pair, Store
from fixity.catalog.policy import Policy, with_policies
from fixity.catalog.prices import Prices
from fixity.catalog.queues import Queues, stores_of_queues
from fixity.catalog.references import cautions, drill_problems, reference_problems
from fixity.catalog.s3_batch import with_common_settings
from fixity.catalog.second_look import SecondLook
from fixity.catalog.units import KeptRuns
from fixity.catalog.window import Zone


class Catalog(Part):
    """All buckets and pairs, with every default filled in and every name known."""

    file: Path
    """The file that the catalog was read from."""
    lake: LakeRoot
    """Where tables and reports are kept: a directory, or `s3://bucket/prefix`."""
    lake_store: str = "aws"
    """The name of the store that holds an s3:// lake."""
    owners: tuple[Owner, ...] = ()
    """The owners of buckets that have no `owners` of their own."""
    stores: dict[str, Store] = Field(default={}, validate_default=True)
    """Stores by name; `aws` is always among them."""
    buckets: dict[str, Bucket] = Field(min_length=1)
    """Buckets by name; at least one."""
    pairs: dict[str, Pair] = Field(default={})
    """Pairs by name."""
    queues: Queues = Queues()
    """The queues that sensors read messages from."""
    s3_batch: dict[str, object] = Field(default={})
    """Settings of S3 batch jobs, with the keys of a bucket's `s3_batch`, for every bucket that S3 checks; a
    bucket's own settings win."""
    stacks: tuple[Name, ...] = ()
    """Names of DuraCloud stacks: each bucket of a stack that has a `-repl` bucket becomes a pair that S3
    checks."""
    map_results: MapResults | None = None
    """Where a Step Functions Distributed Map writes its results."""
    policies: dict[str, Policy] = Field(default={})
    """Policies by name, for buckets to share."""
    timezone: Zone = "UTC"
    """The time zone of the policies' `window`, such as `Europe/Oslo`. All other times are UTC."""
    prices: dict[str, Prices] = Field(default={})
    """What stores charge, by their names, where `fixity plan` is not to use list prices."""
    second_look: SecondLook = SecondLook()
    """How much of what differs a run reads a second time, before it is called damaged."""
    drills: tuple[str, ...] = ()
    """Buckets that are made for drills, such as `[fire]`: objects there are damaged on purpose."""
    alerts: Alerts | None = None
    """Who is told when something goes wrong; by default nobody."""
    executor: Executor = Executor()
    """Who executes the steps of runs: a name, or more."""
    keep_runs: KeptRuns | None = None
    """How long Dagster keeps runs that ended, and their events, such as `400d`; by default for ever. The lake
    keeps all evidence in any case."""
    log: Log | None = None
    """How the log over all evidence of the lake is sealed, and who witnesses it; by default there is none."""

    # No docstrings: these are no keys of the file.
    _copies: dict[str, Copies] = PrivateAttr(default_factory=dict)
    _with_others: dict[str, Copies] = PrivateAttr(default_factory=dict)  # by the names of their pairs

    def store_of(self, bucket: Bucket) -> Store:
        """The store of a bucket. The bucket must not be a local directory."""
        return self.stores[bucket.store]

    def place_of(self, bucket: Bucket) -> str:
        """Where a bucket is and which versions it lists, as one text; another text means another place."""
        return place_of(bucket, self.store_of(bucket))

    def cautions(self, pair: Pair) -> list[str]:
        """Warnings for the readers of a pair's report: settings that are valid but perhaps not intended."""
        return cautions(self.buckets[pair.source], self.buckets[pair.replica])

    def pairs_of(self, bucket_name: str) -> list[Pair]:
        """The pairs in which a bucket is source or replica, in the catalog's order."""
        return [pair for pair in self.pairs.values() if bucket_name in (pair.source, pair.replica)]

    def term_of(self, report: str) -> timedelta | None:
        """How old the newest report of a pair, or of all copies, may be; None where nothing says so."""
        pair = self.pairs[report] if report in self.pairs else self._copies[report].pairs[0]
        terms = (self.buckets[name].fixity_every for name in self.buckets_of(report))
        return pair.fixity_every or min((term for term in terms if term), default=None)

    @property
    def checked_by_jobs(self) -> list[Bucket]:
        """The buckets whose checksums are computed by jobs that the platform can request."""
        asks_maps = self.map_results is not None and self.map_results.state_machine is not None
        engines = {"s3_batch", *(["step_functions"] if asks_maps else [])}
        return [bucket for bucket in self.buckets.values() if bucket.engine in engines]

    @property
    def copies(self) -> Mapping[str, Copies]:
        """The pairs with several replicas, by name. `pairs` has a pair for each of their copies instead."""
        return self._copies

    def copies_with(self, pair_name: str) -> Copies | None:
        """All copies together, one of which a pair has; None for a pair that is alone."""
        return self._with_others.get(pair_name)

    def buckets_of(self, report: str) -> tuple[str, ...]:
        """The buckets of a report, the source first: of a pair, or of all copies together."""
        if (pair := self.pairs.get(report)) is not None:
            return (pair.source, pair.replica)
        return self._copies[report].buckets

    @property
    def compared(self) -> dict[str, tuple[str, ...]]:
        """The buckets of each report by its name; see `buckets_of`. Made anew each time."""
        names: dict[str, None] = {}
        for name in self.pairs:
            together = self.copies_with(name)
            names |= dict.fromkeys([together.name, name] if together else [name])
        return {name: self.buckets_of(name) for name in names}

    @property
    def reported(self) -> dict[str, tuple[str, ...]]:
        """`compared` without the pairs of copies, which are reported with the report of all copies."""
        return {name: buckets for name, buckets in self.compared.items() if not self.copies_with(name)}

    @property
    def checked_by_s3(self) -> list[str]:
        """The buckets whose checksums S3 computes, in the catalog's order."""
        return [bucket.name for bucket in self.buckets.values() if bucket.engine == "s3_batch"]

    @property
    def copied_by_s3(self) -> list[str]:
        """The pairs to one of whose buckets S3 may copy in a batch job, in the catalog's order."""
        return [
            pair.name
            for pair in self.pairs.values()
            if any(self.buckets[name].s3_batch for name in (pair.source, pair.replica))
        ]

    @property
    def restoring(self) -> list[str]:
        """The buckets whose archived objects are restored, in the catalog's order."""
        return [bucket.name for bucket in self.buckets.values() if bucket.archived == "restore"]

    @model_validator(mode="before")
    @classmethod
    def _with_common_settings(cls, content: object) -> object:
        return with_common_settings(with_policies(content))

    @field_validator("stores", "buckets", "pairs", mode="before")
    @classmethod
    def _with_names(cls, section: object, info: ValidationInfo) -> object:
        """Add each part's key as its name; an empty section or part becomes an empty mapping."""
        if section is None:
            section = {}
        if not isinstance(section, dict):
            return section
        if info.field_name == "stores":
            section = {"aws": None, **section}
        return {name: with_name(name, part) for name, part in section.items()}

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        used_stores = {("lake_store",): self.lake_store, **dict(stores_of_queues(self.queues))}
        used_stores |= {("prices", name): name for name in self.prices}
        used_stores |= {**dict(stores_of_map_results(self.map_results)), **dict(stores_of_log(self.log))}
        problems = reference_problems(used_stores, self.stores, self.buckets, self.pairs)
        problems += map_engine_problems(self.map_results, self.buckets)
        problems += drill_problems(self.drills, self.buckets, self.pairs)
        problems += place_problems(self.lake, self.lake_store, self.stores, self.buckets)
        problems += log_place_problems(self.log, self.lake, self.lake_store, self.stores, self.buckets)
        if not problems:
            problems = [*capacity_problems(self.buckets, self.stores)]
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
            filled: dict[str, object] = {}
            if "owners" not in bucket.model_fields_set:
                filled["owners"] = self.owners
            if bucket.etag_is_md5 is None:
                filled["etag_is_md5"] = self.store_of(bucket).etag_is_md5
            if bucket.policy is not None and bucket.policy.window is not None:
                window = replace(bucket.policy.window, zone=self.timezone)
                filled["policy"] = bucket.policy.model_copy(update={"window": window})
            self.buckets[name] = bucket.model_copy(update=filled)
        written = dict(self.pairs)
        self.pairs.clear()
        for name, pair in written.items():
            versions = {self.buckets[each].versions for each in (pair.source, pair.replica, *pair.replicas)}
            match = pair.match or ("version" if versions == {"all"} else "key")
            pairs = split(pair.model_copy(update={"match": match}))
            self.pairs.update({each.name: each for each in pairs})
            if len(pairs) > 1:
                self._copies[name] = Copies(name, pairs)
                self._with_others.update({each.name: self._copies[name] for each in pairs})
        return self


def with_name(name: object, part: object) -> object:
    """A part as written in the file, with its key added as its name."""
    if part is None:
        part = {}
    return {"name": name, **part} if isinstance(part, dict) else part
