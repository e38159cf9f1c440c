"""Holds COMPOSITE checksums of a report against earlier ones of the same objects.

Such a checksum is of the checksums of an object's parts. Nothing else can be compared with it, so it proves
nothing by itself: its check says so, and is a warning of the bucket. But while nobody writes an object, its
parts stay the same, and with them this checksum. One that changed has no place among what is right.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fixity import compute as pc
from fixity.lake import Lake
from fixity.lake.database import open_database, view
from fixity.ledger.files import ledger_files, usable_files
from fixity.ledger.judge import COMPOSITE, COMPOSITE_CHANGED, COMPOSITE_CHECKSUM
from fixity.ledger.views import define_content
from fixity.tables import CHECKSUMS, FAILED, SUCCEEDED

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_MEMORY = "500MB"
_MESSAGE = "a COMPOSITE checksum is compared with nothing: choose `checksum_type: FULL_OBJECT`"


def settle_composites(checks: pa.Table, files: list[Path], workspace: Path) -> pa.Table:
    """The checks of a range of keys, by a job for COMPOSITE checksums.

    Those that succeeded say that they were compared with nothing; those whose checksum is not the first one
    of the same object failed. Arguments: `files`, local files of the ledger, from `files_of_ledger`.
    """
    composite = pc.and_(
        pc.equal(checks["status"], SUCCEEDED),
        pc.fill_null(pc.equal(checks["checksum_type"], COMPOSITE), False),
    ).combine_chunks()
    checks = _replaced(checks, "error_code", composite, COMPOSITE_CHECKSUM)
    checks = _replaced(checks, "error_message", composite, _MESSAGE)
    if not files or not checks.num_rows:
        return checks
    with open_database(workspace, _MEMORY) as database:
        said = _changed(database, checks, files)
    changed = said.is_valid()
    for name, value in (
        *(("status", FAILED), ("error_code", COMPOSITE_CHANGED), ("bytes_read", 0)),
        *(("checksum", None), ("checksum_type", None)),
    ):
        checks = _replaced(checks, name, changed, value)
    return _set(checks, "error_message", pc.coalesce(said, checks["error_message"]))


def files_of_ledger(lake: Lake, bucket: str, workspace: Path) -> list[Path]:
    """Local copies of the files of a bucket's ledger that can be read. Raises LakeError."""
    return [file.path for file in usable_files(lake, bucket, ledger_files(lake, bucket), workspace)[0]]


def _changed(database: duckdb.DuckDBPyConnection, checks: pa.Table, files: list[Path]) -> pa.Array:
    """For each check what is wrong with its COMPOSITE checksum; NULL for nothing."""
    define_content(database)
    view(database, "ledger", files, CHECKSUMS)
    database.register("checks", checks.append_column("row", pa.arange(0, checks.num_rows)))
    ends = {"lower": checks["key"][0].as_py(), "upper": checks["key"][-1].as_py()}
    return database.execute(_SQL, ends).to_arrow_table()["said"].combine_chunks().cast(pa.string())


def _replaced(checks: pa.Table, name: str, mask: pa.Array, value: object) -> pa.Table:
    return _set(
        checks, name, pc.if_else(mask, pa.scalar(value, checks.schema.field(name).type), checks[name])
    )


def _set(checks: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    place = checks.schema.get_field_index(name)
    return checks.set_column(place, checks.schema.field(place), column)
