"""The pointer to the newest table, when several runs end at once."""

from __future__ import annotations

import random
import threading
from datetime import timedelta

import pytest

from fixity.lake import Lake, LakeError
from fixity.lake.latest import forget_dated, latest_table, newest_dated, point_to_latest, tables_of
from fixity.tables import INVENTORY, Provenance
from tests.fixity.support import NOON, keep_table

FOLDER = "inventory/b/"


def listed(lake: Lake, number: int) -> Provenance:
    """Keep a table of a listing; the higher the number, the newer."""
    provenance = Provenance("b", f"r{number}", f"r{number}", NOON + timedelta(hours=number))
    keep_table(lake, f"{FOLDER}r{number}.parquet", provenance.attach(INVENTORY).empty_table())
    return provenance


def test_of_runs_that_end_at_once_the_newest_listing_is_pointed_to(lake: Lake) -> None:
    for turn in range(4):
        made = [listed(lake, turn * 6 + number) for number in range(6)]
        random.Random(turn).shuffle(made)
        together = threading.Barrier(len(made))

        def point(provenance: Provenance, together: threading.Barrier = together) -> None:
            together.wait(timeout=30)
            point_to_latest(lake, FOLDER, provenance)

        threads = [threading.Thread(target=point, args=(each,)) for each in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert latest_table(lake, FOLDER) == f"{FOLDER}r{turn * 6 + 5}.parquet"


def test_a_run_that_reads_the_pointer_while_another_replaces_it_looks_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = listed(lake, 1), listed(lake, 2)
    put_if, others = lake.put_if, [newer]

    def too_late(*arguments: object) -> bool:
        if others:  # the other run ends between our look and our write
            point_to_latest(lake, FOLDER, others.pop())
        return put_if(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lake, "put_if", too_late)
    point_to_latest(lake, FOLDER, older)
    assert latest_table(lake, FOLDER) == f"{FOLDER}r2.parquet"
    monkeypatch.setattr(lake, "put_if", lambda *arguments: False)
    with pytest.raises(LakeError, match=r"NEWEST\.json is replaced by other runs all the time"):
        point_to_latest(lake, FOLDER, listed(lake, 3))


@pytest.mark.parametrize("ahead", [False, True], ids=["right", "ahead too"])
def test_a_time_is_forgotten_also_if_another_run_replaces_the_pointer_meanwhile_and_its_own_is_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, ahead: bool
) -> None:
    now = NOON + timedelta(hours=3)
    point_to_latest(lake, FOLDER, listed(lake, 1))
    point_to_latest(lake, FOLDER, listed(lake, 9), newest=NOON + timedelta(days=9))
    known = tables_of(lake, FOLDER)
    put_if, others = lake.put_if, [2]

    def too_late(*arguments: object) -> bool:
        if others:  # the other run ends between our look and our write
            newest = NOON + timedelta(days=99 if ahead else 0)
            point_to_latest(lake, FOLDER, listed(lake, others.pop()), newest=newest)
        return put_if(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lake, "put_if", too_late)
    forget_dated(lake, FOLDER, now, known)
    assert not others
    dated = newest_dated(lake, FOLDER)
    assert dated is not None
    assert (dated.at, dated.table) == ((NOON + timedelta(days=99), "r2") if ahead else (now, "r9"))
    monkeypatch.setattr(lake, "put_if", lambda *arguments: False)
    with pytest.raises(LakeError, match=r"NEWEST\.json is replaced by other runs all the time"):
        forget_dated(lake, FOLDER, now, known)
