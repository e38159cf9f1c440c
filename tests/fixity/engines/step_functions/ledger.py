"""A bucket with a lake, and what a map tells of its objects."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fixity.catalog import Bucket, LedgerMapping
from fixity.engines.step_functions.checks import MapChecks, MapChecksWriter
from fixity.engines.step_functions.gather import MapOutput
from fixity.engines.step_functions.keep_checks import KeptChecks, MapManifest, keep_checks
from fixity.lake import LocalLake
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.current import current_checksums
from fixity.ledger.judge import LookAgain
from tests.fixity.support import (
    NOON,
    MemoryStore,
    sha256,
)

DAY = timedelta(days=1)
READ = NOON + DAY  # after all objects of a MemoryStore were written
WRITTEN_AT = READ + DAY
MAPPING: dict[str, Any] = {
    "bucket": "$.bucket",
    "key": "$.key",
    "checksum": "$.sha256",
    "version": "$.version",
}


def told(
    tmp_path: Path,
    *outputs: object,
    began: datetime | None = READ,
    ended: datetime | None = None,
    buckets: list[Bucket] | None = None,
    **mapping: Any,
) -> MapChecks:
    mapped = LedgerMapping(**{**MAPPING, **mapping})
    taker = MapChecksWriter(mapped, buckets or [Bucket(name="b")], tmp_path / "told.parquet")
    for output in outputs:
        taker.take(MapOutput(output, began, ended or (began + timedelta(seconds=1) if began else None)))
    return taker.close()


def said(key: str, body: bytes, **more: object) -> dict[str, object]:
    return {"bucket": "b", "key": key, "sha256": sha256(body), **more}


def rows(file: Path) -> list[dict[str, Any]]:
    return pq.read_table(file).to_pylist()  # type: ignore[no-any-return]


class Ledger:
    """A bucket `b` in memory, with a lake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = LocalLake(folder / "lake")
        self.store: MemoryStore = MemoryStore()
        self.bucket = Bucket(name="b")

    def keep(
        self,
        found: MapChecks,
        run_id: str = "run",
        written_at: datetime = WRITTEN_AT,
        look_again: LookAgain = lambda checks, expectations: checks,
    ) -> KeptChecks:
        run = BucketRun(self.lake, self.bucket, run_id)
        manifest = MapManifest("s3://results/c/u/i/manifest.json", written_at)
        return keep_checks(run, self.store, found, manifest, look_again=look_again)

    def kept(self, checks: KeptChecks) -> list[dict[str, Any]]:
        assert checks.table is not None
        return rows(self.lake.fetch(checks.table.file, self.folder))

    def current(self) -> dict[str, tuple[str, str | None, str | None]]:
        """What the bucket's table says now: status, checksum and evidence by key."""
        file, _ = current_checksums(self.lake, "b", self.folder)
        return {row["key"]: (row["status"], row["checksum"], row["evidence"]) for row in rows(file)}
