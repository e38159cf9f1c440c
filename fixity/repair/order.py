"""What is to be repaired, and what is planned for each object. Planning is in `plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from fixity.buckets import ListedObject
from fixity.catalog import Pair
from fixity.incidents.incident_object import IncidentObject


@dataclass(frozen=True)
class Order:
    """What is to be repaired.

    incident_id: only the objects of this incident. take_from: the side whose copy is the good one, for
    objects of which the diagnosis does not say it; then `reason` says why. quarantine: whether bad bytes are
    kept where the bucket keeps no versions. by: who copies what S3 Batch can; None: S3 Batch if it is much.
    job: nothing is copied, only the report of this job of S3 Batch is taken. person: who asks for it.
    """

    pair: Pair
    incident_id: str | None = None
    take_from: Literal["source", "replica"] | None = None
    reason: str | None = None
    quarantine: bool = True
    by: Literal["stream", "s3_batch"] | None = None
    job: str | None = None
    person: str | None = None


@dataclass(frozen=True)
class Planned:
    """One object of an incident: its bad copy in the bucket `damaged`, its good one in the bucket `good`.

    source, target: both as they are listed now, None for one that is missing. rows: the source's row with
    what is expected of it. evidence: the same for people. by_store: whether the store itself copies it.
    by_batch: whether a job of S3 Batch copies it. not_by_batch: why none does, if one was asked for.
    bad_bytes: what becomes of them: `version`, `quarantine`, `lost`, or None if there are none. is_other: the
    target is not what was found to be bad: perhaps it is repaired already. refused: why it is not repaired.
    """

    object: IncidentObject
    damaged: str
    good: str
    source: ListedObject | None = None
    target: ListedObject | None = None
    rows: pa.Table | None = None
    evidence: str = ""
    by_store: bool = False
    by_batch: bool = False
    not_by_batch: str | None = None
    bad_bytes: Literal["version", "quarantine", "lost"] | None = None
    is_other: bool = False
    refused: str | None = None

    @property
    def key(self) -> str:
        """The object's key."""
        return self.object.key

    @property
    def size(self) -> int:
        """Bytes to copy."""
        return self.source.size if self.source else 0
