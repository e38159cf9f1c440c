"""The figures of a package: counted by its own queries.sql from the raw tables in it, as anybody can.

Which raw tables there are is in `raw`. The statement that compares the figures is added here, because it
names the columns of each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake.csv_files import reading_with_duckdb
from fixity.lake.database import new_database, open_database, quoted
from fixity.tables import CHECKSUMS, DRILLS, INCIDENT_EVENTS, INVENTORY

_QUERIES = Path(__file__).parent / "texts" / "queries.sql"
FIGURES = (
    "coverage",
    "checks_by_month",
    "exceptions",
    "incidents",
    "drills",
    "reports",
    "software",
)
"""The views of queries.sql that are kept as figures."""

_EMPTY = {
    "checks": CHECKSUMS,
    "inventory": INVENTORY,
    "incidents": INCIDENT_EVENTS,
    "drills": DRILLS,
}
_MEMORY = "1GB"
_COMPARED = """
SELECT {name} AS figure, (SELECT count(*) FROM {view}) AS rows, CASE WHEN EXISTS (
    (SELECT COLUMNS(*)::VARCHAR FROM {view} EXCEPT FROM {kept})
    UNION ALL (FROM {kept} EXCEPT SELECT COLUMNS(*)::VARCHAR FROM {view})
) THEN 'DIFFERENT' ELSE 'same' END AS compared
"""


def count_figures(data: Path, workspace: Path) -> dict[str, list[dict[str, Any]]]:
    """Write queries.sql and figures/*.csv into a package, and return the figures without the exceptions.

    Arguments: `data`, the package's folder, with lake/ and policy/. The keys with exceptions may be many:
    they are in the file. Raises duckdb.Error.
    """
    (data / "empty").mkdir()
    (data / "figures").mkdir()
    for name, schema in _EMPTY.items():
        pq.write_table(schema.remove_metadata().empty_table(), data / "empty" / f"{name}.parquet")
    (data / "empty" / "report.json").write_text(json.dumps({}))
    queries = _QUERIES.read_text(encoding="utf-8")
    compared, found = [], {}
    with new_database(workspace, _MEMORY) as database:
        database.execute(f"SET file_search_path = {quoted(data)}")
        database.execute(queries)
        for name in FIGURES:
            database.execute(f"CREATE TEMP TABLE counted AS FROM {name}")
            database.execute(
                f"COPY counted TO {quoted(data / 'figures' / f'{name}.csv')} (FORMAT csv, HEADER)"
            )
            columns = [row[0] for row in database.execute("DESCRIBE counted").fetchall()]
            if name != "exceptions":
                found[name] = database.execute("FROM counted").to_arrow_table().to_pylist()
            database.execute("DROP TABLE counted")
            kept = reading_with_duckdb(Path("figures") / f"{name}.csv", columns)
            compared.append(_COMPARED.format(name=quoted(name), view=name, kept=kept).strip())
    text = "\n\n-- Are the figures what these queries count?\n" + "\nUNION ALL\n".join(compared) + ";\n"
    (data / "queries.sql").write_text(queries.rstrip() + text, encoding="utf-8")
    return found


def exceptions_of(data: Path, bucket: str, workspace: Path) -> set[str]:
    """The keys of a bucket that figures/exceptions.csv has."""
    columns = ["bucket", "key", "version_id", "differed", "failed", "first_at", "last_at"]
    rows = reading_with_duckdb(data / "figures" / "exceptions.csv", columns)
    with open_database(workspace) as database:
        found: pa.Table = database.execute(
            f"SELECT DISTINCT key FROM {rows} WHERE bucket = ?", [bucket]
        ).to_arrow_table()
    return set(found.column("key").to_pylist())
