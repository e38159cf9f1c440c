"""The databases of runs and events, kept open: the same as Dagster's own, and read by it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import dagster as dg
import pytest
from alembic.script import ScriptDirectory

from fixity_cli.storage import keep_all_open, keep_open, opened_at_once, remember_materializations


@dg.asset
def something() -> None:
    """An asset."""


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(["one"]),
    check_specs=[dg.AssetCheckSpec(f"check_{number}", asset="checked") for number in range(5)],
)
def checked() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """An asset with five checks."""
    yield dg.MaterializeResult()
    for number in range(5):
        yield dg.AssetCheckResult(passed=True, check_name=f"check_{number}")


@dg.job
def nothing() -> None:
    """A job without a step."""


def _instance(home: Path) -> dg.DagsterInstance:
    with opened_at_once():
        instance = dg.DagsterInstance.local_temp(str(home))
    keep_open(instance)
    return instance


def _database(file: Path) -> tuple[set[tuple[str, ...]], list[tuple[str]], str]:
    with closing(sqlite3.connect(file)) as opened:
        tables = set(opened.execute("select type, name, sql from sqlite_master"))
        version = opened.execute("select version_num from alembic_version").fetchall()
        return tables, version, opened.execute("pragma journal_mode").fetchone()[0]


def test_the_database_of_a_run_is_as_dagster_makes_it(tmp_path: Path) -> None:
    made = []
    for name in ("open", "own"):
        (tmp_path / name).mkdir()
    for instance in (_instance(tmp_path / "open"), dg.DagsterInstance.local_temp(str(tmp_path / "own"))):
        with instance:
            run_id = nothing.execute_in_process(instance=instance).run_id
            made.append(_database(Path(instance.root_directory, "history", "runs", f"{run_id}.db")))
    assert made[0] == made[1]


def test_dagster_reads_what_was_kept_and_goes_on_with_it(tmp_path: Path) -> None:
    def materialize() -> str:
        return dg.materialize([something], instance=instance).run_id

    with _instance(tmp_path) as instance:
        runs = [materialize()]
        kept = instance.all_logs(runs[0])
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert instance.all_logs(runs[0]) == kept and len(kept) > 5
        runs.append(materialize())
    with _instance(tmp_path) as instance:
        runs.append(materialize())
        records = instance.fetch_materializations(something.key, limit=5).records
        assert [record.run_id for record in records] == runs[::-1]
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}


def test_whoever_watches_a_run_hears_of_its_events_while_it_goes_on(tmp_path: Path) -> None:
    heard = threading.Event()
    with _instance(tmp_path) as instance, _instance(tmp_path) as watching:
        run = instance.create_run_for_job(nothing)
        instance.report_engine_event("first", run)
        watching.watch_event_logs(run.run_id, None, lambda entry, _: heard.set())
        instance.report_engine_event("second", run)
        assert heard.wait(20)


def test_a_home_that_is_there_is_opened_without_reading_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _instance(tmp_path).dispose()
    asked = _newest_that_are_looked_for(monkeypatch)
    _instance(tmp_path).dispose()
    assert not asked


def test_what_dagsters_own_commands_open_is_opened_without_reading_migrations_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _instance(tmp_path) as instance:
        home = instance.get_ref()
    monkeypatch.setattr(dg.DagsterInstance, "from_ref", dg.DagsterInstance.from_ref)  # and back afterwards
    asked = _newest_that_are_looked_for(monkeypatch)
    keep_all_open()
    with dg.DagsterInstance.from_ref(home) as instance:
        assert nothing.execute_in_process(instance=instance).success
    assert not asked


def _newest_that_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The migrations that are looked for from now on. To find one, all are read, once in a process."""
    asked: list[str] = []
    monkeypatch.setattr(ScriptDirectory, "as_revision_number", lambda _, name: asked.append(name))
    return asked


@pytest.mark.parametrize("number", range(3))
def test_two_that_open_a_new_database_at_once_find_the_same_tables(tmp_path: Path, number: int) -> None:
    instances = [_instance(tmp_path) for _ in range(2)]
    ready, found = threading.Barrier(2), []

    def look(instance: dg.DagsterInstance) -> None:
        ready.wait()
        found.append(instance.all_logs(f"run-{number}"))

    threads = [threading.Thread(target=look, args=[instance]) for instance in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for instance in instances:
        instance.dispose()
    assert found == [[], []]


_STARTS = """
import sys, time
from pathlib import Path
import dagster as dg
from fixity_cli.instance import prepare_home
from fixity_cli.storage import opened_at_once
Path(sys.argv[2]).touch()
until = time.monotonic() + 120
while not Path(sys.argv[1], "go").exists():
    if time.monotonic() > until:
        sys.exit("nobody says when to go")
    time.sleep(0.001)
home = prepare_home(Path(sys.argv[1], "fixity.yaml"))
with opened_at_once():
    dg.DagsterInstance.local_temp(str(home))
"""


def test_commands_that_start_at_once_on_a_new_machine_do_not_make_the_same_tables(tmp_path: Path) -> None:
    ready = [tmp_path / f"ready-{number}" for number in range(3)]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _STARTS, str(tmp_path), str(each)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in ready
    ]
    deadline = time.monotonic() + 60
    while not all(each.exists() for each in ready):
        assert all(each.poll() is None for each in started), "one ended before it was to go"
        assert time.monotonic() < deadline, "they do not start"
        time.sleep(0.01)
    (tmp_path / "go").touch()
    assert [each.communicate(timeout=120)[1] for each in started] == [""] * 3
    assert [each.returncode for each in started] == [0] * 3


