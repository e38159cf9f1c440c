"""One object's whole life: every moment that the lake knows of, in order, and what cannot be read is said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fixity.catalog import Catalog, load_catalog
from fixity.evidence.lives import Lives, lives_of
from fixity.incidents.events import Event, append
from fixity_cli.main import app
from tests.fixity.rolling.support import BUCKET, Rolling, keep_ingest
from tests.fixity.support import sha256

ODD = "a b&\"e'\n\x1b[31mé"


@dataclass
class Known:
    """A bucket of the catalog `file` with objects that went through something."""

    bucket: Rolling
    file: Path

    @property
    def catalog(self) -> Catalog:
        return load_catalog(self.file)

    def life(self, key: str) -> Lives:
        return lives_of(self.bucket.lake, self.catalog, BUCKET, [key])

    def say(self, *words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["history", *words, "--catalog", str(self.file)])
        return done.exit_code, done.output


@pytest.fixture
def known(tmp_path: Path) -> Known:
    bucket = Rolling(tmp_path)
    bucket.put("plain", ODD, "gone")
    file = tmp_path / "fixity.yaml"
    (tmp_path / "b").mkdir()
    buckets = {BUCKET: {"path": "b", "fixity_every": "90d"}, "c": {"path": "c"}}
    pairs = {"p": {"source": BUCKET, "replica": "c"}}
    file.write_text(yaml.safe_dump({"lake": str(bucket.folder), "buckets": buckets, "pairs": pairs}))
    bucket.take_inventory()
    bucket.roll()
    bucket.time += timedelta(days=1)
    return Known(bucket, file)


def _moments(life: Lives) -> list[tuple[Any, ...]]:
    return [(row["what"], row["outcome"]) for row in life.moments.to_pylist()]


def test_a_life_has_all_that_happened_to_an_object_in_order(known: Known) -> None:
    bucket = known.bucket
    keep_ingest(bucket, "ingest", plain=sha256(b"plain"))
    bucket.store.damage("plain")
    bucket.time += timedelta(days=91)
    bucket.roll()
    place: dict[str, Any] = {"incident_id": "x", "bucket": BUCKET, "key": "plain"}
    at = bucket.time + timedelta(hours=1)
    append(
        bucket.lake,
        [
            Event(event="confirmed", happened_at=at, run_id="r", **place),
            Event(
                event="opened",
                happened_at=at,
                run_id="r",
                found="SHA256:bad",
                expected="SHA256:good",
                **place,
            ),
            Event(event="opened", happened_at=at, incident_id="other", bucket=BUCKET, key=ODD),
            Event(event="opened", happened_at=at, incident_id="elsewhere", bucket="c", key="plain"),
            Event("x", "closed", at + timedelta(hours=1), person="Ann", reason="restored by hand"),
            Event("other", "closed", at + timedelta(hours=1), person="Ann", reason="of another object"),
        ],
    )
    life = known.life("plain")
    assert _moments(life) == [
        ("written", None),
        ("listed", None),
        ("check", "registered"),
        ("check", "matched"),
        ("check", "differs"),
        ("opened", None),
        ("confirmed", None),
        ("closed", None),
    ]
    rows = life.moments.to_pylist()
    assert rows[4]["expected"] == f"SHA256:{sha256(b'plain')}" != rows[4]["found"]
    assert (rows[4]["expected_from"], rows[4]["detail"]) == ("manifest", "streamed; read 2 times")
    assert (rows[7]["person"], rows[7]["detail"], rows[7]["incident_id"]) == ("Ann", "restored by hand", "x")
    assert life.not_read == []
    _, text = known.say(BUCKET, "plain")
    assert "expected SHA256:good" in text and "(None)" not in text


def test_an_object_that_vanished_has_its_life_and_the_moment_when_that_was_found(known: Known) -> None:
    del known.bucket.store.objects["gone", None]
    known.bucket.take_inventory()
    life = known.life("gone")
    assert [what for what, _ in _moments(life)] == ["written", "listed", "check", "gone"]
    assert life.moments.to_pylist()[-1]["at"] == known.bucket.time
    status, text = known.say(BUCKET, "gone")
    assert status == 1 and text.startswith("gone of b: gone, last seen 2026-01-01 00:00:00 UTC\n")


def test_an_object_that_was_replaced_keeps_the_life_of_what_was_there_before(known: Known) -> None:
    known.bucket.store.rewrite("plain", b"other", known.bucket.time)
    known.bucket.take_inventory()
    known.bucket.roll(keys=["plain"])
    assert [what for what, _ in _moments(known.life("plain"))].count("written") == 2


def test_the_command_prints_a_life_that_no_key_can_disturb(known: Known) -> None:
    status, text = known.say(BUCKET, ODD)
    assert status == 0
    assert text.startswith(
        r"""a b&"e'\n\x1b[31mé of b: right when it was last read, on 2026-01-01 00:00:00 UTC"""
    )
    assert "\x1b" not in text and "registered; SHA256:" in text
    status, text = known.say(BUCKET, ODD, "--json")
    said = json.loads(text)
    assert (status, said["status"], said["results"][0]["of"]) == (0, 0, ODD)
    assert [row["what"] for row in said["rows"]] == ["written", "listed", "check"]
    assert said["rows"][2]["found"] == f"SHA256:{sha256(ODD.encode())}"


def test_an_object_in_an_incident_that_is_not_over_is_not_called_right(known: Known) -> None:
    """Its own bytes are as expected, but nobody can tell which copy of the pair is bad."""
    at = known.bucket.time
    append(known.bucket.lake, [Event("open-one", "opened", at, pair="p", key="plain")])
    assert known.life("plain").open_incidents == ["open-one"]
    status, text = known.say(BUCKET, "plain")
    assert status == 1 and text.startswith("plain of b: in an incident that is not over: open-one\n")
    append(known.bucket.lake, [Event("open-one", "dismissed", at + timedelta(1), person="Ann", reason="so")])
    assert known.say(BUCKET, "plain")[0] == 0


def test_a_key_that_nobody_knows_is_refused(known: Known) -> None:
    status, text = known.say(BUCKET, "plane")
    assert (status, text) == (2, "nothing is known of the object 'plane' in 'b'\n")


def test_a_file_of_the_ledger_that_is_damaged_is_named_and_the_status_is_not_0(known: Known) -> None:
    (file,) = (known.bucket.folder / "checksums/b").glob("*.parquet")
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    status, text = known.say(BUCKET, "plain")
    assert status == 1
    assert f"red: ledger_readable: {file} cannot be used: " in text
