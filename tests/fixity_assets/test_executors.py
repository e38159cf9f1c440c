"""Executors by name: what each is told, and what is said where one cannot be used."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import docker
import pytest
import yaml

from devstack.loopback import LoopbackServer, S3Handler, S3Request
from fixity.catalog import CatalogError, Executor
from fixity.clock import utc_now
from fixity.errors import WrongUsage
from fixity.lake import open_lake
from fixity.status import status_of
from fixity_assets.executors import executor_of
from jobs.names import CHECKSUMS_JOB
from resources import CatalogResource, StoresResource
from sensors.failed_runs import keep_failed_run
from tests.fixity_assets.elsewhere import docker_job, ecs_job, k8s_job, silent_broker_job
from tests.platform import PAIR, Platform

IMAGE = "registry.example/fixity:1"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on disk, as executors of several machines want one."""
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance")) as on_disk:
        yield on_disk


def failed(job: object, instance: dg.DagsterInstance) -> str:
    """Why a run of a job failed."""
    with dg.execute_job(
        dg.reconstructable(job),  # type: ignore[arg-type]
        instance,
        tags={"dagster/partition": PAIR},
    ) as result:
        return str([event.event_specific_data for event in result.all_events if event.is_failure])


def choose(platform: Platform, monkeypatch: pytest.MonkeyPatch, executor: object) -> None:
    platform.put("a")
    platform.more["executor"] = executor
    monkeypatch.setenv("FIXITY_CATALOG", str(platform.file))


@pytest.mark.parametrize("name", ["k8s", "ecs", "docker"])
def test_the_definitions_load_with_each_executor_whose_steps_a_pool_limits(
    platform: Platform, name: str
) -> None:
    platform.more["executor"] = name
    definitions = platform.definitions()
    assert isinstance(definitions.executor, dg.ExecutorDefinition) and definitions.executor.name == name
    job = definitions.resolve_job_def(CHECKSUMS_JOB)
    pools = {each.name: each.pool for each in job.all_node_defs if isinstance(each, dg.OpDefinition)}
    assert pools["hash_objects"] == "hash_objects"
    assert pools["plan_shards"] is None


@pytest.mark.filterwarnings("ignore:Function `docker_executor`:dagster.BetaWarning")
def test_a_step_of_docker_gets_the_image_the_variables_and_the_command(
    platform: Platform, local: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    class Containers:
        def create(self, image: str, **said: Any) -> None:
            asked.append({"image": image, **said})
            raise RuntimeError("here is no engine")

    class Client:
        containers = Containers()

    monkeypatch.setattr(docker.client, "from_env", Client)
    settings = {"image": IMAGE, "env_vars": ["FIXITY_CATALOG=/etc/fixity.yaml"], "networks": ["fixity"]}
    choose(platform, monkeypatch, {"kind": "docker", "settings": settings})
    assert "here is no engine" in failed(docker_job, local)
    (step,) = asked
    assert (step["image"], step["network"]) == (IMAGE, "fixity")
    assert step["environment"]["FIXITY_CATALOG"] == "/etc/fixity.yaml"
    assert step["environment"]["DAGSTER_RUN_STEP_KEY"] == "inventory"
    assert step["command"][:3] == ["dagster", "api", "execute_step"]


class _Kubernetes(S3Handler):
    server: Kubernetes

    def handle_request(self, request: S3Request, body: bytes) -> None:
        if request.method == "POST":
            self.server.asked.append((request.path, json.loads(body)))
        self.send_whole(422, [("Content-Type", "application/json")], b'{"message": "here are no pods"}')


class Kubernetes(LoopbackServer):
    """An API server that keeps what it is asked for, and refuses it."""

    def __init__(self) -> None:
        super().__init__(_Kubernetes)
        self.asked: list[tuple[str, dict[str, Any]]] = []


def test_a_step_of_kubernetes_is_a_job_with_the_image_the_variables_and_the_command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Kubernetes() as server:
        kubeconfig = tmp_path / "kubeconfig"
        here = {"name": "here", "cluster": {"server": server.endpoint_url}}
        context = {"name": "here", "context": {"cluster": "here", "user": ""}}
        said = {"clusters": [here], "contexts": [context], "current-context": "here"}
        kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "users": [], **said}))
        launcher = {
            "job_image": IMAGE,
            "job_namespace": "archive",
            "service_account_name": "fixity",
            "dagster_home": "/opt/dagster",
            "instance_config_map": "dagster-instance",
            "load_incluster_config": False,
            "kubeconfig_file": str(kubeconfig),
            "env_vars": ["FIXITY_CATALOG=/etc/fixity.yaml"],
        }
        home = tmp_path / "kubernetes"
        home.mkdir()
        choose(platform, monkeypatch, "k8s")
        of_pods = {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher}
        with dg.DagsterInstance.local_temp(str(home), {"run_launcher": of_pods}) as instance:
            assert "here are no pods" in failed(k8s_job, instance)
    path, job = server.asked[0]
    assert path.partition("?")[0] == "/apis/batch/v1/namespaces/archive/jobs"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert container["image"] == IMAGE
    assert container["args"][:3] == ["dagster", "api", "execute_step"]
    assert (variables["FIXITY_CATALOG"], variables["DAGSTER_RUN_STEP_KEY"]) == (
        "/etc/fixity.yaml",
        "inventory",
    )


