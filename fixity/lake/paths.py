"""The names of everything in the lake, in one place. Names use '/' and are relative to its root."""

from __future__ import annotations

from datetime import date

ROLLING = "rolling"
"""The folder of scratch that belongs to rolling runs."""

LATEST = "0000-00-00-LATEST"
"""Stands for the date in the path of the newest report."""


def inventory_file(bucket: str, run_id: str) -> str:
    """The inventory that a run took of a bucket."""
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


def report_file(pair: str, day: date | None) -> str:
    """The CSV of a pair's report of a day (UTC) or, without one, of the newest."""
    return f"reports/{day or LATEST}/checksums/{pair}_checksum-report.csv"


def stats_file(pair: str, day: date | None) -> str:
    """The counts of a pair's report as JSON, of a day (UTC) or, without one, of the newest."""
    return f"metadata/{day or LATEST}/checksums/stats/{pair}_checksum-report.json"


def scratch_folder(root_run_id: str) -> str:
    """Parts of a run in progress, from which its re-execution goes on."""
    return f"scratch/{root_run_id}/"


def standing_folder(bucket: str) -> str:
    """What the ledger says of each object of a bucket, folded: derived, and made anew where it is lost."""
    return f"standing/{bucket}/"


def claims_folder(bucket: str) -> str:
    """The rolling runs of a bucket that are in progress: what each has taken, and has checked so far."""
    return f"scratch/{ROLLING}/{bucket}/"


def premis_folder(bucket: str) -> str:
    """The PREMIS events of a bucket's checks, two files for each of its ledger's."""
    return f"premis/{bucket}/"
