"""What every run over a bucket knows. What a run selects, reads and keeps does not belong here."""

from __future__ import annotations

from dataclasses import dataclass

from fixity.catalog import Bucket
from fixity.lake import Lake


@dataclass(frozen=True)
class BucketRun:
    """A run over one bucket. lake: where it keeps its tables. run_id: their name.

    place: where the catalog says that the bucket is (`Catalog.place_of`); None: tables of any place are used.
    """

    lake: Lake
    bucket: Bucket
    run_id: str
    place: str | None = None
