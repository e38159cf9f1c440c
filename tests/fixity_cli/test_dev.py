"""`make dev`: what it becomes, and that it speaks to nobody but this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from dagster import DagsterInstance

from fixity_cli import dev

REPOSITORY = Path(dev.__file__).parents[1]


class _Became(Exception):
    """What the process would have become."""


def _become(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> list[str]:
    def execv(program: str, words: list[str]) -> None:
        assert program == words[0] and Path(program).is_file()
        raise _Became(words)

    (folder / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: a}}\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "argv", ["dev", *words])
    for name in ("DAGSTER_HOME", "FIXITY_CATALOG", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that what is set here is put back
        monkeypatch.delenv(name)
    with pytest.raises(_Became) as became:
        dev.main()
    said: list[str] = became.value.args[0]
    return said


@pytest.mark.parametrize(("words", "port"), [([], "3000"), (["4001"], "4001")])
def test_it_listens_on_loopback_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], port: str
) -> None:
    said = _become(monkeypatch, tmp_path, *words)
    assert said[1:] == ["dev", "-w", str(REPOSITORY / "workspace.yaml"), "-h", "127.0.0.1", "-p", port]
    assert os.environ["FIXITY_CATALOG"] == str(tmp_path / "fixity.yaml")


def test_it_sends_no_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _become(monkeypatch, tmp_path)
    assert os.environ["DAGSTER_DISABLE_TELEMETRY"] == "yes"
    home = Path(os.environ["DAGSTER_HOME"])
    assert home == tmp_path / ".dagster"
    with DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled and not instance.nux_enabled


def test_settings_that_are_there_stay_and_send_no_telemetry_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dagster").mkdir()
    (tmp_path / ".dagster/dagster.yaml").write_text("telemetry: {enabled: true}\n")
    _become(monkeypatch, tmp_path)
    assert (tmp_path / ".dagster/dagster.yaml").read_text() == "telemetry: {enabled: true}\n"
    assert os.environ["DAGSTER_DISABLE_TELEMETRY"] == "yes"
