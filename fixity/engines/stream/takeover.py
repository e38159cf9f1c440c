"""What a new run takes over from interrupted runs of the same bucket: checks, and states of large objects.

All checks that an interrupted run made stand in its scratch, whatever step, process or machine made them. A
new run over the same objects makes only the others. A check that is taken over keeps its time and its run,
and is compared anew with what is expected. Nothing is taken over from a run that listed another place or
selected other objects, nor if it is older than scratch is kept. The scratch of those runs stays as it is:
they may go on themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.clock import CLOCKS_DIFFER, utc_now
from fixity.engines.stream.checkpoints import object_of
from fixity.engines.stream.parts import TAKEN
from fixity.engines.stream.shards import Plan, parts_folder, plan_file, states_folder, taken_file
from fixity.lake import Lake, LakeFile
from fixity.lake.database import open_database, quoted, view
from fixity.lake.sweep import SCRATCH_DAYS
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.ledger.files import ledger_files, usable_files
from fixity.tables import CHECKSUMS, Provenance

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql")
_STATES = pa.schema(
    [
        ("name", pa.string()),
        ("key", pa.string()),
        ("version_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True)
class Taken:
    """What is taken over: a local table of checks (TAKEN), their number and the time of the first; the states
    of objects that were not finished, by the names of their files."""

    file: Path
    checks: int
    oldest: datetime | None
    states: dict[str, str]

    def keep(self, lake: Lake, scratch: str, plan: Plan) -> None:
        """Put it into a run's scratch, for its plan. Raises LakeError."""
        if self.checks:
            lake.put(taken_file(scratch, plan), self.file, replace=True)
        for name, text in self.states.items():
            lake.put_text(states_folder(scratch) + name, text, replace=True)