class _Ecs(S3Handler):
    server: Ecs

    def handle_request(self, request: S3Request, body: bytes) -> None:
        if request.method == "GET":  # what a task is told of itself
            self._say(200, {"Cluster": "archive", "TaskARN": _TASK, "Name": "fixity"})
            return
        asked = str(request.headers["X-Amz-Target"]).rpartition(".")[2]
        self.server.asked.append((asked, json.loads(body)))
        if asked == "RunTask":
            self._say(400, {"__type": "ClientException", "message": "here are no tasks"})
        elif asked == "DescribeTasks":
            task = {"taskArn": _TASK, "clusterArn": "archive", "taskDefinitionArn": _DEFINITION}
            self._say(200, {"tasks": [task]})
        else:
            containers = {"containerDefinitions": [{"name": "fixity", "image": IMAGE}]}
            self._say(200, {"taskDefinition": {"taskDefinitionArn": _DEFINITION, **containers}})

    def _say(self, status: int, answer: object) -> None:
        self.send_whole(status, [("Content-Type", "application/x-amz-json-1.1")], json.dumps(answer).encode())


_TASK = "arn:aws:ecs:us-east-1:111122223333:task/archive/0123456789abcdef"
_DEFINITION = "arn:aws:ecs:us-east-1:111122223333:task-definition/fixity:7"


class Ecs(LoopbackServer):
    """ECS, and what a task of it is told of itself. It keeps what it is asked for, and starts no task."""

    def __init__(self) -> None:
        super().__init__(_Ecs)
        self.asked: list[tuple[str, dict[str, Any]]] = []


def test_a_step_of_ecs_is_a_task_of_the_runs_own_definition_with_the_command_and_its_settings(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Ecs() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", server.endpoint_url)
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", f"{server.endpoint_url}/v4/task-of-the-run")
        choose(platform, monkeypatch, {"kind": "ecs", "settings": {"cpu": 1024, "memory": 2048}})
        launcher = {
            "task_definition": _DEFINITION,
            "container_name": "fixity",
            "use_current_ecs_task_config": False,
            "run_task_kwargs": {"cluster": "archive", "launchType": "FARGATE"},
        }
        home = tmp_path / "ecs"
        home.mkdir()
        of_tasks = {"module": "dagster_aws.ecs", "class": "EcsRunLauncher", "config": launcher}
        with dg.DagsterInstance.local_temp(str(home), {"run_launcher": of_tasks}) as instance:
            assert "here are no tasks" in failed(ecs_job, instance)
    step = next(body for asked, body in server.asked if asked == "RunTask")
    assert (step["taskDefinition"], step["cluster"]) == (_DEFINITION, "archive")
    assert (step["overrides"]["cpu"], step["overrides"]["memory"]) == ("1024", "2048")
    (container,) = step["overrides"]["containerOverrides"]
    assert container["name"] == "fixity"
    assert container["command"][:3] == ["dagster", "api", "execute_step"]


def test_a_step_in_a_container_that_knows_nothing_of_its_executor_reads_nothing(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put("a")
    monkeypatch.setenv("DAGSTER_RUN_STEP_KEY", "checksums.plan_shards")
    job = platform.definitions().resolve_job_def(CHECKSUMS_JOB)
    result = job.execute_in_process(instance=instance, partition_key=PAIR, raise_on_error=False)
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "name the same `executor` in the catalog for all containers" in str(failure.user_failure_data)


def test_without_a_limit_of_the_pool_nothing_is_read(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    stores = StoresResource(catalog=CatalogResource(file=str(platform.file)), steps=None)
    job = platform.definitions(stores=stores).resolve_job_def(CHECKSUMS_JOB)
    result = job.execute_in_process(instance=instance, partition_key=PAIR, raise_on_error=False)
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "dagster instance concurrency set hash_objects N" in str(failure.user_failure_data)
    assert not (platform.folder / "lake" / "checksums").exists()


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("celery", "dagster_celery", "celery"),
        ("k8s", "dagster_k8s", "k8s"),
        ("ecs", "dagster_aws.ecs", "aws"),
        ("docker", "dagster_docker", "docker"),
    ],
)
def test_an_executor_that_is_not_installed_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "fixity_assets.workers.executor", raising=False)
    with pytest.raises(
        WrongUsage, match=rf"'{name}' is not installed .*pip install 'fixity-platform\[{extra}\]'"
    ):
        executor_of(Executor(), name)


