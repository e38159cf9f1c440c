"""Manifests in the bucket: each line that can be read counts, and what cannot be used is told."""

from __future__ import annotations

import hashlib

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.ingest.records.manifests import find_manifests, manifest_records
from fixity.lake.paths import checksums_file
from tests.fixity.ingest.bags import OLD, SHA256, SOUND, TWO_VERSIONS, V1, Look, bag, few, line
from tests.fixity.support import MemoryStore, listed

NAMES = [
    (V1, "data/a%0Ab%0Ac", "data/a\nb\nc"),
    (V1, "data/a%0ab", "data/a\nb"),
    (V1, "data/a%0Db", "data/a\rb"),
    (V1, "data/100%25.txt", "data/100%.txt"),
    (V1, "data/100%.txt", "data/100%.txt"),
    (V1, "data/%2541", "data/%41"),
    (V1, "data/a%0A", "data/a%0A"),  # by a tool that encodes nothing
    (OLD, "data/a%0Ab", "data/a%0Ab"),
    (OLD, "data/a%0Ab", "data/a\nb"),
    (V1, "data/report ", "data/report "),
    (V1, "data/report ", "data/report"),
    (V1, "data/n\u00a0", "data/n\u00a0"),
    (V1, "data/a\u2028b\x85c\x0b", "data/a\u2028b\x85c\x0b"),
    (V1, "*data/a", "data/a"),
    (V1, "  *data/a", "data/a"),
    (V1, "data/*a", "data/*a"),
    (V1, "./data/a", "data/a"),
    (V1, "data//a", "data//a"),
    (V1, "data//a", "data/a"),
    (V1, "data/x/../a", "data/a"),
    (V1, "data/x/../a", "data/x/../a"),
    (V1, "data/a..b", "data/a..b"),
    (V1, "data\\a", "data/a"),
    (V1, "data/\u00fc", "data/u\u0308"),
    (V1, "data/u\u0308", "data/\u00fc"),
    (V1, "data/u\u0308%0A", "data/\u00fc\n"),
    (V1, "data/a%20b", "data/a b"),
    (V1, "data/a%20b", "data/a%20b"),
    (OLD, "data/a%2Fb%C3%BC", "data/a/b\u00fc"),
    (V1, "data/50%20%", "data/50 %"),
    (V1, "data/a%FF", "data/a%FF"),
]
"""What the bag declares, the name in the manifest, and the object's."""


def test_a_sound_object_is_found_however_the_manifest_writes_its_name(look: Look) -> None:
    files: dict[str, bytes] = {}
    for number, (declared, written, key) in enumerate(NAMES):
        of_one = {"bagit.txt": declared, "manifest-sha256.txt": line(written), key: b"abc"}
        files |= bag(of_one, number)
    rows = look(files)
    wrong = [
        case for number, case in enumerate(NAMES) if rows[f"bags/{number}/{case[2]}"]["result"] != "MATCHED"
    ]
    assert (wrong, look.made.counts.missing, look.made.counts.unusable_records) == ([], 0, 0)


def test_an_object_found_by_its_unicode_form_is_told(look: Look) -> None:
    rows = look(bag({"bagit.txt": V1, "manifest-sha256.txt": line("data/u\u0308"), "data/\u00fc": b"abc"}))
    told = "bags/1/manifest-sha256.txt writes its name in another Unicode form"
    assert rows["bags/1/data/\u00fc"]["detail"] == told


def test_a_record_never_chooses_between_two_objects(look: Look) -> None:
    # Three forms of one name: the manifest means one, and the bucket has the others.
    written, first, second = "data/\u1e69", "data/s\u0323\u0307", "data/s\u0307\u0323"
    rows = look(bag({"bagit.txt": V1, "manifest-sha256.txt": line(written), first: b"x", second: b"abc"}))
    assert rows[f"bags/1/{written}"]["status"] == "missing"
    assert {rows[f"bags/1/{key}"]["result"] for key in (first, second)} == {"SKIPPED"}


