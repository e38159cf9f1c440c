"""With which algorithm each object is read: that of the record it is held against, else the bucket's.

The objects of one algorithm are an inventory of their own in scratch, so that they are hashed as
every inventory is: in shards, parts and chunks, each object once.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import ALGORITHMS, Algorithm
from fixity.engines.stream.shards import Plan, make_plan, plan_file
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.tables import INVENTORY, Provenance

_SQL = Path(__file__).with_suffix(".sql")


def plan_ingest(
    lake: Lake, scratch: str, objects: Path, baselines: Path, usual: Algorithm, workspace: Path
) -> dict[Algorithm, Plan]:
    """Make a plan for each algorithm that is needed, and keep it below `scratch`.

    Arguments: `objects` and `baselines`, local tables; `usual`, the algorithm of objects without a record.
    Raises LakeError.
    """
    for algorithm in ALGORITHMS:  # parts of an earlier attempt may be of other objects
        lake.remove(ingest_scratch(scratch, algorithm))
    plans: dict[Algorithm, Plan] = {}
    schema = Provenance.read(objects).attach(INVENTORY)
    sql = _SQL.read_text(encoding="utf-8")
    for algorithm in ALGORITHMS:
        file = workspace / f"{algorithm}.parquet"
        rows = 0
        with open_database(workspace) as database, pq.ParquetWriter(file, schema) as writer:
            given = {"objects": str(objects), "baselines": str(baselines), "usual": usual, "now": algorithm}
            for batch in database.execute(sql, given).to_arrow_reader(ROW_GROUP_ROWS):
                table = pa.Table.from_batches([batch]).cast(INVENTORY).cast(schema)
                writer.write_table(table)
                rows += table.num_rows
        if rows:
            folder = ingest_scratch(scratch, algorithm)
            plans[algorithm] = make_plan(f"{folder}objects.parquet", file, algorithm)
            lake.put(plans[algorithm].inventory, file, replace=True)
            lake.put_text(plan_file(folder), plans[algorithm].to_json(), replace=True)
    return plans


def kept_plans(lake: Lake, scratch: str) -> dict[Algorithm, Plan]:
    """The plans that were kept below `scratch`. Raises LakeError."""
    kept = {file.name for file in lake.list(scratch)}
    names = {algorithm: plan_file(ingest_scratch(scratch, algorithm)) for algorithm in ALGORITHMS}
    return {
        algorithm: Plan.from_json(lake.read_text(name)) for algorithm, name in names.items() if name in kept
    }


def ingest_scratch(scratch: str, algorithm: Algorithm) -> str:
    """Where the parts of one algorithm are."""
    return f"{scratch}ingest-{algorithm}/"
