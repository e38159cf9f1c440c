"""The names of all files and folders in the lake. Names use '/' and are relative to its root.

Reading and writing files does not belong here.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime

ROLLING = "rolling"
"""The scratch folder of rolling runs."""

LEASES = f"scratch/{ROLLING}/"
"""The same as a folder of the lake, with a folder for each bucket."""

EXPIRED = "-expired-"
"""Part of the names of the ledger's files about expired restores."""

LOOKED_AGAIN = "-again-"
"""Part of the names of the ledger's files about second looks at a pair's suspect rows."""

SNAPSHOTS = "standing/"
"""The folder of all snapshots."""

GIVEN = "expected/"
"""The folder of all checksums given by hand."""

INCIDENTS = "incidents/"
"""The folder of all events of incidents, with a folder for each incident."""

SET_ASIDE = "set-aside/"
"""The folder of all unusable files that were kept for people to look at."""

STATUS = "status/"
"""The folder of the newest results of all asset checks, with a folder for each asset."""

PAGES = "pages/"
"""The folder of all pages for people."""

REPAIRS = "repairs/"
"""The folder of repairs by jobs of S3 Batch, with a folder for each pair."""

ALERTS_FILE, DAEMON_FILE, OUTSIDE_FILE = (
    f"{STATUS}alerts.json",
    f"{STATUS}daemon.json",
    f"{STATUS}outside.json",
)
"""What was told to the targets of alerts, when the daemon last ticked, and how far the log is proved from
outside."""

LATEST = "0000-00-00-LATEST"
"""Replaces the date in the path of the newest report."""

_COPY = re.compile(rf"(reports|metadata)/({LATEST}/.*|[^/]+/checksums/(stats/)?[^/]+)")


def is_report(name: str) -> bool:
    """Whether a run's report or its counts have this name, which is never replaced; copies of it are."""
    return name.startswith(("reports/", "metadata/")) and not _COPY.fullmatch(name)


def inventory_file(bucket: str, run_id: str) -> str:
    """A run's inventory of a bucket."""
    return f"{inventory_folder(bucket)}{run_id}.parquet"


def inventory_folder(bucket: str) -> str:
    """All inventories of a bucket."""
    return f"inventory/{bucket}/"


def checksums_file(bucket: str, run_id: str) -> str:
    """A run's part of a bucket's ledger."""
    return f"{checksums_folder(bucket)}{run_id}.parquet"


def checksums_folder(bucket: str) -> str:
    """A bucket's ledger: every check ever made."""
    return f"checksums/{bucket}/"


def report_file(pair: str, day: date | None, run_id: str | None = None) -> str:
    """The CSV of a pair's report: of a run on a day (UTC); a copy of the newest of the day, without a run; a
    copy of the newest of all, without a day."""
    return f"reports/{day or LATEST}/checksums/{_of(run_id)}{pair}_checksum-report.csv"


def stats_file(pair: str, day: date | None, run_id: str | None = None) -> str:
    """The counts of a pair's report as JSON; see `report_file`."""
    return f"metadata/{day or LATEST}/checksums/stats/{_of(run_id)}{pair}_checksum-report.json"


def copies_file(pair: str, day: date | None, run_id: str | None = None) -> str:
    """The CSV of all copies of a pair with several replicas; see `report_file`."""
    return f"reports/{day or LATEST}/checksums/{_of(run_id)}{pair}_copies-report.csv"


def copies_stats_file(pair: str, day: date | None, run_id: str | None = None) -> str:
    """The counts of a report of all copies as JSON; see `report_file`."""
    return f"metadata/{day or LATEST}/checksums/stats/{_of(run_id)}{pair}_copies-report.json"


def _of(run_id: str | None) -> str:
    return f"{run_id}/" if run_id else ""


def baselines_file(bucket: str, run_id: str) -> str:
    """The recorded checksums that a run found for a bucket."""
    return f"{baselines_folder(bucket)}{run_id}.parquet"


def baselines_folder(bucket: str) -> str:
    """All tables of recorded checksums of a bucket."""
    return f"baselines/{bucket}/"


def expected_folder(bucket: str) -> str:
    """The checksums given by hand for a bucket, one file for each import."""
    return f"{GIVEN}{bucket}/"


def tags_file(bucket: str, run_id: str) -> str:
    """What was written to the tags of the objects that a run checked, where the catalog asks for tags."""
    return f"{tags_folder(bucket)}{run_id}.parquet"


def tags_folder(bucket: str) -> str:
    """What was written to the tags of a bucket's objects, a file each run."""
    return f"tags/{bucket}/"


