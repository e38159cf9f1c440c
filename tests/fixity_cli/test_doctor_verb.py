"""`fixity doctor`: its status and lines; and what Dagster's database, daemon and servers say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from devstack.loopback import LoopbackServer, S3Handler, S3Request
from devstack.postgres import PostgresServer
from devstack.redis import RedisServer
from devstack.seaweedfs import ACCESS_KEY, LISTER_KEY, SeaweedFS
from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.doctor import WRONG, Finding
from fixity.errors import FixityError, WrongUsage
from fixity.status.daemon import SILENT_AFTER
from fixity_cli.deployment import look_at_executor, look_at_instance, look_at_webserver, unfinished_runs
from fixity_cli.main import app
from tests.conftest import MakeBucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SETTINGS = Path(__file__).parents[2] / "fixity_cli" / "dagster.yaml"
DEPLOYED = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a Dagster instance, with the settings of `fixity dev`."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copyfile(SETTINGS, folder / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(folder)):
        return folder


def beat(home: Path, error: str | None = None) -> None:
    """Have all daemons of an instance say that they are there. Arguments: `error`, of the first one."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for number, kind in enumerate(instance.get_required_daemon_types()):
            info: dict[str, object] = {
                "__class__": "SerializableErrorInfo",
                "message": error,
                "stack": [],
                "cls_name": "E",
            }
            said = {
                "__class__": "DaemonHeartbeat",
                "timestamp": utc_now().timestamp(),
                "daemon_type": kind,
                "daemon_id": "one",
                "errors": [info] if error and not number else [],
            }
            heartbeat: Any = dg.deserialize_value(json.dumps(said))
            instance.add_daemon_heartbeat(heartbeat)


def wrong(findings: Any) -> list[Finding]:
    return [each for each in findings if each.state == WRONG]


def test_the_status_is_0_where_all_is_right_and_1_where_one_part_is_wrong(tmp_path: Path, home: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "lake").mkdir()
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: ./lake\nbuckets: {a: {path: a}}\n")
    beat(home)

    def ask(*words: str) -> Any:
        return CliRunner().invoke(
            app, ["doctor", *words, "--catalog", str(file)], env={"DAGSTER_HOME": str(home)}
        )

    right = ask()
    assert right.exit_code == 0, right.output
    assert (
        "ok       database: Sqlite, for one machine, with the tables of this version; it can be written\n"
        in right.stdout
    )
    assert "ok       daemon: last seen " in right.stdout
    assert f"warning  bucket a: {tmp_path}/a is empty\n         To do: mount its disk" in right.stdout
    (tmp_path / "a").rmdir()
    gone = ask("--json", "a")
    rows = [row for row in json.loads(gone.stdout)["rows"] if row["state"] != "ok"]
    assert gone.exit_code == 1 and [row["about"] for row in rows] == ["bucket a"]
    assert rows[0]["to_do"] == "mount it, or let this user read all of it"
    assert ask("b").exit_code == 2


def test_a_daemon_that_was_never_there_is_silent_or_fails_is_told(home: Path) -> None:
    (never,) = wrong(look_at_instance(home, utc_now()))
    assert never.text == "it does not run: never seen" and "dagster-daemon run" in never.to_do
    beat(home, error="the code server is gone")
    (fails,) = wrong(look_at_instance(home, utc_now()))
    assert fails.text.endswith(": the code server is gone")
    beat(home)
    assert wrong(look_at_instance(home, utc_now())) == []
    (silent,) = wrong(look_at_instance(home, utc_now() + SILENT_AFTER + timedelta(minutes=1)))
    assert silent.text.startswith("it does not run: last seen 21 min ")


def test_the_database_is_written_to_and_nothing_is_left_in_it(home: Path) -> None:
    list(look_at_instance(home, utc_now()))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("fixity_doctor") == []


def test_a_folder_that_is_no_instance_stays_as_it_is(tmp_path: Path) -> None:
    (found,) = look_at_instance(tmp_path, utc_now())
    assert found.state == WRONG and list(tmp_path.iterdir()) == []
    shutil.copyfile(SETTINGS, tmp_path / "dagster.yaml")
    (found,) = look_at_instance(tmp_path, utc_now())
    assert found.text.startswith(f"{tmp_path} has no tables of Dagster") and found.state == WRONG
    assert [each.name for each in tmp_path.iterdir()] == ["dagster.yaml"]


