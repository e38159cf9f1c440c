"""A bucket's `inventory: {from: s3_inventory, at: s3://reports/…}`: the list that its provider writes.

Finding, proving and reading such lists does not belong here; that is in `fixity.inventories`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fixity.catalog.base import Part
from fixity.catalog.messages import shown
from fixity.catalog.units import Term


def _check_place(place: str) -> str:
    bucket, _, prefix = place.removeprefix("s3://").strip("/").partition("/")
    if not place.startswith("s3://") or not bucket or not prefix or re.search(r"[\s?#@]|//", place[5:]):
        raise ValueError(
            f"{shown(place)} is not a folder of lists: write s3://bucket/prefix, as far as the folders that "
            "are named by dates, such as s3://reports/lists/my-bucket/daily"
        )
    return place.rstrip("/")


class ProvidedInventory(Part):
    """The list of its objects that a bucket's provider writes, to be read instead of listing the bucket."""

    from_: Annotated[Literal["s3_inventory"], Field(alias="from")]
    """Who writes the list: S3 Inventory, as CSV, ORC or Parquet."""
    at: Annotated[str, AfterValidator(_check_place)]
    """The folder with the lists: `s3://bucket/prefix/source-bucket/configuration`, which has a folder named
    by date and time for each list."""
    store: str | None = None
    """The store that holds this folder; by default that of the bucket."""
    max_age: Term = timedelta(hours=48)
    """How old a list may be that is read, counted from when its scan began. An older one is refused."""

    @property
    def folder(self) -> tuple[str, str]:
        """The bucket and the prefix of the lists; the prefix ends in '/'."""
        bucket, _, prefix = self.at.removeprefix("s3://").partition("/")
        return bucket, f"{prefix}/"
