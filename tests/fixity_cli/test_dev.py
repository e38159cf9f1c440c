"""`fixity dev`: what it becomes, where it keeps its state, and that only this machine reaches it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from typer.testing import CliRunner

from fixity_cli.main import app

REPOSITORY = Path(__file__).parents[2]


class _Became(Exception):
    """What the process would have become."""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a catalog; the working directory is another one."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: a}}\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in ("DAGSTER_HOME", "FIXITY_CATALOG", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that what is set here is put back
        monkeypatch.delenv(name)
    return folder


def _become(monkeypatch: pytest.MonkeyPatch, archive: Path, *words: str) -> list[str]:
    def execv(program: str, words: list[str]) -> None:
        assert program == words[0] == sys.executable
        raise _Became(words)

    monkeypatch.setattr(os, "execv", execv)
    ended = CliRunner().invoke(app, ["dev", "--catalog", str(archive / "fixity.yaml"), *words])
    assert isinstance(ended.exception, _Became), ended.output
    became: list[str] = ended.exception.args[0]
    return became


@pytest.mark.parametrize(("words", "port"), [([], "3000"), (["--port", "4001"], "4001")])
def test_it_listens_on_loopback_only(
    archive: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], port: str
) -> None:
    became = _become(monkeypatch, archive, *words)
    workspace = str(archive / ".dagster/fixity-workspace.yaml")
    assert became[1:3] == ["-W", "ignore:Function `dev_command` is superseded"]
    assert became[3:] == ["-m", "dagster", "dev", "-w", workspace, "-h", "127.0.0.1", "-p", port]
    assert os.environ["FIXITY_CATALOG"] == str(archive / "fixity.yaml")


def test_the_workspace_is_ours_with_the_folder_of_our_packages(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became = _become(monkeypatch, archive)
    written = yaml.safe_load(Path(became[became.index("-w") + 1]).read_text())
    ours = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())
    assert written["load_from"][0]["python_module"].pop("working_directory") == str(REPOSITORY)
    assert written == ours


def test_its_state_is_beside_the_catalog_and_it_sends_no_telemetry(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _become(monkeypatch, archive)
    assert os.environ["DAGSTER_DISABLE_TELEMETRY"] == "yes"
    home = Path(os.environ["DAGSTER_HOME"])
    assert home == archive / ".dagster"
    assert list(Path.cwd().iterdir()) == []
    with DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled and not instance.nux_enabled


def test_dagster_home_comes_before_the_folder_of_the_catalog(
    archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    _become(monkeypatch, archive)
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "home")
    assert (tmp_path / "home/dagster.yaml").is_file() and not (archive / ".dagster").exists()


def test_settings_that_are_there_stay_and_send_no_telemetry_either(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (archive / ".dagster").mkdir()
    (archive / ".dagster/dagster.yaml").write_text("telemetry: {enabled: true}\n")
    _become(monkeypatch, archive)
    assert (archive / ".dagster/dagster.yaml").read_text() == "telemetry: {enabled: true}\n"
    assert os.environ["DAGSTER_DISABLE_TELEMETRY"] == "yes"


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (archive / ".dagster").write_text("a file is in its place")
    ended = CliRunner().invoke(app, ["dev", "--catalog", str(archive / "fixity.yaml")])
    assert ended.exit_code == 3
    assert str(archive / ".dagster") in ended.output and "set DAGSTER_HOME" in ended.output


def test_a_wrong_catalog_is_status_2(archive: Path) -> None:
    (archive / "fixity.yaml").write_text("buckets: {}\nlaek: x\n")
    ended = CliRunner().invoke(app, ["dev", "--catalog", str(archive / "fixity.yaml")])
    assert ended.exit_code == 2 and "laek" in ended.output
