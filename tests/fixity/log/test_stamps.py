"""Time stamps: an authority is believed only if its answer proves this seal, now, by a root that we know."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from devstack.tsa import Lie, TimeStampAuthority
from fixity.lake import Lake, LocalLake
from fixity.log.chain import Problem
from fixity.log.manifest import seal_file
from fixity.log.stamps import (
    NotStamped,
    Stamp,
    certificates_of,
    check_stamps,
    late_stamps,
    stamp,
    stamp_file,
    wrong_times,
)
from tests.fixity.log.outside_support import DAY, NOW, chain, put

SEALS = chain(3)
SEAL = SEALS[1].text
WORDS: dict[Lie, str] = {
    "nonce": "Nonce mismatch",
    "data": "Nonce mismatch",
    "expired": "certificate has expired",
    "stranger": "unable to get local issuer certificate",
    "refuses": "the authority refuses: Bad request version",
    "page": "ASN.1",
    "busy": "answered 503",
    "down": "did not answer",
}


@pytest.fixture
def local(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path / "lake")


def stamped(lake: Lake, tsa: TimeStampAuthority, number: int = 1, now: datetime = NOW) -> Stamp:
    return stamp(lake, number, SEALS[number].text, (tsa.endpoint_url, certificates_of(tsa.root)), now)


def test_a_stamp_proves_its_seal_without_a_network_to_us_and_to_openssl(
    lake: Lake, tsa: TimeStampAuthority, tmp_path: Path
) -> None:
    made = stamped(lake, tsa)
    assert abs(made.at - NOW) < DAY and made.is_trusted
    tsa.lie = "down"
    assert list(check_stamps(lake, SEALS, certificates_of(tsa.root))) == [made]
    files = {".tsr": lake.read_bytes(stamp_file(1)), ".sha256": SEAL}
    (pem,) = [file.name for file in lake.list("log/stamps/") if file.name.endswith(".pem")]
    files[".pem"] = lake.read_bytes(pem)
    for ending, content in files.items():
        (tmp_path / f"seal{ending}").write_bytes(content)

    def openssl(at: datetime) -> int:
        text = "openssl ts -verify -data seal.sha256 -in seal.tsr -CAfile seal.pem -attime"
        words = [*text.split(), str(int(at.timestamp()))]
        return subprocess.run(words, cwd=tmp_path, capture_output=True).returncode

    assert openssl(made.at) == 0
    assert openssl(made.at + 400 * DAY) == 1  # its certificate has expired by then: so the time is given
    (tmp_path / "seal.sha256").write_bytes(SEAL + b"\n")
    assert openssl(made.at) == 1


@pytest.mark.parametrize("lie", get_args(Lie))
def test_an_authority_that_lies_or_is_down_is_told_and_its_answer_is_not_kept(
    local: LocalLake, tsa: TimeStampAuthority, lie: Lie
) -> None:
    tsa.lie = lie
    with pytest.raises(NotStamped, match=WORDS[lie]) as caught:
        stamped(local, tsa)
    assert tsa.endpoint_url in str(caught.value) and not caught.value.final
    assert not local.list("log/stamps/")
    tsa.lie = None
    assert stamped(local, tsa).number == 1


@pytest.mark.parametrize("jump", [-2 * DAY, 400 * DAY])
def test_where_our_clock_and_the_authority_s_differ_no_stamp_is_kept(
    local: LocalLake, tsa: TimeStampAuthority, jump: object
) -> None:
    with pytest.raises(NotStamped, match="see which clock is wrong"):
        stamped(local, tsa, now=NOW + jump)  # type: ignore[operator]
    assert not local.list("log/stamps/")


def test_a_stamp_of_another_seal_or_of_none_is_named(local: LocalLake, tsa: TimeStampAuthority) -> None:
    stamped(local, tsa)
    others = chain(3, entry="other")
    (found,) = check_stamps(local, others, certificates_of(tsa.root))
    assert found == Problem(stamp_file(1), "edited", "it does not prove seal 1: Mismatch between messages")
    (found,) = check_stamps(local, {}, certificates_of(tsa.root))
    assert found == Problem(seal_file(1), "deleted", "there is a time stamp of seal 1, and no such seal")
    put(local, SEALS)  # by another sealer, since the seals were read
    assert not list(check_stamps(local, {}, certificates_of(tsa.root)))


def test_a_root_that_only_the_lake_knows_is_said_to_be_one(local: LocalLake, tsa: TimeStampAuthority) -> None:
    stamped(local, tsa)
    (found,) = check_stamps(local, SEALS, [])
    assert isinstance(found, Stamp) and not found.is_trusted
    for file in local.list("log/stamps/"):
        if file.name.endswith(".pem"):
            local.discard(file.name)
    (found,) = check_stamps(local, SEALS, [])
    assert isinstance(found, Problem) and "no root certificate" in found.text


def test_a_stamp_that_is_damaged_is_named_or_proves_the_same_and_never_ends_the_check(
    local: LocalLake, tsa: TimeStampAuthority
) -> None:
    stamped(local, tsa)
    file = Path(local.location(stamp_file(1)))
    good, draw = file.read_bytes(), Random(1)
    trusted = certificates_of(tsa.root)
    refuted = 0
    for _ in range(60):
        bad = bytearray(good)
        bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
        file.write_bytes(bytes(bad)[: draw.choice([len(bad), draw.randrange(len(bad))])])
        (found,) = check_stamps(local, SEALS, trusted)
        refuted += isinstance(found, Problem)
        (other,) = check_stamps(local, chain(1, entry="other"), trusted)
        assert isinstance(other, Problem)
    assert refuted > 50


def test_a_second_stamp_of_a_seal_replaces_nothing(local: LocalLake, tsa: TimeStampAuthority) -> None:
    stamped(local, tsa)
    before = local.read_bytes(stamp_file(1))
    with pytest.raises(NotStamped, match="another time stamp of seal 1"):
        stamped(local, tsa)
    assert local.read_bytes(stamp_file(1)) == before


def test_a_file_without_certificates_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text("no certificate")
    with pytest.raises(
        NotStamped, match=r"root\.pem, the catalog's `log\.tsa_root`, cannot be used: it holds"
    ):
        certificates_of(tmp_path / "root.pem")
    with pytest.raises(NotStamped, match="No such file"):
        certificates_of(tmp_path / "none.pem")


def test_an_answer_that_is_far_too_long_is_not_read_to_its_end(
    local: LocalLake, tsa: TimeStampAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.log.stamps._LARGEST", 500)
    with pytest.raises(NotStamped, match="more than 500 bytes"):
        stamped(local, tsa)


def test_seals_whose_clock_had_jumped_are_named_by_the_stamps_around_them() -> None:
    days = [0, 1, 900, 3, -400, 5]
    seals = {number: chain(number, at=NOW + day * DAY)[number] for number, day in enumerate(days, start=1)}
    stamps = [Stamp(number, NOW + number * DAY, True) for number in (1, 2, 4, 6)]
    texts = list(wrong_times(seals, stamps))
    assert [text.split(" says")[0] for text in texts] == ["seal 5", "seal 3"]
    assert "was made after a time stamp of" in texts[0] and "proves it" in texts[1]
    assert not list(wrong_times(seals, []))


def test_seals_that_were_stamped_long_after_the_time_that_they_say_are_named() -> None:
    seals = {number: chain(number, at=NOW + number * DAY)[number] for number in range(1, 31)}
    daily = [Stamp(number, NOW + number * DAY, True) for number in seals]
    assert not list(late_stamps(seals, daily))
    (text,) = late_stamps(seals, [each for each in daily if each.number in (2, 20, 25)])
    assert text.startswith("seals 3 to 12 say") and f"{NOW + 20 * DAY:%Y-%m-%d}" in text
    (text,) = late_stamps(seals, daily[-1:])  # as if all had been written today
    assert text.startswith("seals 1 to 22 say") and text.endswith("nothing proves them before")
