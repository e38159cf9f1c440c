"""The end of a rolling run: its checks become a file of the ledger, and new rows of the snapshot.

The run does this itself or, if it was killed, the next run does it. All checks are kept, and none twice,
because a run's file of the ledger has the run's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake import Lake
from fixity.lake.latest import point_to_latest
from fixity.lake.paths import checksums_file, checksums_folder
from fixity.lake.writer import TableWriter
from fixity.ledger import Settings, fold_checks, keep_since
from fixity.ledger.damage import Damage, damages
from fixity.ledger.expected import expectations_of
from fixity.ledger.judge import UNSTABLE_READ, judged
from fixity.ledger.snapshot import in_force
from fixity.ledger.still_changed import changed_among, kept_open
from fixity.ledger.write import Checksums, refuse_clocks
from fixity.rolling.lease import CHECKS, Lease, algorithm_of
from fixity.tables import CHECKSUMS, FAILED, LISTED_COLUMNS, SUCCEEDED, Provenance


@dataclass(frozen=True)
class Rolled(Checksums):
    """The result of a rolling run; without a file if nothing was checked.

    `registered`: objects whose baseline it registered. `damaged`: those of its objects that are damaged.
    `not_reached`: objects that it had taken and did not check. `cut_short`: why it took less than was due.
    """

    registered: int = 0
    damaged: list[Damage] = field(default_factory=list)
    not_reached: int = 0
    cut_short: str | None = None


def finish(
    lake: Lake,
    lease: Lease,
    settings: Settings,
    now: datetime,
    cut_short: str | None = None,
) -> Rolled:
    """Keep a run's checks. Its lease stays, so that it can be done again until the result is known.

    The checks are judged by the snapshot that the objects were chosen from. If there is a newer snapshot, or
    the run's file in the ledger lacks a check, nothing is added to it; it is rebuilt from the run's file when
    it is needed. Raises LakeError.
    """
    with lake.workspace() as workspace:
        taken = lease.batches(lake, workspace)
        batches = [pq.read_table(file) for file in taken]
        checks = [pq.read_table(file, schema=CHECKS) for file in lease.checks(lake, workspace)]
        objects = sum(batch.num_rows for batch in batches)
        if not checks:
            return Rolled(not_reached=objects, cut_short=cut_short)
        ended = _each_once(pa.concat_tables(checks))
        rows = pa.concat_tables(batches).take(ended.column("position"))
        name = checksums_file(lease.bucket, lease.run_id)
        file, before = workspace / "ledger.parquet", workspace / "before.parquet"
        chosen = Provenance.read(taken[0])
        # The catalog may name another one since.
        settings = replace(settings, algorithm=algorithm_of(taken[0]) or settings.algorithm)
        provenance = replace(chosen, run_id=lease.run_id, partial=True)
        writer = TableWriter(file, CHECKSUMS, provenance)
        ended = _ledger_rows(rows, ended, settings.algorithm, lease.run_id, workspace)
        for batch in ended.to_batches():
            writer.write(batch)
        writer.close()
        pq.write_table(rows, before)
        newest = refuse_clocks(lake, provenance, file, now)
        try:
            lake.put(name, file, keep=True)
        except FileExistsError:  # the run was killed after this; a check that ended later is not in that file
            file = lake.fetch(name, workspace)
            ended = pq.read_table(file)
        changed = workspace / "changed.parquet"
        fold_checks(settings, chosen.listed_at, before, file, changed, now)
        snapshot = in_force(lake, lease.bucket)
        is_whole = ended.num_rows == rows.num_rows
        if snapshot is not None and snapshot.generation == chosen.run_id and is_whole:
            keep_since(lake, snapshot, changed, lease.run_id, now)
        after = pq.read_table(changed)
        # The pointer names the file that was kept last, even one of an older listing: a table with all rows
        # of the newest listing no longer has the newest check of each object.
        listed_at = max([chosen.listed_at, *([snapshot.provenance.listed_at] if snapshot else [])])
        point_to_latest(
            lake,
            checksums_folder(lease.bucket),
            replace(provenance, listed_at=listed_at),
            newest=newest,
            now=lambda: now,
        )
    return Rolled.counted(
        name,
        ended,
        registered=pc.sum(pc.equal(after.column("baseline_run"), lease.run_id)).as_py() or 0,
        damaged=damages(after.filter(pc.equal(after.column("run_id"), lease.run_id))),
        not_reached=objects - ended.num_rows,
        cut_short=cut_short,
    )


def _each_once(checks: pa.Table) -> pa.Table:
    """One check of each object. Of two that a shard's attempts made of other bytes, neither counts."""
    if pc.count_distinct(checks.column("position")).as_py() == checks.num_rows:
        return checks
    rows: dict[int, dict[str, Any]] = {}
    for row in checks.to_pylist():
        first = rows.setdefault(row["position"], row)
        if first["status"] != SUCCEEDED == row["status"]:
            rows[row["position"]] = row
        elif row["status"] == SUCCEEDED and first["checksum"] != row["checksum"]:
            rows[row["position"]] = {
                **row,
                "status": FAILED,
                "checksum": None,
                "other_checksums": None,
                "error_code": UNSTABLE_READ,
                "error_message": f"two reads gave different bytes: {first['checksum']}, "
                f"and {row['checksum']}",
            }
    return pa.Table.from_pylist(list(rows.values()), CHECKS)


def _ledger_rows(rows: pa.Table, ended: pa.Table, algorithm: str, run_id: str, workspace: Path) -> pa.Table:
    columns = {name: rows.column(name) for name in LISTED_COLUMNS}
    columns |= {name: ended.column(name) for name in ended.column_names if name != "position"}
    done = pc.equal(ended.column("status"), SUCCEEDED)
    columns["checksum_type"] = pc.if_else(done, "FULL_OBJECT", pa.scalar(None, pa.string()))
    same = {"algorithm": algorithm, "evidence": "streamed", "run_id": run_id}
    columns |= {name: pa.repeat(value, rows.num_rows) for name, value in same.items()}
    checks = judged(pa.table(columns), expectations_of(rows, workspace)).sort_by("key")
    return kept_open(checks, changed_among(rows))