def test_an_empty_database_gets_no_tables_and_is_not_called_right(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    storage = postgres_server.storage(postgres_server.make_database())
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage}))
    for _ in range(2):  # nor the first time, nor by that
        (found,) = look_at_instance(tmp_path, utc_now())
        assert (found.about, found.state) == ("database", WRONG)
        assert found.text.startswith("the database has no tables of Dagster")
    with dg.DagsterInstance.from_config(str(tmp_path)):
        first = next(iter(look_at_instance(tmp_path, utc_now())))
    assert (first.about, first.state) == ("database", "ok")


def test_the_runs_of_no_instance_are_not_counted_and_none_is_made(tmp_path: Path, home: Path) -> None:
    with pytest.raises(WrongUsage, match="set DAGSTER_HOME"):
        unfinished_runs(tmp_path / "not-there")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING):
            instance.add_run(dg.DagsterRun("a job", status=status))
    counted = unfinished_runs(home)
    assert (counted["starting"], counted["canceling"], counted["queued"]) == (1, 1, 0)
    assert "success" not in counted
    (home / "dagster.yaml").write_text("storage: [no, settings]\n")
    with pytest.raises(FixityError, match=r"the runs of .* cannot be counted"):
        unfinished_runs(home)


@pytest.mark.parametrize(
    ("key", "wrong_with"), [(ACCESS_KEY, ""), (LISTER_KEY, "s3:PutObject is refused"), (None, "bucket")]
)
def test_the_bucket_for_what_steps_print_is_listed_and_written_as_a_step_does(
    home: Path,
    seaweedfs: SeaweedFS,
    make_bucket: MakeBucket,
    s3: S3Client,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    wrong_with: str,
) -> None:
    bucket = make_bucket() if key else "not-there"
    monkeypatch.setenv("FIXITY_LOGS_BUCKET", bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key or ACCESS_KEY)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it would keep the key of a test before
    settings = yaml.safe_load((home / "dagster.yaml").read_text())
    settings["compute_logs"] = yaml.safe_load((DEPLOYED / "dagster.yaml").read_text())["compute_logs"]
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    (found,) = [each for each in look_at_instance(home, utc_now()) if each.about == "logs of steps"]
    assert (found.state == WRONG, wrong_with in found.text) == (bool(wrong_with), True)
    if not wrong_with:
        assert found.text == "their bucket can be listed and written"
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_tables_of_another_version_of_dagster_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        kind = type(instance.run_storage)
    monkeypatch.setattr(kind, "alembic_version", lambda _: ("old", "new"))
    (found, _) = wrong(look_at_instance(home, utc_now()))
    assert found.about == "database" and found.to_do == "back it up, then: dagster instance migrate"


def test_a_database_that_does_not_answer_is_told_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> None:
        cause = OSError("connection to postgresql://fixity:hunter2-hunter2@db refused")
        raise RuntimeError("wrapped by Dagster") from cause

    monkeypatch.setenv("FIXITY_POSTGRES_PASSWORD", "hunter2-hunter2")
    monkeypatch.setattr(dg.DagsterInstance, "from_config", refuse)
    (found,) = look_at_instance(home, utc_now())
    assert found.about == "database" and found.state == WRONG
    assert found.text.startswith("it cannot be used: OSError: connection to postgresql://fixity:")
    assert "hunter2" not in found.text + found.to_do


