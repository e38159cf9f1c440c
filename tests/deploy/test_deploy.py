"""`deploy/`: what each file names is there. No container engine is needed: the files are read, and checked
against the programs, the instance and the lock that they speak of."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from devstack.postgres import PostgresServer
from devstack.seaweedfs import SeaweedFS
from fixity_cli.main import app
from tests.conftest import MakeBucket
from tests.infra.test_template import resources_of

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
PROGRAMS = Path(sys.executable).parent
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def parsed(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = parsed("compose.yaml")["services"]
    return found


def ecs_containers() -> list[dict[str, Any]]:
    resources = resources_of(REPOSITORY / "infra" / "ecs.yaml")
    tasks = [each for each in resources.values() if each["Type"] == "AWS::ECS::TaskDefinition"]
    return [each["Properties"]["ContainerDefinitions"][0] for each in tasks]


def in_shell(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A command, or those that it has a shell start one after the other."""
    if list(words[:2]) == ["sh", "-c"]:
        yield from (tuple(shlex.split(each.replace("exec ", ""))) for each in words[2].split("&&"))
    else:
        yield tuple(words)


def commands() -> Iterator[tuple[str, ...]]:
    """All commands of our programs that any file names."""
    for service in services().values():
        checked = service.get("healthcheck", {}).get("test", ["CMD"])
        yield from in_shell(service.get("command", ()))
        yield tuple(checked[1:]) if checked[0] == "CMD" else ()
    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=/opt/fixity/bin/(.+)$", unit.read_text(), re.MULTILINE)
        yield tuple(shlex.split(line))
    for container in ecs_containers():
        yield from in_shell(container.get("Command", ()))
        yield tuple(container.get("HealthCheck", {}).get("Command", ())[1:])
    (deployment,) = parsed("helm-values.yaml")["dagster-user-deployments"]["deployments"]
    yield ("dagster", "code-server", "start", *deployment["codeServerArgs"])


def variables_of(text: str) -> set[str]:
    """The variables that a text takes from the environment."""
    return set(re.findall(r"(?:\{\$|env: |\$\{)([A-Z][A-Z_]+)", text))


def given() -> set[str]:
    text = (DEPLOY / "fixity.env.example").read_text()
    in_image = re.findall(r"\b([A-Z_]+)=", (DEPLOY / "Containerfile").read_text())
    return {*re.findall(r"^([A-Z_]+)=", text, re.MULTILINE), *in_image}


@pytest.mark.parametrize("words", sorted({each for each in commands() if each}), ids=" ".join)
def test_every_command_and_its_options_are_there(words: tuple[str, ...]) -> None:
    if words[0] in ("redis-server", "redis-cli", "python"):  # of the other images, or a line of code
        return
    if words[0] == "fixity":  # its `main` would take over the signals of this process
        assert CliRunner().invoke(app, [*words[1:], "--help"]).exit_code == 0
        return
    (program,) = entry_points(group="console_scripts", name=words[0])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", [*words, "--help"])
        program.load()()
    assert ended.value.code in (0, None)  # an unknown verb or option is 2, before help is shown


def test_every_variable_is_given_by_the_example_or_the_image() -> None:
    for name in ("dagster.yaml", "workspace.yaml", "compose.yaml", "Caddyfile"):
        assert variables_of((DEPLOY / name).read_text()) <= given(), name
    of_ecs = variables_of(
        "".join((DEPLOY / f).read_text() for f in ("dagster.yaml", "ecs-run-launcher.yaml"))
    )
    for container in ecs_containers():
        said = {each["Name"] for part in ("Environment", "Secrets") for each in container[part]}
        assert of_ecs <= said | {"FIXITY_POSTGRES_PORT"}  # which the image gives


def test_the_compose_file_names_services_ports_and_images_that_are_there() -> None:
    found = services()
    ports = {"code": "4000", "web": "3000", "operate": "3000"}
    for name, service in found.items():
        assert service["image"] == "fixity" or re.search(r":[^@:]+@sha256:[0-9a-f]{64}$", service["image"])
        assert set(service.get("depends_on", {})) <= found.keys()
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] != "service_healthy" or "healthcheck" in found[other]
        if name in ports:
            assert service["command"][service["command"].index("--port") + 1] == ports[name]
        assert ("ports" in service) == (name == "proxy")  # nothing else is reached from outside
    upstreams = re.findall(r"reverse_proxy (\w+):(\d+)", (DEPLOY / "Caddyfile").read_text())
    assert upstreams == [("operate", "3000"), ("web", "3000")]
    assert "--read-only" in found["web"]["command"] and "--read-only" not in found["operate"]["command"]
    example = (DEPLOY / "fixity.env.example").read_text()
    assert {"postgres", "redis", "code"} <= found.keys()
    assert "HOST=postgres\n" in example and "redis://redis:6379" in example and "HOST=code\n" in example


def test_the_image_is_made_of_what_is_tested_and_runs_as_nobody_s_root() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r"^ARG BASE=\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert text.rstrip().splitlines()[-2] == "USER 10001:10001" and "--require-hashes" in text
    for name in re.findall(r"^COPY (?:--chown=\S+ )?(deploy/\S+)", text, re.MULTILINE):
        assert (REPOSITORY / name).is_file(), name

    def pins(file: Path) -> Mapping[str, str]:
        return dict(re.findall(r"^([a-z0-9._\[\],-]+)==(\S+)", file.read_text(), re.MULTILINE))

    tested, shipped = pins(REPOSITORY / "requirements.lock"), pins(DEPLOY / "requirements.lock")
    assert shipped.items() <= tested.items() and "pytest" not in shipped and "dagster-celery" in shipped


