"""A whole platform for a test: two buckets with objects, a catalog, a lake, an instance."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml

from fixity.catalog import Catalog, load_catalog
from fixity_assets.definitions import build_definitions
from jobs.names import CHECKSUMS_JOB, REPORT_JOB

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAIR = "deposit"


@dataclass
class Platform:
    """A pair `deposit` of two fresh buckets, `deposit` and `deposit-repl`, on a real server."""

    folder: Path
    s3: S3Client
    endpoint_url: str
    source: str
    replica: str
    bucket_settings: dict[str, Any] = field(default_factory=dict)
    lake: str = "./lake"
    lake_store: str = "real"
    replication_lag: str = "0s"
    more: dict[str, Any] = field(default_factory=dict)
    pair_settings: dict[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The catalog, written with the settings as they are now."""
        file = self.folder / "fixity.yaml"
        common = {"store": "real", **self.bucket_settings}
        said = {
            "lake": self.lake,
            "lake_store": self.lake_store,
            "stores": {"real": {"endpoint_url": self.endpoint_url, "region": "us-east-1"}},
            "buckets": {
                PAIR: {**common, "bucket": self.source, "owners": ["team:deposit"]},
                f"{PAIR}-repl": {**common, "bucket": self.replica},
            },
            "pairs": {
                PAIR: {
                    "replica": f"{PAIR}-repl",
                    "replication_lag": self.replication_lag,
                    **self.pair_settings,
                }
            },
            **self.more,
        }
        file.write_text(yaml.safe_dump(said))
        return file

    @property
    def catalog(self) -> Catalog:
        """The catalog, loaded."""
        return load_catalog(self.file)

    def put(self, key: str, body: bytes = b"the same bytes", replica: bytes | None = None) -> None:
        """Put an object into the source, and into the replica too (with other bytes, if given)."""
        self.s3.put_object(Bucket=self.source, Key=key, Body=body)
        self.s3.put_object(Bucket=self.replica, Key=key, Body=body if replica is None else replica)

    def definitions(self, **overrides: object) -> dg.Definitions:
        """The definitions of the catalog."""
        return definitions_of(self.catalog, **overrides)

    def run(self, instance: dg.DagsterInstance, job: str, partition: str | None) -> dg.ExecuteInProcessResult:
        """Run a job on the instance; a failed run is a result, not an exception."""
        return (
            self.definitions()
            .resolve_job_def(job)
            .execute_in_process(instance=instance, partition_key=partition, raise_on_error=False)
        )

    def check_both(self, instance: dg.DagsterInstance) -> None:
        """List and hash both buckets."""
        for bucket in (PAIR, f"{PAIR}-repl"):
            assert self.run(instance, CHECKSUMS_JOB, bucket).success

    def verify(self, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """List and hash both buckets, and report on the pair."""
        self.check_both(instance)
        return self.run(instance, REPORT_JOB, PAIR)


_LAST: list[tuple[object, dg.Definitions]] = []


def definitions_of(catalog: Catalog, **overrides: object) -> dg.Definitions:
    """The definitions of a catalog, which are not made again while it says the same, as in one process."""
    asked = (catalog, overrides, os.environ.get("FIXITY_EXECUTOR"))
    if not _LAST or _LAST[0][0] != asked:
        _LAST[:] = [(asked, build_definitions(catalog, overrides))]
    return _LAST[0][1]


def report_metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the report that a run materialized, as plain values."""
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    return {
        name: [record.data for record in value.records]
        if isinstance(value, dg.TableMetadataValue)
        else value.value
        for name, value in metadata.items()
    }


def read_report(file: str | Path, encoding: str = "utf-8") -> list[dict[str, str]]:
    """A report's rows."""
    with Path(file).open(newline="", encoding=encoding) as text:
        return list(csv.DictReader(text, strict=True))
