"""Databases are used again, and nobody notices; views have their columns, whatever files there are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from fixity import tables
from fixity.lake import database as module
from fixity.lake.database import new_database, open_database, opened_when_needed, own_table, view
from fixity.ledger.judge import EXPECTATIONS
from fixity.ledger.snapshot import SNAPSHOT
from fixity.reports.premis.columns import EVENTS
from tests.forked import forked

SCHEMAS = {name: each for name, each in vars(tables).items() if isinstance(each, pa.Schema)} | {
    "SNAPSHOT": SNAPSHOT,
    "EVENTS": EVENTS,
    "EXPECTED": tables.INVENTORY.append(EXPECTATIONS),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_view_without_files_has_the_columns_and_types_that_its_rows_would_have(
    name: str, tmp_path: Path
) -> None:
    with open_database(tmp_path) as database:
        view(database, "without", [], SCHEMAS[name])
        own_table(database, "of_rows", SCHEMAS[name].append(pa.field("filename", pa.string())).empty_table())
        described = [
            [row[:2] for row in database.execute(f"DESCRIBE {table}").fetchall()]
            for table in ("without", "of_rows")
        ]
    assert described[0] == described[1]


@pytest.fixture
def _none_is_idle() -> Iterator[None]:
    module._IDLE.clear()
    yield
    module._IDLE.clear()


def _setting(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    (row,) = connection.execute(f"SELECT current_setting('{name}')::VARCHAR").fetchall()
    return str(row[0])


@pytest.mark.usefixtures("_none_is_idle")
def test_a_database_that_is_used_again_has_nothing_of_the_block_before_and_the_settings_of_this_one(
    tmp_path: Path,
) -> None:
    with open_database(tmp_path / "first", "100MB", threads=2) as connection:
        connection.execute("CREATE TEMP TABLE rows AS SELECT 1; CREATE TEMP MACRO one() AS 1")
        connection.execute("CREATE TEMP VIEW viewed AS FROM rows; SET VARIABLE bucket = 'first'")
        connection.register("of_arrow", pa.table({"a": [1]}))
    (kept,) = module._IDLE
    with open_database(tmp_path / "second", "200MB", threads=1) as connection:
        assert module._IDLE == []  # it is this one
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == []
        assert connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall() == []
        assert connection.execute("SELECT getvariable('bucket')").fetchall() == [(None,)]
        with pytest.raises(duckdb.CatalogException):
            connection.execute("SELECT one()")
        assert _setting(connection, "memory_limit") == "190.7 MiB"
        assert _setting(connection, "threads") == "1"
        assert _setting(connection, "temp_directory") == str(tmp_path / "second/spill")
    (again,) = module._IDLE
    assert again is kept


@pytest.mark.usefixtures("_none_is_idle")
def test_a_database_that_has_spilled_is_not_used_again_nor_is_one_whose_block_failed(tmp_path: Path) -> None:
    spilling = "CREATE TEMP TABLE rows AS SELECT range AS a, hash(range)::VARCHAR AS b FROM range(1_000_000)"
    for name in ("first", "second"):
        with open_database(tmp_path / name, "20MB", threads=1) as connection:
            connection.execute(spilling)
            assert any((tmp_path / name / "spill").iterdir())
    module._IDLE.clear()
    with pytest.raises(duckdb.ParserException), open_database(tmp_path) as connection:
        connection.execute("no statement")
    assert module._IDLE == []


@pytest.mark.usefixtures("_none_is_idle")
def test_blocks_within_each_other_have_databases_of_their_own(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            open_database(tmp_path / "outer", "100MB") as outer,
            open_database(tmp_path / "inner", "200MB") as inner,
        ):
            assert _setting(outer, "memory_limit") != _setting(inner, "memory_limit")


def _takes_a_new_one(workspace: Path) -> None:
    assert module._IDLE == []
    with open_database(workspace, threads=2) as connection:
        assert connection.execute("SELECT count(DISTINCT range) FROM range(9000)").fetchall() == [(9000,)]


def test_a_database_that_is_not_needed_is_not_opened_and_one_that_threads_need_is_opened_once(
    tmp_path: Path,
) -> None:
    opened: list[duckdb.DuckDBPyConnection] = []

    def open_one() -> duckdb.DuckDBPyConnection:
        opened.append(new_database(tmp_path))
        return opened[-1]

    with opened_when_needed(open_one):
        pass
    assert opened == []
    with opened_when_needed(open_one) as database, ThreadPoolExecutor(4) as pool:
        assert {*pool.map(lambda _: id(database()), range(8))} == {id(opened[0])}
    assert len(opened) == 1
    with pytest.raises(duckdb.ConnectionException):  # it is closed
        opened[0].execute("SELECT 1")


def test_the_database_that_importing_duckdb_opens_is_the_first_one_and_others_get_one_of_their_own(
    tmp_path: Path,
) -> None:
    program = (
        "import sys; from pathlib import Path; from fixity.lake.database import open_database\n"
        "setting = \"SELECT current_setting('memory_limit'), current_setting('autoload_known_extensions')\"\n"
        "import _duckdb; _duckdb.connect = None; assert 'duckdb' not in sys.modules\n"  # none is opened
        f"with open_database(Path({str(tmp_path)!r}), '100MB') as ours:\n"
        "    import duckdb\n"
        f"    assert ours.execute(setting).fetchall() == [('95.3 MiB', False)]\n"
        "    ours.execute('CREATE TABLE rows AS SELECT 1')\n"
        "    assert duckdb.sql('SELECT table_name FROM duckdb_tables()').fetchall() == []\n"
        "    assert duckdb.sql(setting).fetchall() != [('95.3 MiB', False)]\n"
        "    duckdb.sql('CREATE TABLE theirs AS SELECT 1')\n"
        "    assert ours.execute('SELECT table_name FROM duckdb_tables()').fetchall() == [('rows',)]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_connection_that_somebody_may_have_used_before_is_not_taken(tmp_path: Path) -> None:
    program = (
        "import duckdb; from pathlib import Path; from fixity.lake.database import open_database\n"
        "duckdb.sql('CREATE TABLE theirs AS SELECT 1')\n"
        f"with open_database(Path({str(tmp_path)!r}), '100MB') as ours:\n"
        "    assert ours.execute('SELECT table_name FROM duckdb_tables()').fetchall() == []\n"
        "assert duckdb.sql('FROM theirs').fetchall() == [(1,)]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("_none_is_idle")
def test_a_copy_of_a_process_has_none_of_its_databases_whose_threads_it_lacks(tmp_path: Path) -> None:
    _takes_a_new_one(tmp_path)
    assert len(module._IDLE) == 1
    copy = forked(_takes_a_new_one, tmp_path)
    copy.join(60)
    assert copy.exitcode == 0
