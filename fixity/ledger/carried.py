"""What the last run over a whole bucket found, carried over to the next one without folding the ledger.

Most buckets do not change, and all their objects are right. The newest run's file then says what is expected
of every object. It may be used only if that run was judged by all other files of the ledger: its footer says
by which (`rests_on`). In every other case the ledger is folded: see `refresh` and `expected`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake import Lake, LakeFile
from fixity.lake.footer import read_footer
from fixity.lake.writer import parquet_writer
from fixity.ledger.files import ingest_tables, ledger_files, run_of
from fixity.ledger.judge import EXPECTATION, EXPECTATIONS
from fixity.ledger.snapshot import in_force
from fixity.tables import FIRST_SEEN, INVENTORY, MATCHED, REGISTERED, Provenance, TableUnreadable

_ROWS = 100_000
_MOST_UNFOLDED = 30  # files; then the snapshot is rebuilt, so that judging a run stays cheap
_SAME = ("key", "version_id", "etag", "last_modified", "size")
_FOUND = ("verdict", "algorithm", "checksum", "expected_from")


def ledger_state(lake: Lake, bucket: str) -> str:
    """A digest of the names and sizes of all files that the ledger has of a bucket. Raises LakeError.

    Ask before the ledger is folded: a file that comes meanwhile must not count as known.
    """
    return _state([*ledger_files(lake, bucket), *ingest_tables(lake, bucket)])


def carried_over(lake: Lake, bucket: str, algorithm: str, inventory: Path, workspace: Path) -> Path | None:
    """An inventory with a column `expectations`, by the newest run alone; None where that is not enough.

    It is enough if that run was judged by all other files of the ledger, found all objects right, and none of
    them has changed since, nor was one added or removed.

    Arguments: `algorithm`, the bucket's; `inventory`, a local file. Returns a file in `workspace`.
    Raises LakeError.
    """
    newest = _newest(lake, bucket)
    if newest is None:
        return None
    file = workspace / "carried.parquet"
    try:
        return file if _carry_over(inventory, lake.fetch(newest, workspace), algorithm, file) else None
    except (pa.ArrowException, OSError, KeyError, TableUnreadable):  # damaged: folding the ledger reports it
        return None


def _newest(lake: Lake, bucket: str) -> str | None:
    """The file of the newest run, if that run was judged by all other files of the ledger."""
    files = ledger_files(lake, bucket)
    if not files:
        return None
    snapshot = in_force(lake, bucket)
    folded = snapshot.folded if snapshot else {}
    if sum(run_of(file.name) not in folded for file in files) > _MOST_UNFOLDED:
        return None
    newest = max(files, key=lambda file: (file.appeared, file.name))
    try:
        rests_on = read_footer(lake, newest.name)[1].rests_on
    except (TableUnreadable, FileNotFoundError):
        return None
    files.remove(newest)
    return newest.name if rests_on == _state([*files, *ingest_tables(lake, bucket)]) else None


def _state(files: list[LakeFile]) -> str:
    listed = sorted((file.name, file.size) for file in files)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _carry_over(inventory: Path, run_file: Path, algorithm: str, file: Path) -> bool:
    """Write the inventory with `expectations` to `file`; whether the run's file was enough for it."""
    schema = Provenance.read(inventory).attach(INVENTORY.append(EXPECTATIONS))
    with pq.ParquetFile(inventory) as now, pq.ParquetFile(run_file) as before:
        if now.metadata.num_rows != before.metadata.num_rows:
            return False
        with parquet_writer(file, schema) as writer:
            for listed, checked in zip(
                now.iter_batches(_ROWS), before.iter_batches(_ROWS, columns=[*_SAME, *_FOUND]), strict=False
            ):
                if not listed.select(_SAME).equals(checked.select(_SAME)) or not _is_right(
                    checked, algorithm
                ):
                    return False
                columns = [listed[name] for name in INVENTORY.names]
                writer.write_batch(pa.RecordBatch.from_arrays([*columns, _expected(checked)], schema=schema))
    return True


def _is_right(checked: pa.RecordBatch, algorithm: str) -> bool:
    right = pc.is_in(checked["verdict"], pa.array([MATCHED, REGISTERED]))
    right = pc.and_(right, pc.equal(checked["algorithm"], algorithm))
    return bool(pc.all(pc.fill_null(right, False)).as_py())


def _expected(checked: pa.RecordBatch) -> pa.ListArray:
    """One checksum of each row, as the field EXPECTATIONS."""
    count = checked.num_rows
    source = pc.if_else(pc.equal(checked["verdict"], REGISTERED), FIRST_SEEN, checked["expected_from"])
    values = [checked["algorithm"], checked["checksum"], source, pa.repeat(False, count)]
    each = pa.StructArray.from_arrays(values, fields=list(EXPECTATION))
    return pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), each).cast(EXPECTATIONS.type)
