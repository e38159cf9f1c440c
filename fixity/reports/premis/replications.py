"""PREMIS events for objects of a replica that have the bytes of their source: a `replication` was observed.

Which are the same, the newest report of the pair says, so an object has its event once a report found both
sides to be the same. Comparing them does not belong here.
"""

from __future__ import annotations

from pathlib import Path

from fixity.catalog import Bucket, Pair
from fixity.lake import Lake
from fixity.lake.csv_files import read_rows, reading_with_duckdb
from fixity.lake.paths import report_file
from fixity.reports.columns import COLUMNS
from fixity.reports.premis.columns import NAMESPACE, place_of
from fixity.tables import TableUnreadable, this_software

_SQL = Path(__file__).with_suffix(".sql")
_NEEDED = {
    "key",
    "version_id",
    "status",
    "checksum_algorithm",
    "checksum_source",
    "checksum_replication",
    "size_replication",
    "etag_replication",
    "checked_source",
    "checked_replication",
}


def newest_report(lake: Lake, pair: Pair, workspace: Path) -> tuple[str, str]:
    """SQL for the rows of a pair's newest report, or '' and why there are none. Raises LakeError."""
    name = report_file(pair.name, None)
    try:
        file = lake.fetch(name, workspace)
        with file.open(encoding="utf-8", newline="") as text:
            columns, _ = read_rows(text)
    except FileNotFoundError:
        return "", ""
    except (TableUnreadable, UnicodeDecodeError) as error:
        return "", f"{name} is damaged, and no replication is told by it: {error}"
    if not _NEEDED <= set(columns) <= set(COLUMNS):
        return "", f"{name} has other columns, and no replication is told by it"
    return reading_with_duckdb(file, columns), ""


def replications(report: str, pair: Pair, replica: Bucket, source: Bucket) -> tuple[str, dict[str, object]]:
    """A query for the events of a replica's objects, and its parameters.

    Arguments: `report`, SQL for the rows of the pair's report. It needs the view `exported`.
    """
    return _SQL.read_text(encoding="utf-8").format(report=report), {
        "bucket": replica.name,
        "source": source.name,
        "place": place_of(replica),
        "source_place": place_of(source),
        "by_version": pair.match == "version",
        "namespace": NAMESPACE.hex,
        "agent": this_software(),
    }