def test_workers_need_a_broker_that_answers_a_worker_and_a_limit_of_their_pool(
    home: Path, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    file = home / "fixity.yaml"
    file.write_text("lake: ./lake\nexecutor: celery\nbuckets: {a: {path: a}}\n")
    celery = load_catalog(file)
    monkeypatch.delenv("FIXITY_BROKER", raising=False)
    (found,), steps = look_at_executor(celery)
    assert (found.about, found.state, steps) == ("executor", WRONG, 1) and "FIXITY_BROKER" in found.text
    monkeypatch.setenv("FIXITY_BROKER", "redis://:hunter2@127.0.0.1:9/0")
    (_, lake, silent), steps = look_at_executor(celery)
    assert lake.state == "warning" and "is a directory, and the executor may execute steps on" in lake.text
    assert silent.state == WRONG and steps is None
    assert silent.text.startswith("the broker at 127.0.0.1:9 does not answer")
    monkeypatch.setenv("FIXITY_BROKER", redis_server.url(15))
    (*_, alone), steps = look_at_executor(celery)
    assert alone.text.endswith("answers, but no worker does") and alone.to_do == "start one: fixity worker"
    monkeypatch.setenv("FIXITY_BROKER", redis_server.url(15).replace("//", "//nobody:hunter2-hunter2@"))
    (*_, refused), _ = look_at_executor(celery)
    assert "answers, and refuses us" in refused.text and "correct the user, the password" in refused.text
    assert "hunter2" not in refused.text
    beat(home)
    (pool,) = wrong(look_at_instance(home, utc_now(), steps))
    assert pool.about == "pool of steps" and "dagster instance concurrency set" in pool.to_do
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.event_log_storage.set_concurrency_slots("hash_objects", 3)
    settings = yaml.safe_load((home / "dagster.yaml").read_text())
    settings["concurrency"]["pools"]["granularity"] = "op"
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    assert wrong(look_at_instance(home, utc_now(), steps)) == []
    of_many = next(iter(look_at_instance(home, utc_now(), steps)))
    assert (of_many.about, of_many.state) == ("database", "warning") and "PostgreSQL" in of_many.to_do


class _Webserver(LoopbackServer):
    """Answers each GraphQL query with `data`."""

    def __init__(self) -> None:
        super().__init__(_Answering)
        self.data: dict[str, Any] = {}


class _Answering(S3Handler):
    server: _Webserver

    def handle_request(self, request: S3Request, body: bytes) -> None:
        assert request.path == "/graphql" and json.loads(body)["query"].startswith("{")  # no mutation
        self.send_whole(200, [], json.dumps({"data": self.server.data}).encode())


@pytest.fixture
def webserver() -> Iterator[_Webserver]:
    with _Webserver() as server:
        yield server


def test_servers_of_another_version_and_code_that_did_not_load_are_told(webserver: _Webserver) -> None:
    ours = [{"name": name, "version": version(name)} for name in ("fixity-platform", "dagster")]
    entry: dict[str, Any] = {"name": "fixity", "loadStatus": "LOADED"}
    loaded = {"dagsterLibraryVersions": ours}
    webserver.data = {
        "version": version("dagster-webserver"),
        "workspaceOrError": {"locationEntries": [{**entry, "locationOrLoadError": loaded}]},
    }
    assert wrong(look_at_webserver(webserver.endpoint_url)) == []
    ours[0]["version"] = "0.0.9"
    (older,) = wrong(look_at_webserver(webserver.endpoint_url))
    assert older.about == "code server fixity" and "fixity-platform 0.0.9" in older.text
    failed = {**entry, "locationOrLoadError": {"message": "fixity.yaml: `lake` is missing"}}
    webserver.data = {"version": "1.0", "workspaceOrError": {"locationEntries": [failed]}}
    other, broken = wrong(look_at_webserver(webserver.endpoint_url))
    assert other.about == "webserver" and "dagster-webserver 1.0" in other.text
    assert broken.text == "it did not load: fixity.yaml: `lake` is missing"
    webserver.data = {}
    (nothing,) = look_at_webserver(webserver.endpoint_url)
    assert nothing.state == WRONG and nothing.text.startswith("it gives no answer")


@pytest.mark.parametrize(
    "data", [None, [], {"workspaceOrError": {"locationEntries": []}}, {"version": "1", "workspaceOrError": 1}]
)
def test_the_answer_of_another_program_is_told(webserver: _Webserver, data: Any) -> None:
    webserver.data = data
    found = list(look_at_webserver(webserver.endpoint_url))
    assert [each.state for each in found] == [WRONG] and "Dagster's webserver" in found[0].text


def test_a_server_that_speaks_no_http_is_told(redis_server: RedisServer) -> None:
    for url in (f"http://127.0.0.1:{redis_server.port}", f"127.0.0.1:{redis_server.port}"):
        (found,) = look_at_webserver(url)
        assert found.state == WRONG and found.text.startswith("it gives no answer of Dagster's webserver: ")
