"""Gathers the records of the objects themselves part by part, with one or two requests for each object.

Each part is kept in the lake's scratch at once, so a re-execution of a killed run continues after the last
part. The kinds of records and their order belong to `attributes` and `record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import ListedObject, ObjectSkipped
from fixity.catalog import Algorithm
from fixity.ingest.records.record import Record, rank
from fixity.lake import Lake
from fixity.tables import Provenance

PART_OBJECTS = 2_000
RECORDS = pa.schema(
    [
        ("key", pa.string()),
        ("version_id", pa.string()),
        ("algorithm", pa.string()),
        ("checksum", pa.string()),
        ("recorded_as", pa.string()),
        ("recorded_in", pa.string()),
        ("rank", pa.int32()),
        ("recorded_at", pa.timestamp("us", tz="UTC")),
        ("problem", pa.string()),
        ("other_keys", pa.list_(pa.string())),
        ("if_missing", pa.string()),
        ("may_name", pa.string()),
    ]
)
"""Gathered records with their rank."""


def records_table(records: Iterable[Record], preferred: Algorithm) -> pa.Table:
    """Records as a table; `preferred`, the algorithm that is taken first among those of one kind."""
    rows = [
        (
            *record[:6],
            rank(record.source, record.algorithm, preferred),
            record.recorded_at,
            record.problem,
            *record[8:],
        )
        for record in records
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in RECORDS]
    return pa.table(columns, schema=RECORDS)


class GatheredParts:
    """The parts of one inventory in the scratch of a run.

    Arguments: `objects`, a local inventory; `preferred` as for `records_table`; `workspace`, where parts
    are written first.
    """

    def __init__(
        self, lake: Lake, scratch: str, objects: Path, preferred: Algorithm, workspace: Path
    ) -> None:
        # Those of another listing, or ranked for another algorithm, are not these.
        of = Provenance.read(objects).inventory_run_id
        self._folder = f"{gathered_scratch(scratch)}{of}-{preferred}/"
        self._lake = lake
        self._preferred = preferred
        self._workspace = workspace
        self._kept = {file.name for file in lake.list(self._folder)}

    @property
    def kept(self) -> int:
        """The number of parts that were there when this run began."""
        return len(self._kept)

    def records(
        self,
        look: Callable[[ListedObject], list[Record]],
        first: int,
        items: list[ListedObject],
        threads: Executor,
    ) -> pa.Table:
        """The records of `items`, which stand in the inventory from row `first` on.

        Arguments: `look` asks for the records of an object.
        Raises BucketUnreachable, LakeError; the parts gathered until then stay.
        """
        name = f"{self._folder}{first:012d}-{len(items)}.parquet"
        if name in self._kept:
            return pq.read_table(self._lake.fetch(name, self._workspace))
        gathered = threads.map(_looking(look), items)
        table = records_table(chain.from_iterable(gathered), self._preferred)
        file = self._workspace / "gathered.parquet"
        pq.write_table(table, file)
        self._lake.put(name, file, replace=True)
        return table


def gathered_scratch(scratch: str) -> str:
    """The folder of the parts. Remove it after the table of all records is kept."""
    return f"{scratch}baselines/"


def _looking(look: Callable[[ListedObject], list[Record]]) -> Callable[[ListedObject], list[Record]]:
    def look_if_there(item: ListedObject) -> list[Record]:
        try:
            return look(item)
        except ObjectSkipped as error:  # reading it will give the same error
            return [Record(item.key, item.version_id, None, None, "object-metadata", "HEAD", str(error))]

    return look_if_there
