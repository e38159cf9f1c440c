"""Whoever may write the lake does as they like with it: each time the log names the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.lake import LocalLake
from fixity.lake.proof import Proof, proof_file, proved_file
from fixity.log.errors import LogError
from fixity.log.keys import make_key
from fixity.log.manifest import SEALS, read_seal, seal_file, seal_number, seal_text
from fixity.log.records import RUNS
from tests.fixity.log.archive import Archive, grown_archive

WITHDRAWN_FILE, LAST = "expected/letters/1.csv", 6


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("grown")
    return grown_archive(LocalLake(folder / "lake"), folder)


@dataclass
class Tampering:
    """A copy of an archive that somebody tampers with; named: the files that must be named, and no others."""

    archive: Archive
    root: Path
    data: Any

    def choose(self, which: Callable[[str], bool] = lambda name: True, what: str = "file") -> str:
        files = (path for path in sorted(self.root.rglob("*")) if path.is_file())
        names = [path.relative_to(self.root).as_posix() for path in files]
        return str(self.data.draw(st.sampled_from([name for name in names if which(name)]), label=what))

    def edited(self) -> set[str]:
        name = self.choose()
        body = bytearray((self.root / name).read_bytes())
        place = self.data.draw(st.integers(0, len(body) * 8 - 1), label="bit")
        body[place // 8] ^= 1 << place % 8
        (self.root / name).write_bytes(body)
        return {name}

    def cut_short(self) -> set[str]:
        name = self.choose()
        body = (self.root / name).read_bytes()
        # The last byte of a record is a line's end, which no reader misses before the record is sealed.
        most = len(body) - (1 if self.is_sealed(name) or name.startswith(SEALS) else 2)
        (self.root / name).write_bytes(body[: self.data.draw(st.integers(0, most), label="size")])
        return {name}

    def longer(self) -> set[str]:
        name = self.choose()
        with (self.root / name).open("ab") as file:
            file.write(b"}" + self.data.draw(st.binary(max_size=40), label="more"))
        return {name}

    def removed(self) -> set[str]:
        name = self.choose(lambda name: self.is_sealed(name) or name.startswith(SEALS))
        (self.root / name).unlink()
        return {name}

    def added(self) -> set[str]:
        folder = self.data.draw(
            st.sampled_from(["checksums/letters", "premis/letters", "reports/2026-01-02/checksums/run-2"])
        )
        ending = {"checksums": ".parquet", "premis": ".xml", "reports": ".csv"}[folder.split("/")[0]]
        name = f"{folder}/added{ending}"
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text("forged")
        if self.data.draw(st.booleans(), label="with a forged record"):
            self.forge_record(name)
        return {name}

    def swapped(self) -> set[str]:
        first = self.choose(lambda name: not self.is_alone(name), "first")
        second = self.choose(lambda name: not self.is_alone(name) and name != first, "second")
        one, other = (self.root / first).read_bytes(), (self.root / second).read_bytes()
        (self.root / first).write_bytes(other)
        (self.root / second).write_bytes(one)
        return {first, second}

    def put_back(self) -> set[str]:
        (self.root / WITHDRAWN_FILE).write_text("key,checksum\nname,1\n")
        return {WITHDRAWN_FILE}

    def edited_with_its_record(self) -> set[str]:
        name = self.choose(lambda name: not name.startswith("log/"))
        (self.root / name).write_text("forged")
        self.forge_record(name)
        return {name, proof_file(name)} if self.is_sealed(name) else {name}

    def rolled_back(self) -> set[str]:
        """An older copy of the whole lake, from before the withdrawal, is put in its place."""
        last = self.data.draw(st.integers(2, LAST - 1), label="back to")
        gone = set()
        for number in range(last + 1, LAST + 1):
            seal = read_seal((self.root / seal_file(number)).read_bytes())
            for name in (seal_file(number), *seal.entries):
                (self.root / name).unlink(missing_ok=True)
            gone.add(seal_file(number))
        (self.root / WITHDRAWN_FILE).write_text("key,checksum\nname,1\n")
        return gone

    def rewritten(self) -> set[str]:
        """The whole log is made anew, with another key, over a lake that is edited."""
        other = make_key(self.root.parent / f"other-{self.root.name}.pem")
        before = None
        for number in range(1, LAST + 1):
            seal = read_seal((self.root / seal_file(number)).read_bytes())
            text = seal_text(number, seal.at, other, before, seal.entries)
            (self.root / seal_file(number)).write_bytes(text)
            before = read_seal(text).sha256
        return {seal_file(number) for number in range(1, LAST + 1)}

    def forge_record(self, name: str) -> None:
        record = self.root / proof_file(name)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(Proof.of(name, self.root / name, "run-4").text())

    def is_sealed(self, name: str) -> bool:
        seals = (read_seal(file.read_bytes()) for file in (self.root / SEALS).iterdir())
        return any(name in seal.entries for seal in seals)

    def is_alone(self, name: str) -> bool:
        """Whether it is a record of a file that waits: only the file itself can be named then."""
        return (proved_file(name) or "").endswith("4.csv")

    def named(self) -> set[str]:
        """What a verification names; and where it names nothing, what the sealer refuses."""
        found = {each.name for each in self.archive.verify().findings}
        try:
            return found | set(self.archive.sealer.seal().waiting.refused)
        except LogError:
            return found


_WAYS = ["edited", "cut_short", "longer", "removed", "added", "swapped", "put_back", "edited_with_its_record"]
_WAYS += ["rolled_back", "rewritten"]


@given(data=st.data(), way=st.sampled_from(_WAYS))
def test_whatever_is_done_to_a_lake_the_log_names_exactly_these_files(
    grown: Archive, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, way: str
) -> None:
    root = tmp_path_factory.mktemp("tampered") / "lake"
    shutil.copytree(grown.lake.location(""), root)
    tampering = Tampering(replace(grown, lake=LocalLake(root)), root, data)
    expected = getattr(tampering, way)()
    named = tampering.named()
    if way != "put_back":  # without the seal or the record that says so, it looks deleted
        named.discard(WITHDRAWN_FILE)
    assert {_file_of(name) for name in named} == {_file_of(name) for name in expected}


def _file_of(name: str) -> str:
    """A file, for its record: of a file that waits, either may be named."""
    return proved_file(name) or name


def test_a_lake_that_nobody_touched_raises_no_alarm(grown: Archive) -> None:
    found = grown.verify()
    assert found.unbroken and not found.notes and found.newest == 6
    assert found.waiting == 4 and found.withdrawn == 1


def test_a_log_that_is_made_anew_is_found_by_the_key_alone(grown: Archive, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(grown.lake.location(""), root)
    archive = replace(grown, lake=LocalLake(root), told=[])
    Tampering(archive, root, st.data()).rewritten()
    (finding,) = archive.verify().findings
    assert (finding.name, finding.what) == (seal_file(1), "rewritten") and "another key" in finding.text


def test_nobody_needs_to_write_to_verify(grown: Archive, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(grown.lake.location(""), root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert replace(grown, lake=LocalLake(root)).verify().unbroken
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert seal_number(seal_file(7)) == 7 and RUNS in str(list(before))