def expired_file(bucket: str, run_id: str, attempt: int) -> str:
    """The part of a bucket's ledger with objects whose restored copies expired before they were read."""
    return f"{checksums_folder(bucket)}{run_id}{EXPIRED}{attempt}.parquet"


def ingest_folder(bucket: str) -> str:
    """Results of ingest runs of earlier versions, which kept them apart from the ledger."""
    return f"ingest/{bucket}/"


def ingest_report_file(bucket: str, day: date | None, run_id: str) -> str:
    """The CSV of an ingest report: of a run on a day (UTC), or of the newest if `day` is None."""
    name = f"{bucket}_{run_id}" if day else bucket
    return f"reports/{day or LATEST}/ingest/{name}_ingest-report.csv"


def ingest_stats_file(bucket: str, day: date | None, run_id: str) -> str:
    """The counts of an ingest report as JSON; see `ingest_report_file`."""
    name = f"{bucket}_{run_id}" if day else bucket
    return f"metadata/{day or LATEST}/ingest/stats/{name}_ingest-report.json"


def deposit_report_file(bucket: str, at: datetime) -> str:
    """The CSV of a deposit verified at a time (UTC)."""
    return f"reports/{at.date()}/deposits/{bucket}_{at:%H%M%S-%f}_deposit-report.csv"


def selection_file(bucket: str, name: str) -> str:
    """A list of objects of a bucket that a run should check."""
    return f"selections/{bucket}/{name}.json"


def restored_file(bucket: str, run_id: str) -> str:
    """The state of a bucket's restores, as a run found it."""
    return f"{restored_folder(bucket)}{run_id}.parquet"


def restored_folder(bucket: str) -> str:
    """All tables of a bucket's restores."""
    return f"restored/{bucket}/"


def scratch_folder(root_run_id: str, asset: str | None = None) -> str:
    """Scratch of a run in progress, for its re-execution: of one asset, or of all."""
    return f"scratch/{root_run_id}/{asset}/" if asset else f"scratch/{root_run_id}/"


def unkept_reads_folder(bucket: str) -> str:
    """The folder of the notes of what was read of a bucket for checks that are not kept."""
    return f"scratch/unkept-reads/{bucket}/"


def records_folder(folder: str) -> str:
    """The records of the files of a folder: what proves them (`fixity.lake.proof`)."""
    return f"log/records/{folder}"


def snapshot_folder(bucket: str) -> str:
    """A bucket's snapshot: the ledger folded into one row an object. Derived; rebuilt if it is lost."""
    return f"{SNAPSHOTS}{bucket}/"


def leases_folder(bucket: str) -> str:
    """A bucket's rolling runs in progress: the objects that each has leased, and those checked so far."""
    return f"{LEASES}{bucket}/"


def set_aside_folder(bucket: str, run_id: str) -> str:
    """Unusable files that a rolling run left behind, kept for people to look at."""
    return f"{SET_ASIDE}{bucket}/{run_id}/"


def premis_folder(bucket: str) -> str:
    """The PREMIS events of a bucket: for each export a table and its documents."""
    return f"premis/{bucket}/"


def incident_file(incident_id: str, name: str) -> str:
    """A file of events of an incident; its name tells the time and the first event."""
    return f"{INCIDENTS}{incident_id}/{name}.parquet"


def drills_folder(bucket: str) -> str:
    """All drills of a bucket, with a folder for each."""
    return f"drills/{bucket}/"


def drill_file(bucket: str, drill_id: str, name: str) -> str:
    """A drill's objects: as they were `damaged`, or when the drill was `over`."""
    return f"{drills_folder(bucket)}{drill_id}/{name}.parquet"


def message_file(digest: str) -> str:
    """A message of a queue that could not be used, kept for people to look at, by the digest of its body."""
    return f"messages/{digest}.json"


def status_file(asset: str, partition: str | None) -> str:
    """The newest results of an asset's checks for a partition; None: it has no partitions."""
    return f"{STATUS}{asset}/{partition or '_all'}.json"


def history_file(asset: str, partition: str | None) -> str:
    """What these checks said on each of the last days; `partition` as in `status_file`."""
    return f"history/{asset}/{partition or '_all'}.json"


def page_file(kind: str, name: str) -> str:
    """The page of a `bucket`, a `pair` or an `incident`. The name of an incident may be any folder's."""
    safe = name if re.fullmatch(r"[A-Za-z0-9._-]{1,190}", name) else hashlib.sha256(name.encode()).hexdigest()
    return f"{PAGES}{kind}-{safe}.html"