def take_over(
    lake: Lake,
    plan: Plan,
    objects: Path,
    workspace: Path,
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> Taken | None:
    """What interrupted runs have checked of the objects of a new run; None if there is nothing.

    Arguments: `plan` of the new run; `objects` that it reads, a local file; `log` gets what cannot be used.
    Raises LakeError.
    """
    parts, states = _left_behind(lake, plan, now() - timedelta(days=SCRATCH_DAYS), log)
    if not (parts or states):
        return None
    assert plan.bucket is not None  # or nothing would have been found
    usable, damaged = usable_files(lake, plan.bucket, parts, workspace)
    for each in damaged:
        log(f"{lake.location(each.name)} {each.why}: its objects are read again")
    with open_database(workspace) as database:
        view(database, "kept", [file.path for file in usable], CHECKSUMS)
        files = _ledger_since(lake, plan.bucket, _oldest(database, states))
        newer, unreadable = usable_files(lake, plan.bucket, files, workspace)
        if unreadable:  # a later check may stand there
            log(f"nothing is taken over from interrupted runs: {unreadable[0].name} {unreadable[0].why}")
            return None
        view(database, "ledger", [file.path for file in newer], CHECKSUMS)
        file = workspace / "taken.parquet"
        checks, oldest = _checks(database, plan, objects, file, now())
        found = Taken(file, checks, oldest, _states(lake, database, states))
    return found if found.checks or found.states else None


def _left_behind(
    lake: Lake, plan: Plan, since: datetime, log: Callable[[str], None]
) -> tuple[list[LakeFile], list[LakeFile]]:
    """The parts and the states that runs over the same objects left since then."""
    files = lake.list("scratch/")
    recent = [file for file in files if file.appeared >= since]
    parts: list[LakeFile] = []
    states: list[LakeFile] = []
    for scratch, before in _plans(lake, files, log):
        if before.is_over_the_same(plan):
            of_checks = parts_folder(scratch, before), taken_file(scratch, before)
            parts += [file for file in recent if file.name.startswith(of_checks)]
            states += [file for file in recent if file.name.startswith(states_folder(scratch))]
    return parts, states


def _plans(lake: Lake, files: list[LakeFile], log: Callable[[str], None]) -> Iterator[tuple[str, Plan]]:
    """The scratch of each run that has a plan, and the plan."""
    for file in files:
        scratch = f"{PurePosixPath(file.name).parent}/"
        if file.name != plan_file(scratch):
            continue
        try:
            yield scratch, Plan.from_json(lake.read_text(file.name))
        except FileNotFoundError:  # the run has just ended
            continue
        except (ValueError, KeyError, TypeError) as error:
            log(
                f"{lake.location(file.name)} cannot be used, and nothing is taken over from that run: "
                f"{error!r}"
            )


def _oldest(database: duckdb.DuckDBPyConnection, states: list[LakeFile]) -> datetime | None:
    """The time of the first check or state."""
    first = database.execute("SELECT min(checked_at) AS first FROM kept").to_arrow_table().column("first")
    times = [*first.drop_null().to_pylist(), *(state.appeared for state in states)]
    return min(times, default=None)


def _ledger_since(lake: Lake, bucket: str, oldest: datetime | None) -> list[LakeFile]:
    """The files of the ledger that may have a check since then."""
    if oldest is None:
        return []
    return [file for file in ledger_files(lake, bucket) if file.appeared >= oldest - CLOCKS_DIFFER]


def _checks(
    database: duckdb.DuckDBPyConnection, plan: Plan, objects: Path, file: Path, now: datetime
) -> tuple[int, datetime | None]:
    """Write the checks to take over to `file`; returns their number, and the time of the first."""
    expected = "expectations" in pq.read_schema(objects).names
    algorithms = "list_transform(expectations, lambda each: each.algorithm)" if expected else "NULL"
    database.execute(
        "CREATE TEMP VIEW objects AS "
        "SELECT file_row_number AS row, key, version_id, etag, last_modified, size, "
        f"coalesce({algorithms}, []::VARCHAR[]) AS algorithms "
        f"FROM read_parquet({quoted(objects)}, file_row_number = true)"
    )
    reader = database.execute(
        _SQL.read_text(encoding="utf-8"),
        {
            "algorithm": plan.algorithm,
            "since": now - timedelta(days=SCRATCH_DAYS),
            "horizon": now + CLOCKS_DIFFER,
        },
    ).to_arrow_reader(ROW_GROUP_ROWS)
    schema = Provenance.read(objects).attach(TAKEN)
    rows, oldest = 0, None
    with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer:
        for batch in reader:
            table = pa.Table.from_batches([batch]).select(TAKEN.names).cast(schema)
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            rows += table.num_rows
            first = pc.min(table.column("checked_at")).as_py()
            oldest = min(first, oldest or first)
    return rows, oldest


def _states(lake: Lake, database: duckdb.DuckDBPyConnection, states: list[LakeFile]) -> dict[str, str]:
    """The states of objects of which no check is known that ended later. They belong to unfinished reads."""
    texts: dict[str, str] = {}
    rows = []
    for file in sorted(states, key=lambda file: file.appeared):  # of two, the later counts
        text = lake.read_text(file.name)
        name, found = PurePosixPath(file.name).name, object_of(text)
        if found is not None:
            texts[name] = text
            rows.append({"name": name, "key": found[0], "version_id": found[1], "at": file.appeared})
    database.register("states", pa.Table.from_pylist(rows, _STATES))
    finished = database.execute(
        "SELECT s.name FROM states AS s SEMI JOIN ("
        "SELECT key, version_id, checked_at FROM kept UNION ALL "
        "SELECT key, version_id, checked_at FROM ledger) AS c "
        "ON c.key = s.key AND c.version_id IS NOT DISTINCT FROM s.version_id AND c.checked_at >= s.at - ?",
        [CLOCKS_DIFFER],
    ).fetchall()
    for (name,) in finished:
        texts.pop(name, None)
    return texts
