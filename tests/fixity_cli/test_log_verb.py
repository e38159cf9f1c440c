"""The verbs of the log, over runs of Dagster in this process: what is kept is noted, sealed, verified."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fixity.lake import LakeError, LocalLake
from fixity.lake.proof import Proof, proof_file
from fixity_cli.main import app
from fixity_cli.user import user_name

_CATALOG = """
lake: ./lake
log: {key: key.pem}
buckets: {letters: {path: letters}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog with a log, and a bucket of one object."""
    (tmp_path / "fixity.yaml").write_text(_CATALOG)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/a").write_text("a letter")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path


def fixity(folder: Path, *words: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [*words, "--catalog", str(folder / "fixity.yaml")])


def test_what_runs_and_commands_keep_is_sealed_and_each_change_is_named(folder: Path) -> None:
    assert fixity(folder, "log", "verify").exit_code == 2  # there is no key yet
    begun = fixity(folder, "log", "init")
    assert begun.exit_code == 0 and "seal 1 has 0 files as found" in begun.stdout
    assert fixity(folder, "checksums", "letters").exit_code == 0
    assert fixity(folder, "deposit", str(folder / "letters"), "letters").exit_code == 0  # no run of Dagster
    sealed = fixity(folder, "log", "seal")
    assert sealed.exit_code == 0, sealed.output
    assert (
        "seal 2 has 3 files more" in sealed.stdout
    )  # an inventory, a file of the ledger, the deposit's report
    assert fixity(folder, "log", "verify").exit_code == 0

    runs = [json.loads(file.read_text()) for file in (folder / "lake/log/runs").iterdir()]
    assert {run["job"]: run["status"] for run in runs} == {"check_bucket": "SUCCESS", "": "noted"}
    (command,) = (run for run in runs if not run["job"])
    assert command["started_by"] == f"{user_name()}, fixity deposit"
    assert {run["started_by"] for run in runs if run["job"]} == {f"user: {user_name()}"}
    assert {run["catalog"] for run in runs} == {
        file.stem for file in (folder / "lake/log/catalogs").iterdir()
    }

    (ledger,) = (folder / "lake/checksums/letters").glob("*.parquet")
    (inventory,) = (folder / "lake/inventory/letters").glob("*.parquet")
    record = folder / "lake" / proof_file(f"checksums/letters/{ledger.name}")
    listed = {f"inventory/letters/{inventory.name}": hashlib.sha256(inventory.read_bytes()).hexdigest()}
    assert json.loads(record.read_text())["fetched"] == listed  # what was checked, as it was listed
    before = ledger.read_bytes()
    ledger.write_bytes(before[:-1])
    name = ledger.relative_to(folder / "lake").as_posix()
    found = fixity(folder, "log", "verify")
    assert (
        found.exit_code == 1
        and f"{name}: cut short" in found.stderr
        and "between seal 2 and now" in found.stderr
    )
    ledger.write_bytes(before)

    forged = ledger.with_name("forged.parquet")
    forged.write_bytes(before)
    forged_name = forged.relative_to(folder / "lake").as_posix()
    record = folder / "lake" / proof_file(forged_name)
    record.write_text(Proof.of(forged_name, forged).text())
    refused = fixity(folder, "log", "seal")
    assert refused.exit_code == 1 and f"{forged_name}: not sealed" in refused.stderr
    forged.unlink()
    record.unlink()

    newest = max((folder / "lake/log/seals").iterdir())
    newest.unlink()
    broken = fixity(folder, "log", "seal")  # Dagster's event log knows a newer one than the lake
    assert broken.exit_code == 1 and "Dagster's event log knows seal 3" in broken.stderr


def test_what_verifying_finds_wrong_is_in_the_status_until_the_log_is_sealed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fixity(folder, "log", "init").exit_code == 0
    assert fixity(folder, "checksums", "letters").exit_code == 0
    assert fixity(folder, "log", "seal").exit_code == 0
    assert "log_unbroken" not in fixity(folder, "status").output
    (ledger,) = (folder / "lake/checksums/letters").glob("*.parquet")
    before = ledger.read_bytes()
    ledger.write_bytes(before[:-1])
    assert fixity(folder, "log", "verify", "--key", str(folder / "key.pem.pub")).exit_code == 1
    assert "log_unbroken" not in fixity(folder, "status").output  # by a key that somebody else trusts
    with monkeypatch.context() as patch:
        patch.setattr(LocalLake, "put_if", _refused)
        found = fixity(folder, "log", "verify")
        assert found.exit_code == 1 and "fixity status does not say so" in found.stderr
    assert fixity(folder, "log", "verify").exit_code == 1
    red = fixity(folder, "status")
    assert red.exit_code == 1 and "log_unbroken of log: 1 wrong: " in red.output
    assert f"{ledger.name}: cut short: it has" in red.output
    ledger.write_bytes(before)
    assert fixity(folder, "log", "verify").exit_code == 0
    assert fixity(folder, "status").exit_code == 1  # a verification does not look whether all is sealed
    assert fixity(folder, "log", "seal").exit_code == 0
    assert "log_unbroken" not in fixity(folder, "status").output


def _refused(*arguments: object) -> bool:
    raise LakeError("the lake is read-only")


def test_files_are_withdrawn_and_the_key_is_rotated_with_a_word(folder: Path) -> None:
    (folder / "lake/expected/letters").mkdir(parents=True)
    name = "expected/letters/old.csv"
    (folder / "lake" / name).write_text("key,checksum\n")
    assert "seal 1 has 1 files as found" in fixity(folder, "log", "init").stdout
    done = fixity(folder, "log", "withdraw", name, "--reason", "its term is over", "--by", "ada")
    assert done.exit_code == 0 and not (folder / "lake" / name).exists()
    rotated = fixity(folder, "log", "rotate", str(folder / "new.pem"))
    assert rotated.exit_code == 0 and f"key: {folder / 'new.pem'}" in rotated.stdout
    (folder / "fixity.yaml").write_text(_CATALOG.replace("key.pem", "new.pem"))
    said = fixity(folder, "log", "verify")
    assert said.exit_code == 0 and "all as they were sealed; 1 withdrawn" in said.stdout
    head = fixity(folder, "log", "verify", "--head", f"9 {'0' * 64}")
    assert head.exit_code == 1 and "whoever gave --head knows seal 9" in head.stderr
