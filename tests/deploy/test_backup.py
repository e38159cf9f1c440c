"""What docs/how-to/backup.md says, done with a real database.

A lake and its database that are restored into an empty place say the same, and tables of an older Dagster are
brought up to date.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sql
import yaml
from alembic import command
from alembic.config import Config
from typer.testing import CliRunner, Result

from devstack.postgres import USER, PostgresServer
from fixity.clock import utc_now
from fixity.doctor import WRONG
from fixity_cli.deployment import look_at_instance
from fixity_cli.main import app

REPOSITORY = Path(__file__).resolve().parents[2]
REPORT = "lake/reports/0000-00-00-LATEST/checksums/letters_checksum-report.csv"


def make_home(folder: Path, server: PostgresServer, database: str) -> Path:
    """The folder of a Dagster instance with the settings of `fixity dev`, but for its database."""
    said = yaml.safe_load((REPOSITORY / "fixity_cli" / "dagster.yaml").read_text())
    folder.mkdir()
    (folder / "dagster.yaml").write_text(yaml.safe_dump({**said, "storage": server.storage(database)}))
    return folder


def fixity(place: Path, *words: str) -> Result:
    """Run the command in this process, with the catalog and the instance of a place."""
    home = {"DAGSTER_HOME": str(place / "home")}
    return CliRunner().invoke(app, [*words, "--catalog", str(place / "fixity.yaml")], env=home)


def rows(place: Path) -> list[dict[str, str]]:
    with (place / REPORT).open(newline="") as text:
        return list(csv.DictReader(text))


def of_postgres(server: PostgresServer, program: str, *words: str) -> None:
    address = ["--host=127.0.0.1", f"--port={server.port}", f"--username={USER}"]
    subprocess.run([program, *address, *words], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("pg_restore") is None, reason="needs pg_dump and pg_restore")
def test_a_lake_and_its_database_that_are_restored_into_an_empty_place_say_the_same(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    buckets = {name: {"path": str(tmp_path / name)} for name in ("letters", "copies")}
    for name in buckets:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("a letter")
    (tmp_path / "copies" / "b").write_text("only here")
    before.mkdir()
    pairs = {"letters": {"replica": "copies", "replication_lag": "0s"}}
    catalog = {"lake": "./lake", "log": {"key": "key.pem"}, "buckets": buckets, "pairs": pairs}
    (before / "fixity.yaml").write_text(yaml.safe_dump(catalog))
    database = postgres_server.make_database()
    make_home(before / "home", postgres_server, database)
    assert fixity(before, "log", "init").exit_code == 0
    assert fixity(before, "verify", "letters").exit_code == 1  # of an object that is only in the replica
    assert fixity(before, "log", "seal").exit_code == 0

    # The backup: the database first, so that the lake has all that it knows of.
    dump = tmp_path / "fixity.dump"
    of_postgres(postgres_server, "pg_dump", "--format=custom", f"--file={dump}", database)
    kept = tmp_path / "kept"
    shutil.copytree(before, kept, ignore=shutil.ignore_patterns("home", "scratch", "standing"))

    shutil.copytree(kept, after)
    restored = postgres_server.make_database()
    of_postgres(postgres_server, "pg_restore", "--no-owner", f"--dbname={restored}", str(dump))
    make_home(after / "home", postgres_server, restored)
    verified = fixity(after, "log", "verify")
    assert verified.exit_code == 0, verified.output
    assert rows(after) == rows(before) != []
    for verb, status in (("report", 1), ("status", 1)):
        assert fixity(after, verb, "letters").exit_code == status
    assert rows(after) == rows(before)  # made anew from the ledger, without its snapshots
    runs = [{run.run_id for run in instance_of(place).get_runs()} for place in (before, after)]
    assert runs[0] < runs[1]  # and the report that was made since
    assert fixity(after, "log", "seal").exit_code == 0  # what is new goes on after what was sealed

    (ledger,) = (after / "lake/checksums/letters").glob("*.parquet")
    ledger.unlink()
    missed = fixity(after, "log", "verify")
    assert missed.exit_code == 1 and ledger.name in missed.stderr


def instance_of(place: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(place / "home"))


def test_tables_of_an_older_dagster_are_found_and_migrated_with_their_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer
) -> None:
    database = postgres_server.make_database()
    home = make_home(tmp_path / "home", postgres_server, database)

    @dg.job
    def nothing() -> None:
        pass

    with dg.DagsterInstance.from_config(str(home)) as instance:
        run_id = nothing.execute_in_process(instance=instance).run_id
    config = Config(str(files("dagster_postgres") / "alembic" / "alembic.ini"))
    url = f"postgresql+psycopg2://{USER}@127.0.0.1:{postgres_server.port}/{database}"
    engine = sql.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "7e2f3204cf8e")  # of the version before the last two
        command.downgrade(config, "-1")
    engine.dispose()

    found = [each for each in look_at_instance(home, utc_now()) if each.about == "database"]
    assert [each.state for each in found] == [WRONG]
    assert found[0].to_do == "back it up, then: dagster instance migrate"
    (program,) = entry_points(group="console_scripts", name="dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["dagster", "instance", "migrate"])
    with pytest.raises(SystemExit) as ended:
        program.load()()
    assert ended.value.code in (0, None)
    assert [each.state for each in look_at_instance(home, utc_now()) if each.about == "database"] == ["ok"]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert [run.run_id for run in instance.get_runs()] == [run_id]
