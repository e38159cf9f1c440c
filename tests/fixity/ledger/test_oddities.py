"""Odd listings: each object is one row, what contradicts itself fails, and nothing else is affected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.stub_s3 import StubS3
from fixity.buckets.base import LISTED_TWICE, NOT_UTF8
from fixity.lake import Lake, LocalLake
from fixity.ledger.inventory import Inventory
from fixity.tables import INVENTORY
from tests.fixity.support import (
    NOON,
    MemoryStore,
    check_inventory,
    listing_twice,
    s3_store,
    sha256,
    take_inventory,
)


def rows_of(lake: Lake, name: str) -> list[dict[str, Any]]:
    with lake.workspace() as workspace:
        rows: list[dict[str, Any]] = pq.read_table(lake.fetch(name, workspace)).to_pylist()
        return rows


class _Listed(MemoryStore):
    """A bucket that lists the rows it is given, a page after the other."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        super().__init__()
        self.pages = pages

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        return (pa.RecordBatch.from_pylist(page, INVENTORY) for page in self.pages if page)


def row(
    key: str, etag: str = "e", version: str | None = None, latest: bool = True, **more: object
) -> dict[str, Any]:
    fields = {"key": key, "version_id": version, "is_latest": latest, "size": 1, "etag": etag}
    return {**fields, "last_modified": NOON, "storage_class": None, "checksum_algorithm": None, **more}


def taken(folder: Path, *pages: list[dict[str, Any]]) -> tuple[Inventory, list[dict[str, Any]]]:
    lake = LocalLake(folder)
    inventory = take_inventory(_Listed(*pages), lake, "b", "r")
    return inventory, rows_of(lake, inventory.file)


@pytest.mark.parametrize("versions", [False, True])
@pytest.mark.parametrize("other", [False, True])
def test_of_a_bucket_that_lists_an_object_twice_all_others_are_checked_as_ever(
    tmp_path: Path, stub_s3: StubS3, versions: bool, other: bool
) -> None:
    for key in ("j", "k", "l"):
        stub_s3.put("b", key, key.encode() * 3)
    stub_s3.lister = listing_twice(other)
    store, lake = s3_store(stub_s3.endpoint_url, "b", versions=versions), LocalLake(tmp_path)
    inventory = take_inventory(store, lake, "b", "r")
    assert inventory.objects == 3
    checks = {each["key"]: each for each in rows_of(lake, check_inventory(store, lake, inventory, "r").file)}
    right = {key: sha256(key.encode() * 3) for key in ("j", "k", "l")}
    if other:
        k = checks.pop("k")
        assert (k["status"], k["error_code"], k["checksum"]) == ("failed", "ListedTwice", None)
        assert "3 bytes" in k["error_message"] and "99 bytes" in k["error_message"]
        assert len(k["error_message"]) <= 500
        del right["k"]
        assert inventory.notes == (
            "objects listed more than once with different data, which cannot be checked: 1, the first is 'k'",
        )
    else:
        assert inventory.notes == (
            "entries of the listing that repeat an object, which counts once: 1, the first is 'k'",
        )
        assert inventory.size == 9
    assert {key: each["checksum"] for key, each in checks.items()} == right


def test_an_object_on_two_pages_that_are_not_in_order_is_one_row(tmp_path: Path) -> None:
    inventory, rows = taken(tmp_path, [row("z"), row("a")], [row("m"), row("z")], [row("a"), row("b")])
    assert [each["key"] for each in rows] == ["a", "b", "m", "z"]
    assert (inventory.objects, inventory.size) == (4, 4)
    assert "repeat an object, which counts once: 2, the first is 'a'" in inventory.notes[0]


entries = st.builds(
    row,
    key=st.sampled_from(["a", "b", "é"]),
    etag=st.sampled_from(["e", "f"]),
    version=st.sampled_from([None, "v1", "v2"]),
    latest=st.booleans(),
)


@given(st.lists(st.lists(entries, max_size=6), max_size=4))
def test_each_version_is_one_row_and_contradictory_only_if_its_entries_are(
    tmp_path_factory: pytest.TempPathFactory, pages: list[list[dict[str, Any]]]
) -> None:
    _, rows = taken(tmp_path_factory.mktemp("lake"), *pages)
    said: dict[tuple[str, str], set[tuple[str, bool]]] = {}
    for each in (each for page in pages for each in page):
        said.setdefault((each["key"], each["version_id"] or ""), set()).add((each["etag"], each["is_latest"]))
    assert [(each["key"], each["version_id"] or "") for each in rows] == sorted(said)
    current = [each["key"] for each in rows if each["is_latest"]]
    assert len(current) == len({*current})
    for each in rows:
        of_it = said[each["key"], each["version_id"] or ""]
        assert (
            each["etag"].startswith(LISTED_TWICE) if len(of_it) > 1 else each["etag"] == next(iter(of_it))[0]
        )


def test_of_two_versions_that_are_both_current_the_newest_is_and_that_is_said(tmp_path: Path) -> None:
    later = NOON + timedelta(seconds=1)
    inventory, rows = taken(
        tmp_path, [row("k", version="b"), row("k", version="a", last_modified=later)], [row("l")]
    )
    assert [(each["version_id"], each["is_latest"], each["etag"]) for each in rows[:2]] == [
        ("a", True, "e"), ("b", False, "e")
    ]  # fmt: skip
    assert inventory.notes == (
        "objects listed with more than one current version; the newest counts as current: 1, "
        "the first is 'k'",
    )


def test_unknown_times_and_names_that_are_not_utf8_are_said_with_the_first_key(tmp_path: Path) -> None:
    pages = [[row("a"), row("b", last_modified=None)], [row("c", last_modified=None), row(f"d{NOT_UTF8}")]]
    inventory, rows = taken(tmp_path, *pages)
    assert len(rows) == 4
    assert inventory.notes == (
        "objects listed without a usable time of change, which is unknown: 2, the first is 'b'",
        f"objects with a name that is not UTF-8, which cannot be checked: 1, the first is 'd{NOT_UTF8}'",
    )


def test_of_a_plain_listing_there_is_nothing_to_say(tmp_path: Path) -> None:
    inventory, _ = taken(tmp_path, [row("a"), row("b")], [row("c", version="v", latest=False)])
    assert inventory.notes == ()
