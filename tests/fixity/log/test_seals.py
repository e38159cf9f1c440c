"""What is sealed, and what is not; sealers that are killed, or seal at the same time; keys that change."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, local

import pytest

from fixity.errors import WrongUsage
from fixity.lake import Lake, LakeError, LocalLake
from fixity.lake.proof import Proof, proof_file
from fixity.log.chain import Head
from fixity.log.errors import LogError
from fixity.log.keys import PublicKey, make_key, public_key, signing_key
from fixity.log.manifest import SEALS, read_seal, seal_file, seal_text
from fixity.log.records import RUNS, catalog_file, sha256_of
from fixity.log.seals import AS_FOUND, Sealed
from fixity.log.verify import verify
from tests.fixity.log.archive import CATALOG, Archive, files_of, grown_archive, new_archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with a log, which has no file yet."""
    made = new_archive(LocalLake(tmp_path / "lake"), tmp_path)
    made.sealer.begin()
    return made


def entries(archive: Archive) -> list[str]:
    """The names in all seals."""
    texts = (archive.lake.read_bytes(file.name) for file in archive.lake.list(SEALS))
    return [name for text in texts for name in read_seal(text).entries]


def test_a_seal_binds_each_file_its_record_its_run_and_the_catalog(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    sealed = archive.sealer.seal()
    files = files_of(1)
    expected = {*files, *map(proof_file, files), f"{RUNS}run-1.json", catalog_file(sha256_of(CATALOG))}
    assert set(sealed.seal.entries) == expected and sealed.files == 4
    assert archive.sealer.seal().seal.entries == {}  # nothing twice


def test_coreutils_and_openssl_verify_a_lake_without_this_software(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    archive.seal()
    root = Path(archive.lake.location(""))
    key = f"log/keys/{archive.key.public.fingerprint}.pem"

    def check() -> int:
        script = f"""
            set -e
            for seal in log/seals/*.sha256; do
                sha256sum --strict --quiet -c "$seal"
                echo "fixity seal $(head -n -1 "$seal" | sha256sum | cut -c-64)" > ../signed
                tail -n 1 "$seal" | cut -d' ' -f3 | base64 -d > ../signature
                openssl pkeyutl -verify -pubin -inkey {key} -rawin -in ../signed -sigfile ../signature
            done
            openssl pkey -pubin -in {key} -outform DER | sha256sum | grep -q {archive.key.public.fingerprint}
        """
        return subprocess.run(["sh", "-c", script], cwd=root, capture_output=True).returncode

    assert check() == 0
    (root / "expected/letters/1.csv").write_text("edited")
    assert check() != 0


def test_a_lake_of_before_is_taken_in_as_it_is_and_the_first_seal_says_so(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    old = {
        "reports/2025-03-01/checksums/letters_checksum-report.csv": "of a version that had no records",
        "expected/letters/old.csv": "key,checksum\n",
    }
    for name, text in old.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)
    archive = new_archive(LocalLake(root), tmp_path)
    sealed = archive.sealer.begin()
    assert old.keys() <= sealed.seal.entries.keys() and "nothing proves" in (sealed.seal.note(AS_FOUND) or "")
    proof = archive.lake.proof("expected/letters/old.csv")
    assert proof is not None and proof.accepted_at is not None
    assert archive.verify().unbroken
    (root / next(iter(old))).write_text("edited")
    assert [each.name for each in archive.verify().findings] == [next(iter(old))]
    with pytest.raises(LogError, match="has a log already"):
        archive.sealer.begin()


def test_what_dagster_does_not_know_is_not_sealed_until_a_person_vouches_for_it(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    archive.events.kept.clear()  # its runs were deleted
    assert set(archive.sealer.seal().waiting.refused) == set(files_of(1))
    accepted = archive.sealer.seal(accept={"run-1": "ada: Dagster's database was lost"})
    assert accepted.files == 4 and accepted.seal.note("accepted") == "run-1: ada: Dagster's database was lost"
    assert archive.verify().unbroken


def test_a_forged_file_with_a_forged_record_is_not_sealed_and_named(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    name = "expected/letters/1.csv"
    file = Path(archive.lake.location(name))
    file.write_text("forged")
    Path(archive.lake.location(proof_file(name))).write_text(Proof.of(name, file, "run-1").text())
    sealed = archive.sealer.seal()
    assert set(sealed.waiting.refused) == {name} and sealed.files == 3


def test_a_run_that_goes_on_may_still_replace_what_it_kept_so_it_waits(archive: Archive) -> None:
    archive.run("run-1", {"expected/letters/1.csv": "of a first try"}, ends=None)
    sealed = archive.sealer.seal()
    assert sealed.files == 0 and set(sealed.waiting.later) == {"expected/letters/1.csv"}
    archive.lake.put_text("expected/letters/1.csv", "of a second try", replace=True)
    digest = sha256_of(b"of a second try")
    archive.events.kept["expected/letters/1.csv", digest] = "run-1"
    archive.run("run-1", {})
    assert archive.sealer.seal().seal.entries["expected/letters/1.csv"] == digest


def test_a_run_that_was_killed_between_record_and_file_breaks_nothing(archive: Archive) -> None:
    name = "expected/letters/1.csv"
    archive.run("run-1", {name: "text"}, ends="FAILURE")
    Path(archive.lake.location(name)).unlink()
    sealed = archive.sealer.seal()
    assert sealed.seal.note("without its file") == name and not sealed.waiting.refused
    assert archive.verify().unbroken
    archive.lake.put_text(name, "put there later", replace=True)
    assert name in {each.name for each in archive.verify().findings}


def test_a_file_of_a_run_that_succeeded_and_is_gone_before_it_was_sealed_is_named(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    Path(archive.lake.location("expected/letters/1.csv")).unlink()
    assert archive.sealer.seal().waiting.refused == {
        "expected/letters/1.csv": "it was kept, and is gone before it was sealed"
    }


class Killed(BaseException):
    """kill -9."""


@pytest.mark.parametrize("step", range(1, 8))
def test_a_sealer_that_is_killed_at_any_step_loses_nothing_and_seals_nothing_twice(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Each write of the lake is a step; the kill comes before it or right after it."""
    archive.run("run-1", files_of(1))
    archive.run("run-2", files_of(2), ends="FAILURE")
    left = [step]

    def counted(write: Callable) -> Callable:
        def killing(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            done = write(*arguments, **named)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return done

        return killing

    with monkeypatch.context() as patch:
        for name in ("put_if", "put_text"):
            patch.setattr(LocalLake, name, counted(getattr(LocalLake, name)))
        try:
            archive.sealer.seal()
            assert step > 6  # two records of runs and the seal, before and after
        except Killed:
            pass
    archive.sealer.seal()
    names = entries(archive)
    assert len(names) == len(set(names)) and {*files_of(1), *files_of(2)} <= set(names)
    found = archive.verify()
    assert found.unbroken and not found.notes


def test_of_sealers_that_seal_at_once_each_file_is_in_one_seal_of_one_chain(
    lake: Lake, tmp_path: Path
) -> None:
    """In a directory and in a bucket: all four look at the same chain, and one of them is first."""
    archive, together = new_archive(lake, tmp_path), Barrier(4)
    for number in range(4):
        archive.run(f"run-{number}", {f"expected/letters/{number}.csv": str(number)})
    archive.sealer.begin()
    for number in range(4, 8):
        archive.run(f"run-{number}", {f"expected/letters/{number}.csv": str(number)})
    waited = local()

    def when() -> datetime:
        if not hasattr(waited, "once"):  # the chain is read, and the seal is about to be put
            waited.once = True
            together.wait(60)
        return archive.clock()

    def seal() -> Sealed:
        return replace(archive.sealer, now=when).seal()

    with ThreadPoolExecutor(4) as pool:
        sealed = [each.result() for each in [pool.submit(seal) for _ in range(4)]]
    assert sorted(each.seal.number for each in sealed) == [2, 3, 4, 5]
    names = entries(archive)
    assert len(names) == len(set(names)) and {f"expected/letters/{number}.csv" for number in range(8)} <= set(
        names
    )
    found = archive.verify()
    assert found.unbroken and not found.notes and found.waiting == 0


def test_nothing_is_added_to_a_log_that_is_broken(archive: Archive) -> None:
    archive.seal()
    planted = seal_text(3, "2026-01-02", make_key(archive.keys / "other"), "0" * 64, {})
    archive.lake.put_if(seal_file(3), planted.decode(), None)
    with pytest.raises(LogError, match=r"00000003\.sha256: it is signed with another key"):
        archive.sealer.seal()


def test_nothing_is_added_to_a_log_that_was_rolled_back(archive: Archive) -> None:
    archive.seal()
    Path(archive.lake.location(seal_file(2))).unlink()
    with pytest.raises(LogError, match="knows seal 2, but the last one here is seal 1"):
        archive.sealer.seal()


def test_a_clock_that_jumps_back_changes_nothing(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    archive.now = datetime(1999, 1, 1, tzinfo=UTC)
    archive.seal()
    assert archive.verify().unbroken and archive.verify().at.startswith("1999")


def test_a_file_that_was_changed_is_told_between_which_seals(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    for _ in range(3):
        archive.seal()
    Path(archive.lake.location("expected/letters/1.csv")).write_text("edited")
    (found,) = archive.verify().findings
    assert (found.after, found.before, found.when) == (4, None, "between seal 4 and now")
    archive.seal()
    archive.seal()
    (found,) = archive.verify().findings
    assert found.when == "between seal 4 and seal 5"


def test_a_file_that_cannot_be_read_is_not_called_changed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.run("run-1", files_of(1))
    archive.seal()
    name, read = "expected/letters/1.csv", LocalLake.sha256

    def fails(lake: LocalLake, asked: str) -> str:
        if asked == name:
            raise LakeError("Input/output error")
        return read(lake, asked)

    monkeypatch.setattr(LocalLake, "sha256", fails)
    found = archive.verify()
    assert not found.findings and found.unread == {name: "Input/output error"} and not found.unbroken


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    made = make_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert signing_key(str(file)).public.fingerprint == made.public.fingerprint
    file.rename(tmp_path / "away")  # whoever verifies has the public half only
    assert public_key(str(file)).fingerprint == made.public.fingerprint
    (tmp_path / "away").rename(file)
    with pytest.raises(WrongUsage, match="never replaced"):
        make_key(file)


def test_a_key_with_a_flipped_bit_is_a_wrong_file_and_no_bug(tmp_path: Path) -> None:
    pem = make_key(tmp_path / "key.pem").public.pem.encode()
    wrong = 0
    for place in range(len(pem) * 8):
        flipped = bytearray(pem)
        flipped[place // 8] ^= 1 << place % 8
        try:
            PublicKey.read(bytes(flipped))
        except ValueError:
            wrong += 1
    assert wrong > len(pem)  # many others are keys of somebody else


def test_a_key_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_key(tmp_path / "key.pem")
    monkeypatch.setenv("FIXITY_LOG_KEY", (tmp_path / "key.pem").read_text())
    assert signing_key("env:FIXITY_LOG_KEY").public.fingerprint == made.public.fingerprint
    assert public_key("env:FIXITY_LOG_KEY").fingerprint == made.public.fingerprint
    monkeypatch.setenv("FIXITY_LOG_KEY", "no key")
    with pytest.raises(WrongUsage, match="no private key"):
        signing_key("env:FIXITY_LOG_KEY")


def test_after_a_rotation_either_key_verifies_and_only_the_new_one_signs(archive: Archive) -> None:
    old, new = archive.key, make_key(archive.keys / "new.pem")
    archive.sealer.rotate(new.public)
    with pytest.raises(LogError, match="is signed with the key"):
        archive.sealer.seal()
    archive.key = new
    archive.run("run-1", files_of(1))
    archive.seal()
    assert archive.verify().unbroken and verify(archive.lake, old.public).unbroken


def test_after_a_key_was_lost_the_new_one_goes_on_and_the_old_one_does_not_prove_it(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    archive.seal()
    old, archive.key = archive.key, make_key(archive.keys / "new.pem")
    with pytest.raises(LogError, match="is signed with the key"):
        archive.sealer.seal()
    archive.tell(archive.sealer.go_on_without("the disk of the key is broken"))
    archive.seal()
    assert archive.verify().unbroken
    # Whoever may write the lake could have done the same, so who trusts the old key is told.
    # A seal that is known elsewhere changes nothing: with a witness of his own, a forger has such seals too.
    for heads in ([], archive.told):
        (found,) = verify(archive.lake, old.public, heads).findings
        assert (found.name, found.what) == (seal_file(3), "rewritten")


# --- withdrawing ---------------------------------------------------------------------------------


def test_what_is_withdrawn_is_removed_and_nobody_calls_it_deleted(archive: Archive) -> None:
    archive.run("run-1", files_of(1))
    archive.seal()
    name = "expected/letters/1.csv"
    with pytest.raises(LogError, match="no file that a seal has"):
        archive.sealer.withdraw(["expected/letters/2.csv"], "why", "ada")
    archive.sealer.withdraw([name], "its term is over", "ada")
    assert not Path(archive.lake.location(name)).exists()
    found = archive.verify()
    assert found.unbroken and found.withdrawn == 1
    Path(archive.lake.location(name)).write_text(files_of(1)[name])
    assert [(each.name, each.what) for each in archive.verify().findings] == [(name, "put back")]
    archive.sealer.withdraw([name], "its term is over", "ada")  # as after a kill before it was removed
    assert archive.verify().unbroken


def test_a_log_in_a_bucket_is_sealed_and_verified_as_in_a_directory(lake: Lake, tmp_path: Path) -> None:
    archive = grown_archive(lake, tmp_path)
    found = archive.verify()
    assert found.unbroken and (found.newest, found.waiting, found.withdrawn) == (6, 4, 1)
    assert len(set(entries(archive))) == len(entries(archive))
    archive.lake.discard("premis/letters/run-2.xml")
    archive.lake.put_if(seal_file(3), "edited", archive.lake.see(seal_file(3)))
    assert {each.name for each in archive.verify().findings} == {"premis/letters/run-2.xml", seal_file(3)}


def test_a_copy_of_a_lake_verifies_elsewhere(tmp_path: Path) -> None:
    archive = grown_archive(LocalLake(tmp_path / "lake"), tmp_path)
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    assert replace(archive, lake=LocalLake(tmp_path / "copy")).verify().unbroken
    head = Head(archive.told[-1].number, "0" * 64, "somebody")
    assert not verify(archive.lake, archive.key.public, [head]).unbroken
