"""Fetches the completion report of a job, and checks that its result files are whole.

The meaning of their rows does not belong here; it is in `stage` and `join`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fixity.engines.s3_batch.errors import NoReport, ReportUnusable
from fixity.lake import Lake
from fixity.lake.proof import json_object

FORMAT = "Report_CSV_20180820"


@dataclass(frozen=True)
class ResultFile:
    """A fetched result file. kind: of tasks that `succeeded` or `failed`. place: for messages."""

    kind: str
    file: Path
    md5: str
    place: str

    def check(self) -> None:
        """Read it through, and compare its MD5 with the manifest's. Raises ReportUnusable."""
        with self.file.open("rb") as content:
            self.compare(hashlib.file_digest(content, new_md5).hexdigest())

    def compare(self, found: str) -> None:
        """Compare the MD5 of its bytes, in hex, with the manifest's. Raises ReportUnusable."""
        if found != self.md5:
            raise ReportUnusable(
                f"{self.place} does not match the report's manifest: its MD5 is {found}, not "
                f"{self.md5}; the file may be truncated or changed"
            )


def new_md5() -> hashlib._Hash:
    """An MD5 that is not used for security."""
    return hashlib.md5(usedforsecurity=False)


@dataclass(frozen=True)
class Report:
    """A fetched completion report, not checked yet. created_at: UTC."""

    results: list[ResultFile]
    created_at: datetime

    def check(self) -> None:
        """Compare the MD5 of each result file with the manifest. Raises ReportUnusable."""
        for result in self.results:
            result.check()


def fetch_report(reports: Lake, manifest: str, workspace: Path) -> Report:
    """Fetch a report by the key of its manifest, in whose folder all its files are.

    Raises ReportUnusable, NoReport if there is no manifest, LakeError.
    """
    place = reports.location(manifest)
    try:
        content = json_object(reports.read_text(manifest))
        if content["Format"] != FORMAT:
            raise ReportUnusable(f"{place} has the format {content['Format']!r}, not {FORMAT}")
        created_at = datetime.fromisoformat(content["ReportCreationDate"].replace("Z", "+00:00"))
        if created_at.tzinfo is None:
            created_at = created_at.replace(tzinfo=UTC)
        results = [
            (_kind(each), str(each["Key"]), str(each["MD5Checksum"]).lower()) for each in content["Results"]
        ]
    except FileNotFoundError as error:
        raise NoReport(f"{place} is not there") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportUnusable(f"{place} is not a manifest of a completion report: {error!r}") from error
    folder = manifest.rpartition("/")[0] + "/"
    for _, key, _ in results:
        if not key.startswith(folder):
            raise ReportUnusable(
                f"{place} names {reports.location(key)}, which is not in the folder of this job: it is the "
                "manifest of another job's report"
            )
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
        raise ReportUnusable(f"the report names {place}, but there is no such file") from error
