"""`fixity explain`: every word that the platform can say has a meaning and a remedy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fixity.incidents.events import EVENTS
from fixity.tables import DIFFERS, FAILED, MATCHED, NOT_COMPARED, REGISTERED, SKIPPED, SUCCEEDED
from fixity.words import known_words
from fixity_cli.explain import Word, words
from fixity_cli.main import app
from tests.platform import Platform

REPOSITORY = Path(__file__).resolve().parents[2]
_ERRORS = {
    "ObjectUnreadable",
    "ObjectSkipped",
    "NotAsListed",
    "Refused",
    "Retry",
    "Unanswered",
    "_not_checked",
}
_CONSTANTS = ("code", "CHANGED", "DELETED", "COMPOSITE_CHANGED", "COMPOSITE_CHECKSUM")
_CODE = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)?")


@pytest.fixture(scope="module")
def explained() -> dict[str, list[Word]]:
    """All words that are explained."""
    found: dict[str, list[Word]] = {}
    for each in words():
        found.setdefault(each.word, []).append(each)
    return found


def _codes_in_python(source: str) -> Iterator[str]:
    """The codes of errors in a module: what its errors are raised with, and constants and tables of codes."""
    for node in ast.walk(ast.parse(source)):
        found: list[ast.expr | None] = []
        match node:
            case ast.Call(func=ast.Name(id=name), args=[*given]) if name in _ERRORS:
                found += given[:2]
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _CONSTANTS:
                found += [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            case ast.Assign(
                targets=[ast.Name(id="_NOT_NAMED" | "_OVERWRITTEN" | "_WRITTEN_SINCE")], value=value
            ):
                found += value.elts[:1] if isinstance(value, ast.Tuple) else []
            case ast.Assign(targets=[ast.Name(id="_CODES")], value=ast.Dict(values=values)):
                found += values
            case ast.Dict(keys=keys, values=values):
                found += [v for k, v in zip(keys, values, strict=True) if _text(k) == "error_code"]
        yield from (text for each in found if (text := _text(each)) and _CODE.fullmatch(text))


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _codes() -> set[str]:
    sources = [*(REPOSITORY / "fixity").rglob("*.py"), *(REPOSITORY / "fixity").rglob("*.sql")]
    found: set[str] = set()
    for file in sources:
        source = file.read_text(encoding="utf-8")
        if file.suffix == ".sql":  # nothing else there is in quotes and written so, but a word of PREMIS
            found |= set(re.findall(rf"'({_CODE.pattern})'", source)) - {"Fixity"}
        else:
            found |= set(_codes_in_python(source))
    return found


def test_every_code_of_an_error_in_the_sources_is_explained(explained: dict[str, list[Word]]) -> None:
    codes = _codes()
    assert {"Archived", "TooSlow", "AccessDenied", "TaskFailed", "NeverChecked", "FailedInMap"} < codes
    assert sorted(codes - explained.keys()) == []


def test_every_status_is_explained(explained: dict[str, list[Word]]) -> None:
    said = {SUCCEEDED, FAILED, SKIPPED, MATCHED, DIFFERS, REGISTERED, NOT_COMPARED, *EVENTS[-2:]}
    assert sorted(said - explained.keys()) == []


def test_every_check_of_a_platform_is_explained_in_its_own_words(
    platform: Platform, explained: dict[str, list[Word]]
) -> None:
    for asset in platform.definitions().resolve_asset_graph().assets_defs:
        for check in asset.check_specs:
            kind = f"check of {check.asset_key.to_user_string()}"
            (found,) = [each for each in explained[check.name] if each.kind == kind]
            assert found.means == (check.description or "").rstrip(".")


def test_each_has_a_remedy_and_no_remedy_is_left_over(explained: dict[str, list[Word]]) -> None:
    assert all(each.means and each.to_do for all_of_one in explained.values() for each in all_of_one)
    assert sorted(known_words()["to_do"].keys() - explained.keys()) == []


def test_a_word_is_explained_in_any_case_with_what_to_do() -> None:
    done = CliRunner().invoke(app, ["explain", "toslow"])
    assert done.exit_code == 2 and "Did you mean 'TooSlow'?" in done.output
    done = CliRunner().invoke(app, ["explain", "tooslow"])
    assert done.exit_code == 0 and done.stdout.startswith(
        "TooSlow\n    error code: The store gives fewer bytes"
    )
    assert "\n    To do: Check it again" in done.stdout
