"""The verb `drill`: it begins one, or says how far the one that goes on is."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from fixity.drills.plan import draw
from fixity_cli.main import app
from tests.fixity_cli.test_rolling_verbs import fixity

_CATALOG = """
lake: ./lake
buckets: {fire: {path: fire, fixity_every: 90d}, letters: {path: letters}}
drills: [fire]
"""


def test_a_drill_is_begun_once_and_then_told_of(tmp_path: Path) -> None:
    (tmp_path / "fixity.yaml").write_text(_CATALOG)
    (tmp_path / "fire").mkdir()
    begun = fixity(tmp_path, "drill", "fire", "--seed", "7", "--objects", "6")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    *rows, last = begun.stdout.splitlines()
    assert [row.split(": ")[:2] for row in rows] == [[each.key, each.damage] for each in draw(7, 6)]
    assert all("not found after" in row and "; due by " in row for row in rows)
    assert "(seed 7) goes on: 0 of 6 found" in last
    assert fixity(tmp_path, "drill", "fire", "--seed", "8").stdout.splitlines()[-1] == last


def test_a_bucket_that_is_not_made_for_drills_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fixity.yaml"
    file.write_text(_CATALOG)
    said = CliRunner().invoke(app, ["drill", "letters", "--catalog", str(file)])
    assert said.exit_code == 2 and "'letters' is not among `drills`" in said.stderr
