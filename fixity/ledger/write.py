"""Writes a run's file of the ledger and counts its checks. The file is kept whole or not at all.

How checks are made does not belong here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake import Lake
from fixity.lake.footer import newest_in
from fixity.lake.latest import point_to_latest
from fixity.lake.paths import checksums_file, checksums_folder
from fixity.lake.writer import TableWriter
from fixity.ledger.clocks import refuse_times_ahead, refuse_wrong_clock
from fixity.ledger.still_changed import changed_objects, kept_open
from fixity.tables import CHECKSUMS, FAILED, SKIPPED, SUCCEEDED, Provenance, naming_the_unreadable


@dataclass(frozen=True)
class Checksums:
    """A run's checks as kept: the file's name in the lake, rows by status, bytes that were read.

    `reasons` counts the error codes of failed and skipped checks.
    """

    file: str = ""
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    bytes_read: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        """All rows."""
        return self.succeeded + self.failed + self.skipped

    @classmethod
    def counted(cls, file: str, checks: pa.Table, **more: Any) -> Self:  # noqa: ANN401
        """The counts of a table of checks. Arguments: `more`, the fields of a subclass."""
        statuses = _count(checks.column("status"))
        return cls(
            file,
            statuses[SUCCEEDED],
            statuses[FAILED],
            statuses[SKIPPED],
            pc.sum(checks.column("bytes_read")).as_py() or 0,
            dict(sorted(_count(checks.column("error_code").drop_null()).items())),
            **more,
        )


class ChecksWriter:
    """Writes a run's file of the ledger and counts its checks.

    Use it as a context, then `keep` it; after an error within, nothing is kept.
    Arguments: `provenance`, with the bucket and the run, which give the file its name.
    """

    def __init__(self, lake: Lake, provenance: Provenance, workspace: Path) -> None:
        self._lake = lake
        self._provenance = provenance
        self._file = workspace / "checksums.parquet"
        self._writer = TableWriter(self._file, CHECKSUMS, provenance)
        self._statuses: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._bytes_read = 0
        self._changed = changed_objects(lake, provenance.bucket, workspace)

    @property
    def rows(self) -> int:
        """Checks taken."""
        return self._statuses.total()

    def write(self, checks: pa.Table) -> None:
        """Take the next checks, of the schema CHECKSUMS."""
        checks = kept_open(checks, self._changed)
        self._statuses += _count(checks.column("status"))
        self._reasons += _count(checks.column("error_code").drop_null())
        self._bytes_read += pc.sum(checks.column("bytes_read")).as_py() or 0
        for batch in checks.combine_chunks().to_batches():
            self._writer.write(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._writer.close()
        else:
            self._writer.abandon()

    def keep(self) -> Checksums:
        """Put the file into the lake as `checksums/<bucket>/<run id>.parquet`.

        Raises LakeError, ClockWrong.
        """
        name = checksums_file(self._provenance.bucket, self._provenance.run_id)
        newest = refuse_clocks(self._lake, self._provenance, self._file)
        self._lake.put(name, self._file)
        folder = checksums_folder(self._provenance.bucket)
        point_to_latest(self._lake, folder, self._provenance, newest=newest)
        return Checksums(
            name,
            self._statuses[SUCCEEDED],
            self._statuses[FAILED],
            self._statuses[SKIPPED],
            self._bytes_read,
            dict(sorted(self._reasons.items())),
        )


def refuse_clocks(lake: Lake, provenance: Provenance, file: Path, now: datetime | None = None) -> datetime:
    """Raise ClockWrong if checks that are to be kept are dated ahead, or the bucket's other tables are.

    Arguments: `file`, a local file of the checks; `now` in UTC, None: by this machine's clock.
    Returns the newest time of the checks (UTC). Raises LakeError.
    """
    refuse_wrong_clock(lake, provenance.bucket, now)
    newest = newest_in(pq.read_metadata(file), provenance.listed_at)
    refuse_times_ahead(checksums_file(provenance.bucket, provenance.run_id), newest, now)
    return newest


def kept_before(lake: Lake, provenance: Provenance, workspace: Path) -> Checksums | None:
    """The file that an earlier attempt of this run kept, if any.

    It is not replaced: its checks would then be compared with themselves. Raises LakeError, TableUnreadable.
    """
    name = checksums_file(provenance.bucket, provenance.run_id)
    try:
        file = lake.fetch(name, workspace)
    except FileNotFoundError:
        return None
    with naming_the_unreadable(file):
        kept = Checksums.counted(name, pq.read_table(file, columns=["status", "error_code", "bytes_read"]))
        newest = newest_in(pq.read_metadata(file), provenance.listed_at)
    point_to_latest(lake, checksums_folder(provenance.bucket), provenance, newest=newest)
    return kept


def _count(column: pa.ChunkedArray) -> Counter[str]:
    return Counter({item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()})
