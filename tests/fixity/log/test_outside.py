"""The daily step: what fails stops nothing, and the age of the newest proof tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from devstack.tsa import TimeStampAuthority
from fixity.catalog import Catalog
from fixity.lake import LocalLake
from fixity.log.outside import Outside, outside_now, prove, verdict
from fixity.log.stamps import stamp_file
from tests.fixity.log.outside_support import DAY, NOW, catalog, chain, put


@pytest.fixture
def local(tmp_path: Path) -> LocalLake:
    (tmp_path / "witness").mkdir()
    return LocalLake(tmp_path / "lake")


@pytest.fixture
def both(tmp_path: Path, tsa: TimeStampAuthority) -> Catalog:
    return catalog(tmp_path, f", witness: ./witness, tsa: '{tsa.endpoint_url}', tsa_root: '{tsa.root}'")


def proved(lake: LocalLake, catalog: Catalog, length: int, now: datetime = NOW, entry: str = "a") -> Outside:
    """What the daily step says after so many seals."""
    seals = chain(length, entry=entry)
    put(lake, seals)
    return prove(lake, catalog, seals, now)


def said(catalog: Catalog, outside: Outside, later: timedelta = timedelta(0)) -> tuple[str | None, str]:
    assert catalog.log is not None
    return verdict(catalog.log, outside, NOW + later)


def test_each_day_the_newest_seal_is_stamped_and_all_are_copied(
    local: LocalLake, both: Catalog, tsa: TimeStampAuthority, tmp_path: Path
) -> None:
    asked = tsa.asked
    made = proved(local, both, 3)
    assert made.stamp and made.copy and (made.stamp.seal, made.copy.seal) == (3, 3) and not made.wrong
    assert sorted(file.name for file in (tmp_path / "witness").iterdir()) == [
        f"0000000{number}.sha256" for number in (1, 2, 3)
    ]
    assert (made.copy.where, made.stamp.where) == (str(tmp_path / "witness"), tsa.endpoint_url)
    level, text = said(both, made)
    assert level is None and "time stamp is of seal 3" in text and "copy at the witness is of seal 3" in text
    assert proved(local, both, 3) == made and tsa.asked == asked + 1  # again: nothing is asked or added
    assert outside_now(local) == made


@pytest.mark.parametrize(
    ("later", "level"), [(1.9 * DAY, None), (2.1 * DAY, "WARN"), (7.1 * DAY, "ERROR"), (-1.1 * DAY, "ERROR")]
)
def test_an_old_proof_warns_and_then_is_red_and_one_of_the_future_is_red_at_once(
    local: LocalLake, both: Catalog, later: timedelta, level: str | None
) -> None:
    found, text = said(both, proved(local, both, 1), later)
    assert found == level and ("a clock is wrong" in text) == (later < timedelta(0))


def test_without_a_network_the_log_goes_on_and_the_proofs_of_before_grow_old(
    local: LocalLake, both: Catalog, tsa: TimeStampAuthority, tmp_path: Path
) -> None:
    before = proved(local, both, 1)
    tsa.lie = "down"
    (tmp_path / "witness").rename(tmp_path / "away")
    made = proved(local, both, 2, NOW + DAY)
    assert (made.stamp, made.copy) == (before.stamp, before.copy) and len(made.wrong) == 2
    level, text = said(both, made, 3 * DAY)
    assert level == "WARN" and "did not answer" in text and "make the directory, or mount it" in text
    tsa.lie = None
    (tmp_path / "away").rename(tmp_path / "witness")
    again = proved(local, both, 3)
    assert again.stamp and again.copy and (again.stamp.seal, again.copy.seal) == (3, 3) and not again.wrong


def test_a_proof_that_was_never_made_is_red(local: LocalLake, both: Catalog, tsa: TimeStampAuthority) -> None:
    tsa.lie = "expired"
    level, text = said(both, proved(local, both, 1))
    assert level == "ERROR" and "there is no time stamp yet" in text and "certificate has expired" in text


def test_a_log_that_nobody_outside_witnesses_warns_instead_of_being_green(
    local: LocalLake, tmp_path: Path
) -> None:
    alone = catalog(tmp_path, "")
    level, text = said(alone, proved(local, alone, 1))
    assert level == "WARN" and "name `log.tsa` or `log.witness`" in text


def test_what_the_catalog_does_not_ask_for_is_not_missed(
    local: LocalLake, tmp_path: Path, tsa: TimeStampAuthority
) -> None:
    asked = tsa.asked
    only = catalog(tmp_path, ", witness: ./witness")
    level, text = said(only, proved(local, only, 1))
    assert level is None and "time stamp" not in text and tsa.asked == asked


def test_a_witness_that_lost_copies_is_red_once_and_gets_them_again(
    local: LocalLake, both: Catalog, tmp_path: Path
) -> None:
    proved(local, both, 3)
    for file in (tmp_path / "witness").iterdir():
        file.unlink()
    level, text = said(both, proved(local, both, 4))
    assert level == "ERROR" and "had the seals up to 3, and then only up to 0" in text
    assert len(list((tmp_path / "witness").iterdir())) == 4
    assert said(both, proved(local, both, 5))[0] is None


def test_a_witness_that_knows_another_log_is_not_added_to(
    local: LocalLake, both: Catalog, tmp_path: Path
) -> None:
    proved(local, both, 3)
    level, text = said(both, proved(local, both, 5, entry="forged"))
    assert level == "ERROR" and "knows a seal 1 that the lake does not have, or has with other bytes" in text
    assert len(list((tmp_path / "witness").iterdir())) == 3


def test_a_stamp_by_an_authority_that_only_the_lake_knows_does_not_count(
    local: LocalLake, both: Catalog, tmp_path: Path
) -> None:
    with TimeStampAuthority(tmp_path / "forger") as forger:
        forgers = catalog(tmp_path, f", tsa: '{forger.endpoint_url}', tsa_root: '{forger.root}'")
        assert proved(local, forgers, 1).stamp
    tsa = proved(local, both, 1)
    assert tsa.stamp is None and "another time stamp of seal 1" in tsa.wrong[0]
    assert local.read_bytes(stamp_file(1))


def test_what_was_kept_and_is_damaged_makes_nothing_green(local: LocalLake, both: Catalog) -> None:
    proved(local, both, 1)
    Path(local.location("status/outside.json")).write_text("{}")
    level, text = said(both, outside_now(local))
    assert level == "ERROR" and "there is no time stamp yet" in text
