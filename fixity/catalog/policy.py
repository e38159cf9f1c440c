"""Policies: how often a bucket is checked, by whom, and within which limits.

    policies:
      archive: {bytes: 90d, sample: 1%/d, window: "20:00-06:00"}
    buckets:
      maps: {policy: archive}
      letters: {policy: {bytes: 30d, by: s3_batch}}
      notes: {fixity_every: 90d}          # short for policy: {bytes: 90d}

What is due by a policy is in `fixity.ledger` and `fixity.rolling`; whether limits are wide enough is in
`capacity`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, ValidationError, model_validator

from fixity.catalog.base import Part
from fixity.catalog.messages import did_you_mean, shown
from fixity.catalog.units import ByteSize, Duration, Term
from fixity.catalog.window import HoursOfDay
from fixity.humanize import bytes_text

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?% ?/ ?d")
_DAY = timedelta(days=1)


def _parse_share(value: object) -> object:
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise ValueError(f"{shown(value)} is no share of the objects: write percent a day, such as 1%/d")
    return share


def _check_whole_days(term: timedelta) -> timedelta:
    if term < _DAY or term % _DAY:
        raise ValueError(f"{term} is no number of days: write whole days, such as 1d or 7d")
    return term


Share = Annotated[float, BeforeValidator(_parse_share)]
"""A share of the objects a day, written `1%/d`."""

Days = Annotated[Duration, AfterValidator(_check_whole_days)]
"""A whole number of days, written `7d`."""


class Policy(Part):
    """How often the objects of a bucket are checked, by whom, and within which limits."""

    bytes: Term
    """How old the newest check of an object's bytes may be: each object is read within this term."""
    stored: Days = _DAY
    """How often the bucket is listed, in whole days. What the store says it holds (keys, sizes, ETags,
    times) is compared with what was there: what has gone counts as lost, and what is new or changed is
    due. No byte is read, so it proves nothing about an object's bytes."""
    sample: Share | None = None
    """Which share of the objects is read each day besides, drawn at random, such as `1%/d`. Within a term
    (`bytes`) no object is drawn twice; these terms are fixed, and counted from 1970 on. The platform reads
    them, whoever else reads the bucket."""
    by: Literal["stream", "s3_batch", "step_functions"] | None = None
    """Who reads the bytes of the policy's buckets: their `engine`, where they name none."""
    window: HoursOfDay | None = None
    """The hours in which the schedule reads, and requests jobs, such as "20:00-06:00"; by default all day.
    They are UTC, or by the catalog's `timezone`. An object that is being read at their end is read to its
    end."""
    monthly_egress: Annotated[ByteSize, Field(gt=0)] | None = None
    """How many bytes the schedule may read from each of the policy's buckets in any 30 days; by default no
    limit besides that of the store. What S3 Batch or a map reads does not count."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if "stored" in self.model_fields_set and self.stored > max(self.bytes, _DAY):
            raise ValueError(
                f"`stored` ({self.stored.days} days) is longer than `bytes` ({_days(self.bytes)} days): what "
                "is read must be listed as often"
            )
        drawn = (self.sample or 0) * (self.bytes / _DAY)
        if drawn > 1:
            raise ValueError(
                f"`sample` draws {drawn:.0%} of the objects within `bytes` ({_days(self.bytes)} days), and "
                "none is drawn twice: write a smaller share or a shorter term"
            )
        return self

    def __str__(self) -> str:
        """The policy in one line, for people."""
        parts = [
            f"checked every {_days(self.bytes)} days",
            f"listed every {_days(self.stored)} days",
            f"sample {self.sample * 100:g}%/d" if self.sample else "",
            f"window {self.window}" if self.window else "",
            f"monthly_egress {bytes_text(self.monthly_egress)}" if self.monthly_egress else "",
        ]
        return ", ".join(filter(None, parts))


def _days(length: timedelta) -> str:
    return f"{length / _DAY:g}"


class Holds(Part):
    """How much a bucket holds, about, before it is listed for the first time."""

    objects: Annotated[StrictInt, Field(ge=0)]
    """How many objects."""
    bytes: ByteSize
    """How many bytes, all together."""


class UnknownPolicy(str):
    """The name of a policy that the catalog does not have, with those that it has."""

    known: tuple[str, ...] = ()


def _refuse_name(policy: object) -> object:
    if not isinstance(policy, str):
        return policy
    known = policy.known if isinstance(policy, UnknownPolicy) else ()
    listed = f"one of {', '.join(known)}" if known else "write it here, {bytes: 90d}, or under `policies`"
    raise ValueError(
        f"{shown(str(policy))} is no policy of this catalog: {listed}{did_you_mean(policy, known)}"
    )


NamedPolicy = Annotated[Policy, BeforeValidator(_refuse_name)]
"""The policy of a bucket; `with_policies` has put it in place of its name."""


def with_policies(content: object) -> object:
    """The catalog's mapping, with the policies that buckets name in place of their names.

    Values of a wrong form stay unchanged; validation refuses them later.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("buckets"), Mapping):
        return content
    policies = content.get("policies")
    known = policies if isinstance(policies, Mapping) else {}
    buckets = {name: with_engine(_named(each, known)) for name, each in content["buckets"].items()}
    return {**content, "buckets": buckets}


def _named(bucket: object, known: Mapping[str, object]) -> object:
    name = bucket.get("policy") if isinstance(bucket, Mapping) else None
    if not isinstance(bucket, Mapping) or not isinstance(name, str):
        return bucket
    if name not in known:
        unknown = UnknownPolicy(name)
        unknown.known = tuple(map(str, known))
        return {**bucket, "policy": unknown}
    try:
        return {**bucket, "policy": Policy.model_validate(known[name])}
    except ValidationError:  # told of the policy, once, and not again of each of its buckets
        return {key: value for key, value in bucket.items() if key != "policy"}


def with_engine(bucket: Any) -> Any:  # noqa: ANN401 - as it is in the file
    """A bucket as in the file, with the `engine` that its policy's `by` says, where it names none."""
    if not isinstance(bucket, Mapping) or bucket.get("engine") is not None:
        return bucket
    policy = bucket.get("policy")
    if isinstance(policy, Mapping):
        by = policy.get("by")
    else:
        by = policy.by if isinstance(policy, Policy) else None
    return {**bucket, "engine": by} if by in ("stream", "s3_batch", "step_functions") else bucket
