"""A catalog with a pair and its lake, whose suspect rows are to be diagnosed."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from devstack.seaweedfs import REGION
from fixity.buckets import open_bucket
from fixity.catalog import Catalog, load_catalog
from fixity.incidents.findings import findings
from fixity.lake import Lake, open_lake
from fixity.lake.paths import checksums_file
from fixity.ledger.fold import settings_of
from fixity.reports.pair import make_report
from fixity.tables import CHECKSUMS, FINDINGS, Provenance
from tests.fixity.support import inventory_and_checks, keep_table

PAIR = "a"
GOOD, BAD = b"the bytes of the deposit", b"the bytes of tHe deposit"


def ledger_file(bucket: str, run: str) -> str:
    """The file of a bucket's ledger with the checks of a run."""
    return checksums_file(bucket, f"{bucket}{run}")


@dataclass
class Archive:
    """A catalog with the pair `a`, of the buckets `a` and `b`, and its lake."""

    folder: Path
    catalog: Catalog
    lake: Lake

    @classmethod
    def of(
        cls, folder: Path, buckets: dict[str, Any], pairs: dict[str, Any], endpoint_url: str = ""
    ) -> Archive:
        said: dict[str, Any] = {
            "lake": "./lake",
            "buckets": buckets,
            "pairs": {name: {"replication_lag": "0s", **pair} for name, pair in pairs.items()},
        }
        if endpoint_url:
            said["stores"] = {"real": {"endpoint_url": endpoint_url, "region": REGION}}
        (folder / "fixity.yaml").write_text(yaml.safe_dump(said))
        catalog = load_catalog(folder / "fixity.yaml")
        return cls(folder, catalog, open_lake(catalog))

    def check(self, run_id: str, *buckets: str) -> None:
        """List and read buckets, and keep the checks."""
        for name in buckets or ("a", "b"):
            with closing(open_bucket(self.catalog, self.catalog.buckets[name])) as store:
                inventory_and_checks(store, self.lake, f"{name}{run_id}", name)

    def diagnose(self) -> dict[str, dict[str, Any]]:
        """The findings of the pair's suspect rows, by key."""
        pair = self.catalog.pairs[PAIR]
        report = make_report(self.lake, pair, settings_of(self.catalog.buckets[pair.source]), "run")
        found = findings(self.lake, self.catalog, pair, report.suspects, self.folder)
        assert found.schema == FINDINGS
        rows = ["key", "version_id"]
        assert found.select(rows).to_pylist() == report.suspects.select(rows).to_pylist()
        return {row["key"]: row for row in found.to_pylist()}

    def checks(self, bucket: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The checks of a run, by key."""
        table = pq.read_table(self.lake.location(ledger_file(bucket, run_id)))
        return {row["key"]: row for row in table.to_pylist()}


def write(file: Path, body: bytes, day: int = 1) -> None:
    """Write a file as if on a day of January."""
    file.write_bytes(body)
    moment = datetime(2026, 1, day, tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))


def add_check(archive: Archive, bucket: str, run_id: str, key: str = "letter", **values: Any) -> None:
    """Keep one more check of an object, like that of the run 1, a minute later."""
    before = archive.checks(bucket, "1")[key]
    row = before | {"checked_at": before["checked_at"] + timedelta(minutes=1), "run_id": run_id} | values
    file = Path(archive.lake.location(ledger_file(bucket, "1")))
    of = Provenance(bucket, run_id, f"{bucket}1", Provenance.read(file).listed_at, partial=True)
    table = pa.Table.from_pylist([row], of.attach(CHECKSUMS))
    keep_table(archive.lake, checksums_file(bucket, run_id), table)
