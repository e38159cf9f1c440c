"""The tables of a package that are no figures: settings, catalogs, exceptions, what was told, problems.

Each is a CSV with a header. What is counted from the raw files is in `figures`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from fixity.catalog import Catalog
from fixity.evidence.lives import write_lives
from fixity.evidence.order import Order
from fixity.lake import Lake
from fixity.lake.csv_files import csv_line
from fixity.lake.times import TimesUnknown
from fixity.rolling.coverage import COUNTS
from fixity.status import history_of
from fixity.version import SOFTWARE

_PACKAGES = (SOFTWARE, "dagster", "duckdb", "pyarrow", "bagit", "cryptography")


@dataclass
class Tables:
    """Writes the tables of a package into its folder `data`. problems: as `Raw.problems`; gets more."""

    lake: Lake
    catalog: Catalog
    order: Order
    data: Path
    problems: dict[str, str] = field(default_factory=dict)

    def write_policy(self) -> None:
        """What was to be done: the period, the buckets' settings, the catalogs and when each was in force."""
        self._write("policy/period.csv", ("since", "until"), [(self.order.since, self.order.until)])
        columns = (
            "bucket",
            "place",
            "algorithm",
            "engine",
            "versions",
            "term",
            "archived",
            "exclude",
            "pairs",
        )
        self._write("policy/buckets.csv", columns, map(self._settings, self.order.buckets))
        (self.data / "policy" / "catalog.yaml").write_bytes(self.catalog.file.read_bytes())
        of_catalogs = ("catalog", "first_run_at", "last_run_at", "runs")
        self._write("policy/catalogs.csv", of_catalogs, self._catalogs())

    def _settings(self, name: str) -> Sequence[object]:
        bucket = self.catalog.buckets[name]
        term = int(bucket.fixity_every.total_seconds()) if bucket.fixity_every else None
        return (
            name,
            self.catalog.place_of(bucket),
            bucket.algorithm,
            bucket.engine,
            bucket.versions,
            term,
            bucket.archived,
            " ".join(bucket.exclude),
            " ".join(pair.name for pair in self.catalog.pairs_of(name)),
        )

    def _catalogs(self) -> Iterator[Sequence[object]]:
        """Each catalog that runs had, by the name of its file, in the order of its first run."""
        runs: dict[str, list[str]] = {}
        for file in sorted((self.data / "lake/log/runs").glob("*.json")):
            try:
                run = json.loads(file.read_bytes())
                runs.setdefault(run["catalog"], []).append(run["began_at"] or "")
            except (ValueError, KeyError, TypeError) as error:
                self.problems[f"log/runs/{file.name}"] = f"it cannot be read: {error}"
        for sha256, times in sorted(runs.items(), key=lambda each: min(each[1])):
            if sha256:
                yield f"lake/log/catalogs/{sha256}.yaml", min(times), max(times), len(times)

    def write_redated(self, redated: Mapping[str, datetime]) -> None:
        """What the later times of tables count as that a wrong clock dated ahead, for queries.sql."""
        rows = ((f"lake/{name}", at) for name, at in sorted(redated.items()))
        self._write("redated.csv", ("file", "counts_as"), rows)

    def write_exceptions(self, keys: Iterable[tuple[str, set[str]]]) -> tuple[int, int]:
        """The whole lives of objects, by bucket and key, and of those that are damaged or lost now.

        Returns how many are damaged, and how many are lost.
        """
        damaged = lost = 0
        for bucket, of_bucket in keys:
            folder = self.data / "exceptions" / bucket
            try:
                wrong = write_lives(self.lake, self.catalog, bucket, of_bucket, folder)
            except TimesUnknown as error:  # nobody knows which check is the newest
                self.problems[f"the lives of objects in {bucket}, and which are damaged or lost today"] = str(
                    error
                )
                continue
            damaged, lost = damaged + wrong.damaged, lost + wrong.lost
            more = [text for text in wrong.not_read if not any(name in text for name in self.problems)]
            if more:
                self.problems[f"the lives of objects in {bucket}"] = "; ".join(more)
        return damaged, lost

    def write_told(self) -> None:
        """What the platform itself said of each bucket's coverage, day by day."""
        columns = ("bucket", "at", "run_id", *COUNTS, "red")
        rows = [
            (bucket, day.at, day.run_id, *(day.counts.get(name) for name in COUNTS), " ".join(day.red))
            for bucket in self.order.buckets
            for day in history_of(self.lake, "coverage", bucket)
            if self.order.since <= day.at < self.order.until
        ]
        self._write("coverage/told.csv", columns, rows)

    def write_about(self, withdrawn: Mapping[str, str]) -> None:
        """The software that makes the package, and the files that could not be used or were withdrawn."""
        versions = [("Python", platform.python_version()), *((name, version(name)) for name in _PACKAGES)]
        self._write("software.csv", ("software", "version"), versions)
        self._write("problems.csv", ("file", "problem"), sorted(self.problems.items()))
        self._write("withdrawn.csv", ("file", "reason"), sorted(withdrawn.items()))

    def _write(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        file = self.data / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8", newline="") as out:
            out.write(csv_line(columns))
            out.writelines(csv_line(map(_cell, row)) for row in rows)


def _cell(value: object) -> object:
    return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}" if isinstance(value, datetime) else value
