"""The SQLite databases in which Dagster keeps its runs and events, kept open.

Dagster opens and closes a database for each event, waits for the disk each time, and makes the tables of each
run anew: half of what a run over a small bucket costs. The files are the same as Dagster's own storage makes.
What is kept of checks is in the lake, and does not belong here.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import dagster as dg
import sqlalchemy as sql

# The settings of Dagster name its storages by such paths.
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

_MOST_OPEN = 32
_WAIT = 30  # seconds for another process that writes


class OpenStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage, over databases that stay open."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:  # noqa: ANN401 - Dagster exports no class
        runs_file = Path(base_dir, "history", "runs.db")
        schedules_file = Path(base_dir, "schedules", "schedules.db")
        if _is_made(runs_file) and _is_made(schedules_file):
            # Dagster would read all its migrations, to see that the tables are there.
            super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]
            self.base_dir = base_dir
            self._inst_data = inst_data
            self._run_storage = SqliteRunStorage(f"sqlite:///{runs_file}")
            self._event_log_storage = SqliteEventLogStorage(str(runs_file.with_name("runs")))
            self._schedule_storage = SqliteScheduleStorage(f"sqlite:///{schedules_file}")
        else:
            super().__init__(base_dir, inst_data)
        self._databases = _Databases()
        # Dagster asks these methods for each connection, and has no setting for them.
        connect = self._databases.connect
        runs: Any = self.run_storage
        runs.connect = partial(connect, runs_file)
        schedules: Any = self.schedule_storage
        schedules.connect = partial(connect, schedules_file)
        events: Any = self.event_log_storage
        store_event = events.store_event
        index = Path(events.path_for_shard("index"))

        def run_connection(run_id: str | None = None) -> Any:  # noqa: ANN401 - Dagster's own says so
            return connect(Path(events.path_for_shard(run_id)), index)

        def store_and_touch(event: dg.EventLogEntry) -> None:
            store_event(event)
            # The UI watches this file. Events are written to another one, beside it, until that is full.
            os.utime(events.path_for_shard(event.run_id))

        events.run_connection = run_connection
        events.index_connection = partial(connect, index)
        events.store_event = store_and_touch

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:  # noqa: ANN401 - as above
        """See Dagster's ConfigurableClass."""
        return cls(config_value["base_dir"], inst_data)

    def dispose(self) -> None:
        """See Dagster's DagsterStorage."""
        super().dispose()
        self._databases.close()


class _Databases:
    """Open databases, those that were used last. Threads may use them at once."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, sql.Engine] = OrderedDict()
        self._using = threading.Lock()

    @contextmanager
    def connect(self, file: Path, like: Path | None = None) -> Iterator[sql.Connection]:
        """A transaction. Arguments: `like`, whose tables the database is to have, if it has none yet."""
        with self._using:
            engine = self._open.pop(file, None) or _open(file, like)
            self._open[file] = engine
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1].dispose()
        with engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all. They are opened again when they are asked for."""
        with self._using:
            for engine in self._open.values():
                engine.dispose()
            self._open.clear()


def _open(file: Path, like: Path | None) -> sql.Engine:
    if like is not None:
        _make_tables(file, like)
    settings = {"timeout": _WAIT, "check_same_thread": False}
    engine = sql.create_engine(
        f"sqlite:///{file}", poolclass=sql.QueuePool, max_overflow=-1, connect_args=settings
    )

    @sql.event.listens_for(engine, "connect")
    def do_not_wait_for_the_disk(connection: sqlite3.Connection, _: object) -> None:
        # A power cut may take the last events of a run with it. Nothing that counts is in them alone.
        connection.execute("pragma synchronous = normal")

    return engine


def _make_tables(file: Path, like: Path) -> None:
    """Give a database the tables of another one, and its version, unless it has some."""
    with closing(sqlite3.connect(file, _WAIT, isolation_level=None)) as made:
        if _tables(made):
            return
        with closing(sqlite3.connect(like, _WAIT)) as other:
            tables = _tables(other)
            versions = other.execute("select version_num from alembic_version").fetchall()
        made.execute("pragma journal_mode = wal")
        made.execute("begin immediate")
        if not _tables(made):  # another process may have been faster
            for table in tables:
                made.execute(table)
            made.executemany("insert into alembic_version values (?)", versions)
        made.execute("commit")


def _is_made(file: Path) -> bool:
    if not file.exists():
        return False
    with closing(sqlite3.connect(file, _WAIT)) as database:
        return any("alembic_version" in table for table in _tables(database))


def _tables(database: sqlite3.Connection) -> list[str]:
    rows = database.execute(
        "select sql from sqlite_master where sql is not null and name not like 'sqlite_%'"
    )
    return [text for (text,) in rows]