@pytest.mark.parametrize(
    ("broker", "told"),
    [
        ("", "set FIXITY_BROKER to its URL"),
        ("amqp://user:secret@host", "must be the URL of a Redis"),
        *(
            (f"redis://{wrong}", "percent-encoded: %2F in place of /")
            for wrong in (
                ":a/secret@host:6379/0",
                ":1/secret@host:6379/0",
                "a/secret@host:6379/0",
                "a#secret@host:6379/0",
                "a?secret@host:6379/0",
                ":p[secret@host:6379/0",
                ":secret@host:port/0",
            )
        ),
    ],
)
def test_workers_without_a_usable_broker_are_refused_and_its_password_is_not_told(
    monkeypatch: pytest.MonkeyPatch, broker: str, told: str
) -> None:
    monkeypatch.setenv("FIXITY_BROKER", broker)
    with pytest.raises(WrongUsage, match=told) as refused:
        executor_of(Executor(kind="celery"))
    assert "secret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("broker", ["redis://host", "rediss://u:%2F%5B@[::1]:6379/1?ssl_cert_reqs=required"])
def test_a_broker_with_an_encoded_password_or_without_port_and_database_is_accepted(
    monkeypatch: pytest.MonkeyPatch, broker: str
) -> None:
    monkeypatch.setenv("FIXITY_BROKER", broker)
    assert executor_of(Executor(kind="celery")).definition.name == "celery"


def test_a_broker_that_does_not_answer_fails_the_run_before_anything_is_sent(
    platform: Platform, local: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIXITY_BROKER", "redis://:secret@127.0.0.1:1/0")
    choose(platform, monkeypatch, "celery")
    assert "secret" not in failed(silent_broker_job, local)
    (record,) = local.get_run_records()
    keep_failed_run(local, record, lake := open_lake(platform.catalog))
    (bucket,) = [
        row
        for row in status_of(lake, platform.catalog, utc_now()).rows
        if (row.kind, row.name) == ("bucket", PAIR)
    ]
    told = f"the run {record.dagster_run.run_id} failed: the broker at 127.0.0.1:1 does not answer"
    assert told in bucket.red[0].text
    assert "start Redis there, or correct FIXITY_BROKER" in bucket.red[0].text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ray", "executor"),
        ({"kind": "celery", "settings": {"cpu": 1}}, "`settings` do nothing for `celery`"),
        ({"kind": "ecs", "dead_after": "1m"}, "`dead_after` does nothing for `ecs`"),
        ({"kind": "celery", "dead_after": "1s"}, "write 45s or more"),
    ],
)
def test_a_wrong_executor_is_refused_when_the_catalog_loads(
    platform: Platform, said: object, told: str
) -> None:
    platform.more["executor"] = said
    with pytest.raises(CatalogError, match=told):
        assert platform.catalog
