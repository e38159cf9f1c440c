"""Records that were usable and no longer are, or may be in what cannot be read: never silently green."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from fixity.ingest.verdict import verdict
from fixity.lake.paths import baselines_file
from fixity.tables import BASELINES, Provenance
from tests.fixity.ingest.bags import MD5, SHA256, SOUND, TWO_VERSIONS, V1, Look, bag, few, line
from tests.fixity.ingest.test_ingest_report import Recorded, Troubled, csv_rows, report
from tests.fixity.support import NOON, keep_table

LOSSES: list[tuple[dict[str, bytes], dict[str, bytes | None], str]] = [
    (SOUND, {"manifest-sha256.txt": None}, "data/a"),
    (SOUND, {"manifest-sha256.txt": b""}, "data/a"),
    (SOUND, {"manifest-sha256.txt": b"rotten"}, "data/a"),
    (SOUND, {"manifest-sha256.txt": None, "bagit.txt": None}, "data/a"),
    (SOUND, {"manifest-sha256.txt": b"0 data/a\n"}, "data/a"),
    (TWO_VERSIONS, {key: None for key in TWO_VERSIONS if "content" not in key}, "o/v2/content/b"),
    (TWO_VERSIONS, {key: b"{}" for key in TWO_VERSIONS if key.endswith(".json")}, "o/v1/content/a"),
]
"""Files, what becomes of some of them, and the object that has no record then."""


def test_a_record_that_was_usable_and_no_longer_is_is_an_error_until_there_is_one_again(look: Look) -> None:
    sound: dict[str, bytes] = {}
    spoilt: dict[str, bytes] = {}
    for number, (files, loss, key) in enumerate(LOSSES):
        sound |= bag(files, number)
        after = {**files, **loss, key: b"DAMAGED"}
        spoilt |= bag({name: body for name, body in after.items() if body is not None}, number)
    look(sound)
    assert "records_usable" not in look.red()
    for _ in range(2):  # looking twice turns nothing green
        rows = look(spoilt)
        assert look.red()["records_usable"] == "ERROR"
        lost = [rows[f"bags/{number}/{key}"] for number, (*_, key) in enumerate(LOSSES)]
        assert [row["lost_records"] for row in lost] == ["1"] * len(LOSSES)
        assert all("usable on 2024-02-29 and no longer: restore it" in row["detail"] for row in lost)
    look(sound)
    assert "records_usable" not in look.red()


def test_a_damaged_table_of_the_last_look_is_red_until_it_is_restored_or_removed(look: Look) -> None:
    look(bag(SOUND))
    table = look.folder / baselines_file("b", "r1")
    whole = table.read_bytes()
    table.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    rows = look(bag({**SOUND, "manifest-sha256.txt": b""}))
    assert rows["bags/1/data/a"]["status"] == "succeeded"
    assert look.red()["no_missing"] == "ERROR"
    assert "r1.parquet" in rows["baselines/b/"]["detail"]
    table.write_bytes(whole)


def test_without_its_pointer_the_last_look_is_that_over_the_whole_bucket(look: Look) -> None:
    look(bag(SOUND))
    whole = Provenance("b", "r1", "r1", NOON)
    part = replace(whole, run_id="part", inventory_run_id="part", listed_at=NOON + timedelta(days=1))
    keep_table(look.lake, baselines_file("b", "part"), BASELINES.empty_table().cast(part.attach(BASELINES)))
    look(bag({"data/a": b"DAMAGED"}))
    assert look.red()["records_usable"] == "ERROR"


def test_a_checksum_given_by_hand_takes_the_place_of_a_lost_record(look: Look) -> None:
    look(bag(SOUND))
    files = bag({"data/a": b"abc"})
    look(files)
    assert look.red()["records_usable"] == "ERROR"
    rows = look(files, f"bags/1/data/a,{SHA256}\n")
    assert rows["bags/1/data/a"]["result"] == "MATCHED"
    assert "records_usable" not in look.red()


def test_a_bag_that_is_gone_or_has_a_stronger_manifest_has_lost_no_record(look: Look) -> None:
    look(bag({"bagit.txt": V1, "manifest-md5.txt": f"{MD5}  data/a\n".encode(), "data/a": b"abc"}))
    look(bag(SOUND))
    assert "records_usable" not in look.red()
    look({"another": b"abc"})
    assert "records_usable" not in look.red()


def test_a_run_over_a_few_objects_knows_which_records_they_have_lost(look: Look) -> None:
    files = bag({**SOUND, "manifest-Sha256.txt": SOUND["manifest-sha256.txt"]})
    del files["bags/1/manifest-sha256.txt"]
    look(files)
    (row,) = few(look, files, "bags/1/data/a")  # it is looked for where it was, whatever the name
    assert (row["recorded_in"], row["problem"]) == ("bags/1/manifest-Sha256.txt", None)
    del files["bags/1/manifest-Sha256.txt"]
    (row,) = few(look, files, "bags/1/data/a")
    assert (row["checksum"], row["usable_until"]) == (None, NOON)


ROTTEN: list[tuple[dict[str, bytes | None], set[str]]] = [
    ({"manifest-sha256.txt": line("data/a") + b"rotten\n"}, {"data/b", "data/in/c"}),
    ({"manifest-sha256.txt": line("data/a") + b"\xff\xff  data/b\n" + line("data/in/c")}, {"data/b"}),
    ({"manifest-sha256.txt": line("data/a") + line("data/b") + b"0" + line("data/in/c")}, {"data/in/c"}),
    ({"manifest-sha256.txt": b""}, set()),  # it says nothing, and all of it can be read
    ({"manifest-sha256.txt": None}, {"data/a", "data/b", "data/in/c"}),
    (
        {
            "manifest-sha256.txt": b"rotten\n",
            "manifest-md5.txt": b"".join(
                f"{MD5}  {key}\n".encode() for key in ("data/a", "data/b", "data/in/c")
            ),
        },
        set(),
    ),
    ({"tagmanifest-sha256.txt": b"rotten\n"}, set()),
    ({"manifest-sha384.txt": b"abc  data/a\n"}, set()),
]
"""What is wrong with a bag at the first look, and which of its payload may have lost its record."""
PAYLOAD = {"data/a": b"abc", "data/b": b"abc", "data/in/c": b"abc"}


def test_payload_that_no_line_names_though_lines_cannot_be_read_is_an_error_at_the_first_look(
    look: Look,
) -> None:
    sound = {
        "bagit.txt": V1,
        "manifest-sha256.txt": b"".join(map(line, PAYLOAD)),
        "beside.txt": b"x",
        **PAYLOAD,
    }
    files: dict[bool, dict[str, bytes]] = {True: {}, False: {}}
    for number, (spoilt, without) in enumerate(ROTTEN):
        after: Mapping[str, bytes | None] = {**sound, **spoilt}
        there = {name: body for name, body in after.items() if body is not None}
        files[bool(without)] |= bag(there, number)
    rows = look(files[True])
    assert {key for key, row in rows.items() if row["lost_records"] != "0"} == {
        f"bags/{number}/{key}" for number, (_, without) in enumerate(ROTTEN) for key in without
    }
    assert look.red()["records_usable"] == "ERROR"
    look(files[False])
    assert look.red()["records_usable"] == "WARN"


def test_the_first_objects_without_their_record_are_named(look: Look) -> None:
    files = {"bagit.txt": V1, "manifest-sha256.txt": b"rotten\n"}
    look(bag({**files, **{f"data/{number}\n": b"x" for number in range(9)}}))
    (usable,) = [check for check in verdict(look.made.counts) if check.name == "records_usable"]
    first = ", ".join(f"bags/1/data/{number}\\n" for number in range(5))
    assert f"({first}, …); 9 of them are lost" in usable.description


def test_a_run_over_a_few_objects_tells_of_a_manifest_that_cannot_be_read(look: Look) -> None:
    files = bag({"bagit.txt": V1, "manifest-sha256.txt": line("data/a") + b"rotten\n", **PAYLOAD})
    named, unnamed = few(look, files, "bags/1/data/a", "bags/1/data/b")
    assert (named["checksum"], named["is_lost"]) == (SHA256, False)
    assert "manifest-sha256.txt: not a checksum and a name in the bag: line 2" in named["note"]
    assert (unnamed["key"], unnamed["is_lost"]) == ("bags/1/data/b", True)


class Tagged(Recorded):
    """A record in the tags of each object, if so said."""

    def tags(self, key: str, version_id: str | None = None) -> dict[str, str]:
        return {"computed-md5": MD5} if "object-tagging" in self.kinds else {}


@pytest.mark.parametrize("kind", ["object-tagging", "object-metadata"])
def test_a_record_with_the_object_that_was_usable_and_is_gone_is_an_error_unless_the_object_was_replaced(
    look: Look, kind: str
) -> None:
    runs = iter("12345")

    def red(*kinds: str, replaced: bool = False) -> str | None:
        store = Troubled()
        store.put("k", b"abc")
        item, body = store.objects["k", None]
        at = NOON + timedelta(days=1 if replaced else -1)
        store.objects["k", None] = replace(item, last_modified=at), body
        look.made = report(store, look.lake, run_id=next(runs), attributes=Tagged(*kinds))
        return look.red().get("records_usable")

    assert [red(kind), red(), red(), red(kind)] == [None, "ERROR", "ERROR", None]
    assert red(replaced=True) is None


def test_what_the_catalog_no_longer_asks_for_is_not_lost(look: Look) -> None:
    store = Troubled()
    store.put("k", b"abc")
    item, body = store.objects["k", None]
    store.objects["k", None] = replace(item, last_modified=NOON - timedelta(days=1)), body
    report(store, look.lake, run_id="1", attributes=Tagged("object-tagging"))
    look.made = report(store, look.lake, run_id="2")
    assert "records_usable" not in look.red()
    assert {row["lost_records"] for row in csv_rows(look.lake, look.made)} == {"0"}
