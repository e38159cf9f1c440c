"""The log with a witness and time stamps, over a run of Dagster in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from devstack.tsa import TimeStampAuthority
from fixity_cli.main import app

_CATALOG = """
lake: ./lake
log: {{key: key.pem, witness: ./witness, tsa: '{tsa.endpoint_url}', tsa_root: '{tsa.root}'}}
buckets: {{letters: {{path: letters}}}}
"""


def fixity(folder: Path, *words: str) -> Result:
    """Run the command in this process."""
    home = {"DAGSTER_HOME": str(folder / "home")}
    return CliRunner().invoke(app, [*words, "--catalog", str(folder / "fixity.yaml")], env=home)


def test_a_lake_that_is_put_back_or_begun_anew_is_named_by_the_witness_and_nothing_is_added_to_it(
    tmp_path: Path, tsa: TimeStampAuthority
) -> None:
    (tmp_path / "fixity.yaml").write_text(_CATALOG.format(tsa=tsa))
    (tmp_path / "letters").mkdir()
    (tmp_path / "witness").mkdir()
    assert fixity(tmp_path, "log", "init").exit_code == 0
    shutil.copytree(tmp_path / "lake", tmp_path / "before")
    sealed = fixity(tmp_path, "log", "seal")
    assert sealed.exit_code == 0, sealed.output
    verified = fixity(tmp_path, "log", "verify")
    assert (
        verified.exit_code == 0
        and "time stamps that prove their seals: 1, the newest of seal 2" in verified.stdout
    )
    row = json.loads(fixity(tmp_path, "status", "--json").stdout)["rows"][0]
    assert (row["kind"], row["state"], row["seal"]) == ("log", "verified", 2)
    assert row["stamped_at"] and row["copied_at"]

    shutil.rmtree(tmp_path / "lake")
    (tmp_path / "before").rename(tmp_path / "lake")
    put_back = fixity(tmp_path, "log", "verify")
    witness = tmp_path / "witness"
    told = f"log/seals/00000002.sha256: deleted: the witness {witness} knows seal 2, but the last one here is"
    assert put_back.exit_code == 1 and told in put_back.stderr
    rotated = fixity(tmp_path, "log", "rotate", str(tmp_path / "new.pem"))
    assert rotated.exit_code == 3 and f"the witness {witness} knows seal 2" in rotated.output

    shutil.rmtree(tmp_path / "lake")
    anew = fixity(tmp_path, "log", "init")
    assert anew.exit_code == 3 and f"the witness {witness} knows seal 2" in anew.output
    assert not list((tmp_path / "lake").glob("log/seals/*"))
    gone = fixity(tmp_path, "log", "verify")
    assert gone.exit_code == 1 and f"deleted: the witness {witness} knows seal 2" in gone.stderr
    assert "no log yet" not in gone.stderr and "in 0 seals: 2 wrong" in gone.stdout
    assert sorted(file.name for file in witness.iterdir()) == ["00000001.sha256", "00000002.sha256"]

    witness.rename(tmp_path / "away")
    unseen = fixity(tmp_path, "log", "init")
    assert unseen.exit_code == 0 and "what the witness knows was not looked at" in unseen.stderr