def test_a_name_that_fits_as_it_is_and_decoded_is_taken_as_it_is(look: Look) -> None:
    there = {"data/a%20b": b"abc", "data/a b": b"x"}
    rows = look(bag({"bagit.txt": V1, "manifest-sha256.txt": line("data/a%20b"), **there}))
    assert [rows[f"bags/1/{key}"]["result"] for key in there] == ["MATCHED", "SKIPPED"]


def test_an_object_that_the_manifest_names_itself_is_no_other_lines(look: Look) -> None:
    manifest = line("data/100%2525") + line("data/100%25") + line("data/u\u0308") + line("data/\u00fc")
    there = {"data/100%25": b"abc", "data/\u00fc": b"abc"}
    rows = look(bag({"bagit.txt": V1, "manifest-sha256.txt": manifest, **there}))
    assert {key: row["status"] for key, row in rows.items() if "data" in key} == {
        "bags/1/data/100%25": "succeeded",
        "bags/1/data/100%": "missing",
        "bags/1/data/\u00fc": "succeeded",
        "bags/1/data/u\u0308": "missing",
    }


@given(
    st.lists(
        st.text("aü %025AaDd\n\r*", min_size=1, max_size=6).filter(lambda name: name.strip()),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_every_name_written_as_the_rfc_says_is_read_back(names: list[str]) -> None:
    codes = str.maketrans({"%": "%25", "\n": "%0A", "\r": "%0D"})
    store = MemoryStore()
    store.put("bagit.txt", V1)
    store.put("manifest-sha256.txt", b"".join(line(f"data/{name.translate(codes)}") for name in names))
    (found,) = find_manifests(listed(store))
    assert [record.key for record in manifest_records(store, found)] == [f"data/{name}" for name in names]


SPOILT: list[dict[str, bytes]] = [
    {"bag-info.txt": b"Contact-Name: Jos\xe9\nno colon\n"},
    {"bagit.txt": b""},
    {"bagit.txt": b"BagIt-Version: x\nTag-File-Character-Encoding: UTF-8\n"},
    {"bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: klingon\n"},
    {"bagit.txt": b"BagIt-Version: 0.93\r\nTag-File-Character-Encoding: ISO-8859-1\r\n"},
    {"bagit.txt": b"\xef\xbb\xbf" + V1},
    {"manifest-sha256.txt": b"rotten\n" + line("data/a") + b"\xff\xfe\x00\n"},
    {"manifest-sha256.txt": line("data/a") + line("../../outside") + line("..")},
    {"manifest-sha256.txt": b"\xef\xbb\xbf" + line("data/a").replace(b"\n", b"\r\n")},
    {"manifest-sha256.txt": line("data/a").replace(b"\n", b"\r") + line("data/b").replace(b"\n", b"\r")},
    {"manifest-sha256.txt": f"SHA256 (data/a) = {SHA256.upper()}\n".encode()},
    {"manifest-sha512.txt": b"\x00" * 100},
    {"manifest-sha384.txt": b"abc  data/a\n"},
]


def test_whatever_else_is_wrong_with_a_bag_its_lines_count(look: Look) -> None:
    for body, result in ((b"abc", "MATCHED"), (b"DAMAGED", "NOTMATCHED")):
        files: dict[str, bytes] = {}
        for number, spoilt in enumerate(SPOILT):
            files |= bag({**SOUND, **spoilt, "data/a": body}, number)
        rows = look(files)
        found = [rows[f"bags/{number}/data/a"]["result"] for number in range(len(SPOILT))]
        assert found == [result] * len(SPOILT)
        assert not any("outside" in key for key in rows)


def test_a_bag_without_its_declaration_still_proves_its_payload_and_is_told(look: Look) -> None:
    rows = look(bag({**SOUND, "bagit.txt": b""} | {"data/a": b"x"}))
    assert rows["bags/1/data/a"]["result"] == "NOTMATCHED"
    files = bag({**SOUND, "data/a": b"x"})
    del files["bags/1/bagit.txt"]
    rows = look(files)
    assert rows["bags/1/data/a"]["result"] == "NOTMATCHED"
    told = "bags/1/manifest-sha256.txt: there is no bagit.txt beside it"
    assert rows["bags/1/manifest-sha256.txt"]["detail"] == told


def test_files_that_only_have_the_name_of_a_manifest_are_no_bag(look: Look) -> None:
    look({"manifest-2020.txt": b"dear reader\n", "fetch.txt": b"1 2 3\n", "v1/inventory.json": b"{}"})
    assert look.made.counts.unusable_records == look.made.counts.missing == 0


@pytest.mark.parametrize(
    ("manifest", "result", "unusable"),
    [
        ("manifest-SHA256.txt", "NOTMATCHED", 0),
        ("Manifest-Sha-256.TXT", "NOTMATCHED", 0),
        ("manifest-sha384.txt", "SKIPPED", 1),
        ("manifest-blake2b-512.txt", "SKIPPED", 1),
    ],
)
def test_a_manifest_of_another_spelling_or_algorithm_is_used_or_told(
    look: Look, manifest: str, result: str, unusable: int
) -> None:
    rows = look(bag({"bagit.txt": V1, manifest: line("data/a"), "data/a": b"D"}))
    row = rows["bags/1/data/a"]
    assert (row["result"], row["unusable_records"]) == (result, str(unusable))
    assert ("records_usable" in look.red()) == bool(unusable)


def test_a_manifest_of_crcs_is_used(look: Look) -> None:
    files = {"bagit.txt": V1, "manifest-crc32.txt": b"352441c2  data/a\n83dcefb7  data/b\n"}
    rows = look(bag({**files, "data/a": b"abc", "data/b": b"D"}))
    assert [rows[f"bags/1/data/{name}"]["result"] for name in "ab"] == ["MATCHED", "NOTMATCHED"]


@pytest.mark.parametrize("version", ["0.93", "0.96", "0.97", "1.0"])
def test_a_manifest_that_the_tag_manifest_refutes_is_red_in_every_version(look: Look, version: str) -> None:
    declared = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()
    tags = f"{SHA256}  manifest-sha256.txt\n{'0' * 64}  bagit.txt\n".encode()
    rows = look(bag({**SOUND, "bagit.txt": declared, "tagmanifest-sha256.txt": tags}))
    assert rows["bags/1/manifest-sha256.txt"]["result"] == "NOTMATCHED"
    assert rows["bags/1/bagit.txt"]["result"] == "NOTMATCHED"
    assert rows["bags/1/data/a"]["result"] == "MATCHED"


def test_names_are_read_in_the_encoding_that_the_bag_declares(look: Look) -> None:
    declared = b"BagIt-Version: 0.97\nTag-File-Character-Encoding: ISO-8859-1\n"
    for written in ("data/\u00fc".encode("latin-1"), "data/\u00fc".encode()):
        manifest = SHA256.encode() + b"  " + written + b"\n"
        files = {"bagit.txt": declared, "manifest-sha256.txt": manifest, "data/\u00fc": b"abc"}
        assert look(bag(files))["bags/1/data/\u00fc"]["result"] == "MATCHED"
    declared = declared.replace(b"ISO-8859-1", b"UTF-16")
    manifest = f"{SHA256}  data/\u00fc\n".encode("utf-16")
    files = {"bagit.txt": declared, "manifest-sha256.txt": manifest, "data/\u00fc": b"abc"}
    assert look(bag(files))["bags/1/data/\u00fc"]["result"] == "MATCHED"


def test_an_object_that_is_still_to_be_fetched_is_told_as_that(look: Look) -> None:
    fetch = b"https://example.org/b 3 data/b%0A\nhttps://example.org/a - data/a\n"
    rows = look(bag({**SOUND, "fetch.txt": fetch, "manifest-sha256.txt": line("data/a") + line("data/b%0A")}))
    row = rows["bags/1/data/b\n"]
    assert (row["status"], row["error_code"]) == ("missing", "NotFetched")
    assert row["detail"].endswith("; bags/1/fetch.txt lists it: it was not fetched yet")
    assert rows["bags/1/data/a"]["detail"] == ""


@pytest.mark.parametrize("outer_is_right", [True, False])
@pytest.mark.parametrize("outer", ["sha256", "sha512"])
def test_bytes_that_match_one_bag_and_not_the_bag_around_it_are_a_conflict_and_no_damage(
    look: Look, outer: str, outer_is_right: bool
) -> None:
    right, wrong = hashlib.new(outer, b"abc").hexdigest(), hashlib.new(outer, b"x").hexdigest()
    files = {
        **SOUND,
        f"manifest-{outer}.txt": f"{right if outer_is_right else wrong}  data/in/data/a\n".encode(),
        "data/in/bagit.txt": V1,
        "data/in/manifest-sha256.txt": f"{'0' * 64 if outer_is_right else SHA256}  data/a\n".encode(),
        "data/in/data/a": b"abc",
    }
    row = look(bag(files))["bags/1/data/in/data/a"]
    assert (row["result"], row["compared_with"], row["conflicts"]) == ("NOTMATCHED", "manifest", "1")
    refuted, agrees = ("data/in/manifest-sha256.txt", f"manifest-{outer}.txt")
    if not outer_is_right:
        refuted, agrees = agrees, refuted
    assert (row["recorded_in"], row["expected"] == row["checksum"]) == (f"bags/1/{refuted}", False)
    assert row["detail"].startswith(f"bags/1/{agrees} says ")
    assert look.red()["no_notmatched"] == "ERROR"
    checks = pq.read_table(look.folder / checksums_file("b", "r1")).to_pylist()
    assert {check["verdict"] for check in checks if check["key"].endswith("in/data/a")} == {"matched"}


def test_each_inventory_of_an_ocfl_object_is_compared_with_its_sidecar(look: Look) -> None:
    rows = look(TWO_VERSIONS)
    assert {key for key, row in rows.items() if row["result"] == "MATCHED"} == {
        "o/inventory.json", "o/v1/inventory.json", "o/v2/inventory.json", "o/v1/content/a", "o/v2/content/b"
    }  # fmt: skip
    assert not look.made.counts.unusable_records
    rows = look({**TWO_VERSIONS, "o/v1/inventory.json": b"{}"})
    assert rows["o/v1/inventory.json"]["result"] == "NOTMATCHED"
    assert rows["o/v1/content/a"]["result"] == "MATCHED"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"o/inventory.json": b"{}"},
        {"o/inventory.json": None},
        {"o/inventory.json": None, "o/inventory.json.sha512": None},
        {"o/inventory.json.sha512": b"0 inventory.json"},
        {"o/0=ocfl_object_1.1": None},
        {"o/0=ocfl_object_1.1": None, "o/inventory.json": None, "o/inventory.json.sha512": None},
    ],
)
def test_an_ocfl_object_without_its_inventory_is_proved_by_that_of_its_newest_version(
    look: Look, spoilt: dict[str, bytes | None]
) -> None:
    files = {**TWO_VERSIONS, "o/v2/content/b": b"DAMAGED", **spoilt}
    rows = look({key: body for key, body in files.items() if body is not None})
    assert rows["o/v2/content/b"]["result"] == "NOTMATCHED"
    assert rows["o/v1/content/a"]["result"] == "MATCHED"
    if "o/inventory.json" in spoilt:
        assert look.made.counts.unusable_records


def test_a_text_without_a_checksum_and_without_an_object_is_a_problem_of_its_manifest(look: Look) -> None:
    manifest = b"; made by a tool\n" + SOUND["manifest-sha256.txt"]
    rows = look(bag({**SOUND, "manifest-sha256.txt": manifest}))
    assert rows["bags/1/data/a"]["result"] == "MATCHED"
    assert look.red() == {"all_compared": "WARN", "records_usable": "WARN"}
    assert "made by a tool" in rows["bags/1/manifest-sha256.txt"]["detail"]


def test_a_run_over_a_few_objects_finds_their_records_and_takes_none_of_an_object_that_is_elsewhere(
    look: Look,
) -> None:
    names = line("data/u\u0308") + line("data/100%25") + line("data/c")
    files = bag({"bagit.txt": V1, "manifest-SHA256.txt": names, "data/\u00fc": b"abc", "data/100%": b"abc"})
    selected = ("bags/1/data/\u00fc", "bags/1/data/100%")
    assert [row["key"] for row in few(look, files, *selected)] == sorted(selected)
    twin = files | bag({"data/u\u0308": b"abc"})
    assert [row["key"] for row in few(look, twin, *selected)] == ["bags/1/data/100%"]
