"""The SQLite databases in which Dagster keeps its runs and events, kept open.

Dagster opens and closes a database for each event, waits for the disk each time, and makes the tables of each
run anew: half of what a run over a small bucket costs. The files are the same as Dagster makes.
What is kept of checks is in the lake, and does not belong here.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sql

from fixity_cli.later import left_out, loaded_later

# Of no use to an instance on SQLite, and a twentieth of a second.
_UNUSED = ("alembic.autogenerate", "alembic.ddl.postgresql", "alembic.runtime.plugins", "mako.exceptions")
with loaded_later(*_UNUSED):
    from alembic.ddl import postgresql
    from alembic.ddl.impl import DefaultImpl
    from alembic.script import ScriptDirectory

_MOST_OPEN = 32
_ANSWER_STAYS = 1.0  # seconds
_WAIT = 30  # seconds for another process that writes
_OF_DAGSTER = ("SqliteEventLogStorage", "SqliteRunStorage", "SqliteScheduleStorage")


@contextmanager
def opened_at_once() -> Iterator[None]:
    """Dagster opens its SQLite files without reading its migrations, for the length of a `with` block.

    It looks whether a file has the version of any of them, and also for the newest of some eighty, each a
    module of Python. A file that has no version yet is made as before.
    """
    newest = ScriptDirectory.as_revision_number
    # Dagster has no setting for it. All that it asks here is whether there is a newest one.
    ScriptDirectory.as_revision_number = lambda scripts, name: name  # type: ignore[method-assign,assignment]
    try:
        with left_out("rich"), suppress(ImportError):  # it would colour the daemon's log
            import structlog  # noqa: F401 - Dagster does; a class of dagster.yaml may need Rich, and gets it
        with loaded_later(*_UNUSED):
            yield
    finally:
        ScriptDirectory.as_revision_number = newest  # type: ignore[method-assign]


def keep_open(instance: dg.DagsterInstance) -> None:
    """Have an instance keep its databases open until it is disposed of, if they are SQLite files of Dagster.

    Instances on other databases stay as they are.
    """
    storages: list[Any] = [instance.event_log_storage, instance.run_storage, instance.schedule_storage]
    if tuple(type(each).__name__ for each in storages) != _OF_DAGSTER:
        return  # Postgres, for example
    events, runs, schedules = storages
    index = Path(events.path_for_shard("index"))
    home = index.parents[2]
    databases = _Databases()
    # Dagster asks these methods for each connection, and has no setting for them.
    runs.connect = partial(databases.connect, home / "history" / "runs.db")
    schedules.connect = partial(databases.connect, home / "schedules" / "schedules.db")
    events.index_connection = partial(databases.connect, index)
    store_event, dispose = events.store_event, instance.dispose
    events.has_table = _asked_once(events.has_table)
    events._has_asset_key_col_on_connection = _asked_once(events._has_asset_key_col_on_connection)

    def run_connection(run_id: str | None = None) -> Any:  # noqa: ANN401 - Dagster's own says so
        return databases.connect(Path(events.path_for_shard(run_id)), index)

    def store_and_touch(event: dg.EventLogEntry) -> None:
        store_event(event)
        # The UI watches this file. Events are written to another one, beside it, until that is full.
        os.utime(events.path_for_shard(event.run_id))

    def close_too() -> None:
        dispose()
        databases.close()

    events.run_connection = run_connection
    events.store_event = store_and_touch
    instance.dispose = close_too  # type: ignore[method-assign]  # as above


def keep_all_open() -> None:
    """Have this process open all instances at once from now on, and keep their databases open."""
    make = dg.DagsterInstance.from_ref

    def make_and_keep_open(ref: Any) -> dg.DagsterInstance:  # noqa: ANN401 - Dagster exports no class
        with opened_at_once():
            instance = make(ref)
        keep_open(instance)
        return instance

    # Dagster's own commands make their instances, and nobody can hand them one.
    dg.DagsterInstance.from_ref = make_and_keep_open  # type: ignore[method-assign,assignment]


def remember_materializations(
    instance: dg.DagsterInstance, now: Callable[[], float] = time.monotonic
) -> None:
    """Have an instance remember for a second which materializations it found.

    Dagster asks for the newest one of a partition with each of its checks, and reads the whole event each
    time. What this process materializes is seen at once, what others do after that second: so this is for a
    process that executes runs, not for one that shows them. Arguments: `now`, in seconds.
    """
    events: Any = instance.event_log_storage
    fetch, store = events.fetch_materializations, events.store_event
    known: dict[object, tuple[float, Any]] = {}

    def fetch_or_remember(records_filter: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - Dagster's own
        kept, asked = known, repr((records_filter, more, named))
        at, found = kept.get(asked, (-_ANSWER_STAYS, None))
        if now() - at >= _ANSWER_STAYS:
            at, found = now(), fetch(records_filter, *more, **named)
            kept[asked] = at, found
        return found

    def store_and_forget(event: dg.EventLogEntry) -> None:
        nonlocal known
        store(event)
        if event.dagster_event is not None and event.dagster_event.is_step_materialization:
            known = {}  # another one: what a thread is still fetching is older than this event

    events.fetch_materializations = fetch_or_remember
    events.store_event = store_and_forget


def _loaded_first(dialect: sql.Dialect) -> type[DefaultImpl]:
    """What Alembic does for a dialect: it knows of a dialect once its module is loaded."""
    if dialect.name != "sqlite":
        with _loading:  # Python 3.11 gives other threads what is loaded so far
            dir(postgresql)
    return _impl_of(dialect)


_loading = threading.Lock()
_impl_of = DefaultImpl.get_by_dialect
DefaultImpl.get_by_dialect = _loaded_first  # type: ignore[method-assign]  # there is no setting


def _asked_once(has: Callable[..., bool]) -> Callable[..., bool]:
    """The same question, to which yes stays the answer. Arguments: `has`, whose last argument is a name.

    Dagster asks for each event, by an engine of its own, whether its tables and columns are there.
    """
    there = set[str]()

    def has_still(*arguments: Any) -> bool:  # noqa: ANN401 - Dagster's own
        if arguments[-1] not in there and has(*arguments):
            there.add(arguments[-1])
        return arguments[-1] in there

    return has_still


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
        try:
            made.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            # SQLite does not wait for another process that does just this.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        made.execute("begin immediate")
        if not _tables(made):  # another process may have been faster
            for table in tables:
                made.execute(table)
            made.executemany("insert into alembic_version values (?)", versions)
        made.execute("commit")


def _tables(database: sqlite3.Connection) -> list[str]:
    rows = database.execute(
        "select sql from sqlite_master where sql is not null and name not like 'sqlite_%'"
    )
    return [text for (text,) in rows]
