"""Whatever runs, sealers and people do to a lake in the ways that are meant, nobody is alarmed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.lake import LocalLake
from fixity.lake.proof import proof_file
from fixity.log.keys import make_key
from tests.fixity.log.archive import Archive, files_of, new_archive

_STEPS = ("run", "run fails", "run is killed", "run goes on", "day", "seal", "rotate", "lose key", "withdraw")


@given(steps=st.lists(st.sampled_from(_STEPS), max_size=8))
def test_a_lake_that_is_used_as_it_is_meant_raises_no_alarm(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("used")
    archive = new_archive(LocalLake(folder / "lake"), folder)
    archive.run("before", {"expected/letters/before.csv": "of a time without a log"})
    archive.tell(archive.sealer.begin())
    for number, step in enumerate(steps, 1):
        _do(archive, step, number)
    found = archive.verify()
    assert found.unbroken and not found.notes
    archive.now = archive.now.replace(year=2027)
    sealed = archive.sealer.seal()
    assert not sealed.waiting.refused
    assert set(sealed.waiting.later) == {
        name for number, step in enumerate(steps, 1) if step == "run goes on" for name in files_of(number)
    }


def _do(archive: Archive, step: str, number: int) -> None:
    match step:
        case "run":
            archive.run(f"run-{number}", files_of(number))
        case "run fails":
            archive.run(f"run-{number}", files_of(number), ends="FAILURE")
        case "run is killed":  # between the record of its last file and this file
            archive.run(f"run-{number}", files_of(number), ends="CANCELED")
            archive.lake.discard(max(files_of(number)))
        case "run goes on":
            archive.run(f"run-{number}", files_of(number), ends=None)
        case "day":
            archive.seal()
        case "seal":
            archive.tell(archive.sealer.seal())
        case "rotate":
            new = make_key(archive.keys / f"{number}.pem")
            archive.tell(archive.sealer.rotate(new.public))
            archive.key = new
        case "lose key":
            archive.key = make_key(archive.keys / f"{number}.pem")
            archive.tell(archive.sealer.go_on_without("it is lost"))
        case "withdraw":
            there = archive.verify().seals.values()
            names = {name for seal in there for name in seal.entries if name.startswith("expected/")}
            names = {name for name in names if Path(archive.lake.location(name)).exists()}
            if names:
                archive.tell(archive.sealer.withdraw([min(names)], "its term is over", "ada"))
                assert Path(archive.lake.location(proof_file(min(names)))).exists()