def test_a_new_database_whose_mode_another_process_sets_just_now_has_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = _instance(tmp_path)

    class Contended(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if "journal_mode" in statement:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(statement, *values)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Contended))
    assert instance.all_logs("run-0") == []
    instance.dispose()


def test_few_databases_stay_open_and_none_in_the_end(tmp_path: Path) -> None:
    def opened() -> int:
        links = Path("/proc/self/fd").iterdir()
        return sum(str(tmp_path) in str(link.readlink()) for link in links if link.is_symlink())

    instance = _instance(tmp_path)
    for number in range(50):
        instance.all_logs(f"run-{number}")
    assert 0 < opened() <= 3 * 32  # a database, what was written last, and an index of that
    instance.dispose()
    assert opened() == 0


def test_all_checks_of_a_run_are_about_its_own_materialization_which_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _instance(tmp_path) as instance:
        fetch = Mock(wraps=instance.event_log_storage.fetch_materializations)
        monkeypatch.setattr(instance.event_log_storage, "fetch_materializations", fetch)
        remember_materializations(instance, lambda: 0.0)
        for _ in range(2):
            run = dg.materialize([checked], instance=instance, partition_key="one")
            (made,) = instance.fetch_materializations(checked.key, limit=1).records
            targets = [each.target_materialization_data for each in run.get_asset_check_evaluations()]
            assert [target and target.storage_id for target in targets] == [made.storage_id] * 5
            assert made.run_id == run.run_id
        assert fetch.call_count == 2 * 2  # by the first check, and by this test


def test_an_answer_that_another_thread_has_made_old_meanwhile_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _instance(tmp_path) as instance:
        fetch = instance.event_log_storage.fetch_materializations

        def fetch_and_be_late(*asked: Any, **named: Any) -> Any:
            found = fetch(*asked, **named)
            if not found.records:
                instance.report_runless_asset_event(dg.AssetMaterialization(something.key))
            return found

        monkeypatch.setattr(instance.event_log_storage, "fetch_materializations", fetch_and_be_late)
        remember_materializations(instance, lambda: 0.0)
        seen = [len(instance.fetch_materializations(something.key, limit=1).records) for _ in range(2)]
        assert seen == [0, 1]


def test_what_another_process_materializes_is_seen_after_a_second(tmp_path: Path) -> None:
    time = 0.0
    with _instance(tmp_path) as instance, _instance(tmp_path) as other:
        remember_materializations(instance, lambda: time)
        seen = []
        for time in (0.0, 0.9, 1.0):
            seen.append(len(instance.fetch_materializations(something.key, limit=10).records))
            if not time:
                dg.materialize([something], instance=other)
    assert seen == [0, 0, 1]


def test_alembic_loads_what_it_needs_for_postgres_when_it_is_asked() -> None:
    asked = """
import sys
import fixity_cli.storage
from alembic.ddl.impl import DefaultImpl
from sqlalchemy.dialects.postgresql import dialect
print({"mako.ext.pygmentplugin", "alembic.autogenerate.api"} & sys.modules.keys())
print(DefaultImpl.get_by_dialect(dialect()).__name__)
"""
    said = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert said.stdout == "set()\nPostgresqlImpl\n"


def test_a_class_of_dagster_yaml_gets_rich_and_opening_without_one_does_not_load_it(tmp_path: Path) -> None:
    (tmp_path / "with_colours.py").write_text(
        "import rich.console\nfrom dagster import DefaultRunLauncher\n"
        "class Launcher(DefaultRunLauncher):\n    console = rich.console.Console()\n"
    )
    plain, own = tmp_path / "plain", tmp_path / "own"
    for home in (plain, own):
        home.mkdir()
    (plain / "dagster.yaml").touch()
    (own / "dagster.yaml").write_text("run_launcher: {module: with_colours, class: Launcher}\n")
    code = (
        "import sys\nimport dagster as dg\nfrom fixity_cli.storage import opened_at_once\n"
        "for home in sys.argv[1:]:\n"
        "    with opened_at_once(), dg.DagsterInstance.from_config(home) as instance:\n"
        "        print(type(instance.run_launcher).__name__, 'rich' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(plain), str(own)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["DefaultRunLauncher False", "Launcher True"], done.stderr
