"""A bucket's `inventory: {from: s3_inventory, at: s3://reports/…}`: the list that its provider writes.

Finding, proving and reading such lists does not belong here; that is in `fixity.inventories`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fixity.catalog.base import Part
from fixity.catalog.messages import shown
from fixity.catalog.units import Term


def _check_place(place: str) -> str:
    if not re.fullmatch(r"s3:/(/[^\s?#@/]+)+/?", place):
        raise ValueError(_no_folder(place))
    return place.rstrip("/")


def _no_folder(place: str) -> str:
    return (
        f"{shown(place)} is not a folder of lists: write s3://bucket/prefix, as far as the folders that "
        "are named by dates, such as s3://reports/lists/my-bucket/daily"
    )


class ProvidedInventory(Part):
    """The list of its objects that a bucket's provider writes, to be read instead of listing the bucket."""

    from_: Annotated[
        Literal["s3_inventory", "s3_metadata", "gcs_inventory", "azure_inventory"], Field(alias="from")
    ]
    """What the list is: one of S3 Inventory (CSV, ORC or Parquet); the live inventory table of S3 Metadata
    (Iceberg), which is found by asking S3; an inventory report of Google Cloud Storage (CSV or Parquet); a
    blob inventory of Azure (CSV or Parquet), in a bucket that speaks S3."""
    at: Annotated[str, AfterValidator(_check_place)] | None = None
    """The folder with the lists. Of S3 Inventory: `s3://bucket/prefix/source-bucket/configuration`, which has
    a folder named by date and time for each list. Of Google: the destination of the reports, written
    `s3://bucket/path`. Of Azure: the destination container, or where it is copied to, as far as the folders
    named by years."""
    store: str | None = None
    """The store that holds this folder; by default that of the bucket."""
    max_age: Term = timedelta(hours=48)
    """How old a list may be that is read, counted from when its scan began. An older one is refused. A live
    table is not: a note says that it did not change for so long."""

    @property
    def folder(self) -> tuple[str, str] | None:
        """The bucket and the prefix of the lists; the prefix is '' or ends in '/'. None if there are none."""
        if self.at is None:
            return None
        bucket, _, prefix = self.at.removeprefix("s3://").partition("/")
        return bucket, prefix and f"{prefix}/"

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.from_ != "s3_metadata" and self.at is None:
            raise ValueError(
                f"`from: {self.from_}` needs `at`, the folder with the lists, such as "
                "s3://reports/lists/my-bucket/daily"
            )
        if self.at and self.from_ != "azure_inventory" and self.at.count("/") < 3:
            raise ValueError(_no_folder(self.at))
        given = [key for key in ("at", "store") if getattr(self, key) is not None]
        if self.from_ == "s3_metadata" and given:
            raise ValueError(
                f"`from: s3_metadata` has no `{given[0]}`: S3 says where the table of the bucket is. "
                "Remove it"
            )
        return self