def test_no_password_gets_into_the_image_or_to_the_proxy_and_all_that_is_built_of_does() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    sent = {line[1:] for line in rules if line.startswith("!")}
    assert rules[0] == "*" and rules[len(sent) + 1 :] == ["**/__pycache__"]
    of_project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wheel = of_project["tool"]["hatch"]["build"]["targets"]["wheel"]
    text = (DEPLOY / "Containerfile").read_text()
    copied = re.findall(r"^COPY (?:--chown=\S+ )?(deploy/\S+)", text, re.MULTILINE)
    readme = of_project["project"]["readme"]
    needed = {*wheel["packages"], *wheel["force-include"], *wheel["shared-data"], *copied, readme}
    assert sent == {*needed, "pyproject.toml"}
    assert {"/deploy/fixity.env", "/deploy/fixity.yaml"} <= set(
        (REPOSITORY / ".gitignore").read_text().splitlines()
    )
    proxy = services()["proxy"]
    assert "env_file" not in proxy
    assert proxy["environment"].keys() == variables_of((DEPLOY / "Caddyfile").read_text())


def test_what_the_units_write_into_is_made_by_the_steps_for_systemd() -> None:
    steps = (REPOSITORY / "docs" / "how-to" / "deploy.md").read_text()
    made = {
        folder
        for line in re.findall(r"^install -d -o fixity -g fixity (.+)$", steps, re.MULTILINE)
        for folder in line.split()
    }
    for unit in UNITS:
        (written,) = re.findall(r"^ReadWritePaths=(.+)$", unit.read_text(), re.MULTILINE)
        assert set(written.split()) <= made, unit.name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for file in (DEPLOY / "systemd").iterdir():
        text = file.read_text().replace("/opt/fixity/bin", str(PROGRAMS))
        (tmp_path / file.name).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "fixity-" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@contextmanager
def _may_be_ended() -> Iterator[None]:
    """Dagster ends its `tail` by SIGTERM; a child of a process that ignores the signal ignores it, too."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    masked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        signal.signal(signal.SIGTERM, before)


def test_the_settings_make_an_instance_on_postgres_that_keeps_its_logs_on_s3(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres_server: PostgresServer,
    seaweedfs: SeaweedFS,
    make_bucket: MakeBucket,
) -> None:
    shutil.copyfile(DEPLOY / "dagster.yaml", tmp_path / "dagster.yaml")
    address = postgres_server.storage(postgres_server.make_database())["postgres"]["postgres_db"]
    for name, value in {
        "FIXITY_POSTGRES_HOST": address["hostname"],
        "FIXITY_POSTGRES_PORT": address["port"],
        "FIXITY_POSTGRES_USER": address["username"],
        "FIXITY_POSTGRES_PASSWORD": "not asked for",
        "FIXITY_POSTGRES_DB": address["db_name"],
        "FIXITY_LOGS_BUCKET": make_bucket(),
        "AWS_ENDPOINT_URL_S3": seaweedfs.endpoint_url,
    }.items():
        monkeypatch.setenv(name, str(value))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        instance.add_dynamic_partitions("map_runs", ["kept"])
        assert instance.get_dynamic_partitions("map_runs") == ["kept"]
        assert instance.run_monitoring_enabled and instance.run_retries_enabled
        assert not instance.telemetry_enabled
        steps = instance.compute_log_manager
        with _may_be_ended(), steps.capture_logs(["run", "compute_logs", "step"]):
            sys.stdout.write("what a step printed\n")
            sys.stdout.flush()
        assert b"what a step printed\n" in (steps.get_log_data(["run", "compute_logs", "step"]).stdout or b"")


def test_all_ways_of_deploying_keep_to_one_run_a_bucket_and_one_submission_at_a_time() -> None:
    of_one_machine = yaml.safe_load((REPOSITORY / "fixity_cli" / "dagster.yaml").read_text())
    of_many, chart = parsed("dagster.yaml"), parsed("helm-values.yaml")
    for name in ("run_retries", "telemetry", "nux"):
        assert of_many[name] == of_one_machine[name]
    assert of_many["concurrency"]["pools"] == {"default_limit": 1, "granularity": "op"}
    limits = of_one_machine["concurrency"]["runs"]["tag_concurrency_limits"]
    assert of_many["concurrency"]["runs"]["tag_concurrency_limits"] == limits
    assert chart["concurrency"]["runs"]["tagConcurrencyLimits"] == limits
    assert chart["concurrency"]["pools"] == {"defaultLimit": 1, "granularity": "op"}
    coordinator = chart["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
    assert coordinator == of_many["run_coordinator"]
    retention = {
        name: {"purgeAfterDays": each["purge_after_days"]} for name, each in of_many["retention"].items()
    }
    assert chart["retention"] == {"enabled": True, **retention}


def test_the_launcher_of_ecs_has_only_settings_that_it_knows() -> None:
    from dagster_aws.ecs import EcsRunLauncher

    launcher = parsed("ecs-run-launcher.yaml")["run_launcher"]
    assert (launcher["module"], launcher["class"]) == ("dagster_aws.ecs", EcsRunLauncher.__name__)
    known: dict[str, Any] = EcsRunLauncher.config_type()  # type: ignore[no-untyped-call]  # it has no types
    assert launcher["config"].keys() <= known.keys()
    assert {container["Name"] for container in ecs_containers()} == {launcher["config"]["container_name"]}
