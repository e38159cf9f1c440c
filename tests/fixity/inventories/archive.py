"""A bucket with lists of it and a lake, for tests that take its lists."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import yaml

from fixity.buckets import open_bucket
from fixity.catalog import Catalog, load_catalog
from fixity.inventories.provider import open_provider
from fixity.inventories.take import Asking, Provider, take_list
from fixity.lake import Lake, LocalLake
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import Inventory, newest_inventory, take_inventory
from tests.fixity.inventories.lists import LISTED_AT, Lists

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ODD_KEYS = (
    "a b",
    "a+b",
    "a%20b",
    "100%",
    "ä/€😀",
    'quo"te,comma',
    "tab\tand\nline",
    "z/%2F",
    "z/~*",
    "plain.txt",
)


@dataclass
class Archive:
    """A bucket, a bucket with its lists, and a lake."""

    s3: S3Client
    endpoint_url: str
    name: str
    lists: Lists
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    objects: int = 100
    source: str = "s3_inventory"
    now: datetime = LISTED_AT + timedelta(hours=12)

    def put(self, *keys: str, body: bytes = b"bytes") -> None:
        for key in keys:
            self.s3.put_object(Bucket=self.name, Key=key, Body=body)

    @property
    def catalog(self) -> Catalog:
        inventory = {"from": self.source, "at": self.lists.place}
        said = {
            "lake": "./lake",
            "stores": {"real": {"endpoint_url": self.endpoint_url, "region": "us-east-1"}},
            "buckets": {"b": {"store": "real", "bucket": self.name, "inventory": inventory, **self.settings}},
        }
        file = self.folder / "fixity.yaml"
        file.write_text(yaml.safe_dump(said))
        return load_catalog(file)

    def take(
        self, run_id: str = "list", name: str | None = None, provider: Provider | None = None
    ) -> Inventory:
        catalog = self.catalog
        with closing(open_bucket(catalog, catalog.buckets["b"])) as store:
            asking = Asking(store, 4, self.objects)
            lists = provider or open_provider(catalog, catalog.buckets["b"])
            return take_list(lists, self.run(run_id), asking, name, now=lambda: self.now)

    def list_now(self, run_id: str = "listing", **more: Any) -> Inventory:
        catalog = self.catalog
        with closing(open_bucket(catalog, catalog.buckets["b"])) as store:
            return take_inventory(store, self.run(run_id), **{"now": lambda: self.now, **more})

    def run(self, run_id: str) -> BucketRun:
        catalog = self.catalog
        bucket = catalog.buckets["b"]
        return BucketRun(self.lake, bucket, run_id, catalog.place_of(bucket))

    @property
    def lake(self) -> Lake:
        return LocalLake(self.folder / "lake")

    def keys(self) -> list[str]:
        return [row["key"] for row in self.rows(newest_inventory(self.lake, "b"))]

    def rows(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.folder / "lake" / name).to_pylist()
        return rows
