"""The reference of the command is that of the code, and every verb has what all verbs have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.core import TyperGroup
from typer.main import get_command

from fixity_cli.main import VERBS, app, app_with
from fixity_cli.options import WITHOUT
from fixity_cli.reference import FILES
from jobs import names
from tests.fixity_cli.test_fixity_command import FIXITY

REPOSITORY = Path(__file__).resolve().parents[2]


def verbs(command: object, path: str = "fixity") -> dict[str, Any]:
    """All verbs of a command, by their names."""
    if not isinstance(command, TyperGroup):
        return {path: command}
    return {
        name: verb
        for each, within in command.commands.items()
        for name, verb in verbs(within, f"{path} {each}").items()
    }


@pytest.mark.parametrize("name", FILES)
def test_the_pages_are_those_of_the_code(name: str) -> None:
    written = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    assert written == FILES[name](), "write them again: python -m fixity_cli.reference"


def test_every_verb_has_json_and_quiet_and_tells_what_its_status_means() -> None:
    found = verbs(get_command(app))
    assert {"fixity verify", "fixity catalog check"} < found.keys()
    for name, verb in found.items():
        options = [option for parameter in verb.params for option in parameter.opts]
        has = name.removeprefix("fixity ") not in WITHOUT
        assert (options.count("--json"), options.count("--quiet")) == (has, has), name
        assert "Exit status: " in (verb.epilog or "") or name in ("fixity dev", "fixity worker")


def test_a_verb_is_found_in_its_module_and_nothing_else_is_imported_for_it() -> None:
    def verbs_of(app: Typer) -> set[str]:
        command = get_command(app)
        assert isinstance(command, TyperGroup)
        return set(command.commands)

    for module in VERBS.values():
        for verb in module:
            assert verbs_of(app_with(verb)) == set(module)
    everything = {verb for module in VERBS.values() for verb in module}
    assert verbs_of(app) == verbs_of(app_with("--help")) == everything


def test_the_shell_completes_verbs_and_names_of_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "fixity.yaml").write_text("lake: l\nbuckets: {letters: {path: a}, copies: {path: b}}\n")

    def completed(words: str) -> list[str]:
        done = subprocess.run(
            [FIXITY],
            cwd=tmp_path,
            env={
                **os.environ,
                "_FIXITY_COMPLETE": "complete_bash",
                "COMP_WORDS": f"fixity {words}",
                "COMP_CWORD": str(len(words.split(" "))),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.split()

    assert completed("verif") == ["verify"]
    assert completed("checksums l") == ["letters"]


def test_the_page_of_the_platform_has_all_that_any_catalog_can_have() -> None:
    page = FILES["reference/platform.md"]()
    known = {name for constant, name in vars(names).items() if constant.endswith(("_JOB", "_ASSET"))}
    assert {"fixity_report", "check_bucket", "drills"} < known
    assert sorted(each for each in known if f"`{each}`" not in page and f"### {each}\n" not in page) == []
