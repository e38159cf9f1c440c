"""The completion report of a job: which result files there are, fetched and found to be whole.

What their rows say is in `ingest`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fixity.engines.s3_batch.errors import NoReport, ReportUnusable
from fixity.lake import Lake

FORMAT = "Report_CSV_20180820"


@dataclass(frozen=True)
class ResultFile:
    """A result file, fetched. kind: of tasks that `succeeded` or `failed`. place: for people."""

    kind: str
    file: Path
    md5: str
    place: str

    def check(self) -> None:
        """Whether it is what the manifest says, by its MD5. Raises ReportUnusable."""
        with self.file.open("rb") as content:
            found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != self.md5:
            raise ReportUnusable(
                f"{self.place} is not what the report's manifest says: its MD5 is {found}, and not "
                f"{self.md5}; it may have been cut short or changed"
            )


@dataclass(frozen=True)
class Report:
    """A completion report, fetched and not yet checked. created_at: UTC."""

    results: list[ResultFile]
    created_at: datetime

    def check(self) -> None:
        """Whether all result files are whole. Raises ReportUnusable."""
        for result in self.results:
            result.check()


def fetch_report(reports: Lake, manifest: str, workspace: Path) -> Report:
    """Fetch a report by the key of its manifest.

    Raises ReportUnusable, NoReport where there is no manifest, LakeError.
    """
    place = reports.location(manifest)
    try:
        text = reports.read_text(manifest)
    except FileNotFoundError as error:
        raise NoReport(f"{place} is not there") from error
    try:
        said = json.loads(text)
        if said["Format"] != FORMAT:
            raise ReportUnusable(f"{place} has the format {said['Format']!r}, not {FORMAT}")
        created_at = datetime.fromisoformat(said["ReportCreationDate"].replace("Z", "+00:00"))
        if created_at.tzinfo is None:
            created_at = created_at.replace(tzinfo=UTC)
        results = [
            (_kind(each), str(each["Key"]), str(each["MD5Checksum"]).lower()) for each in said["Results"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportUnusable(f"{place} is no manifest of a completion report: {error!r}") from error
    return Report([_fetch(reports, *each, workspace) for each in results], created_at)


def _kind(result: dict[str, Any]) -> str:
    kind = result["TaskExecutionStatus"]
    if kind not in ("succeeded", "failed"):
        raise ValueError(f"a result file of tasks that {kind}")
    return str(kind)


def _fetch(reports: Lake, kind: str, key: str, md5: str, workspace: Path) -> ResultFile:
    place = reports.location(key)
    try:
        return ResultFile(kind, reports.fetch(key, workspace), md5, place)
    except FileNotFoundError as error:
        raise ReportUnusable(f"the report names {place}, which is not there") from error
