"""Opens who writes the lists of a bucket, as the catalog says. Taking a list does not belong here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fixity.catalog import Bucket, Catalog
from fixity.catalog.clients import s3_client
from fixity.inventories.azure import AzureLists, complete_runs
from fixity.inventories.folder import Complete, ListFolder
from fixity.inventories.gcs import GoogleReports, complete_reports
from fixity.inventories.rows import S3Inventory
from fixity.inventories.s3_inventory import complete_lists
from fixity.inventories.s3_metadata import S3Metadata, live_table
from fixity.inventories.take import Provider

_COMPLETE: dict[str, Callable[[ListFolder, datetime], Complete]] = {
    "s3_inventory": complete_lists,
    "gcs_inventory": complete_reports,
    "azure_inventory": complete_runs,
}


def open_provider(catalog: Catalog, bucket: Bucket) -> Provider:
    """Who writes the lists of a bucket that has `inventory`. Raises ListRefused, BucketUnreachable."""
    assert bucket.inventory is not None
    if bucket.inventory.from_ == "s3_metadata":
        return S3Metadata(live_table(catalog, bucket))
    if bucket.inventory.from_ == "gcs_inventory":
        return GoogleReports(ListFolder(catalog, bucket))
    if bucket.inventory.from_ == "azure_inventory":
        return AzureLists(ListFolder(catalog, bucket))
    store = catalog.store_of(bucket)
    return S3Inventory(ListFolder(catalog, bucket), None if store.endpoint_url else s3_client(store))


def complete(catalog: Catalog, bucket: Bucket, now: datetime) -> Complete:
    """The complete lists of a bucket that has them in a folder. Raises BucketUnreachable."""
    assert bucket.inventory is not None
    folder = ListFolder(catalog, bucket)
    return _COMPLETE[bucket.inventory.from_](folder, now)
