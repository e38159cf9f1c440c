"""Tables whose bits flip, lost proofs, pointers of another shape: nothing is believed, nothing is hidden."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.lake import LocalLake
from fixity.lake.footer import read_footer
from fixity.lake.latest import latest_table, point_to_latest
from fixity.lake.proof import proof_file
from fixity.ledger.current import current_checksums
from fixity.ledger.files import LeftOut, gone_from_ledger, ledger_files, proofs_there, usable_files
from fixity.ledger.refresh import state_of_files
from fixity.ledger.selection import keep_selection, read_selection
from fixity.tables import INVENTORY, Provenance, TableUnreadable
from tests.fixity.ledger.test_current import NEVER, current, ok, store_of
from tests.fixity.rolling.support import BEGIN, BUCKET, Rolling
from tests.fixity.support import inventory_and_checks, keep_table

NAME = "checksums/b/r1.parquet"
FLIPS = 200


def flip(file: Path, random: Random) -> None:
    """Flip one bit of a file, and nothing else."""
    body = bytearray(file.read_bytes())
    body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    file.write_bytes(body)


def left_out(folder: Path) -> list[LeftOut]:
    """What a new process leaves out of the ledger."""
    lake = LocalLake(folder)
    with lake.workspace() as workspace:
        found = state_of_files(lake, "b", workspace).left_out
        assert found == usable_files(lake, "b", ledger_files(lake, "b"), workspace)[1]
    return found


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    """A lake with one inventory of three objects, and a run over them."""
    inventory_and_checks(store_of("a", "b", "c"), LocalLake(tmp_path / "lake"), "r1")
    return tmp_path / "lake"


@pytest.mark.parametrize("of", [NAME, proof_file(NAME)])
def test_each_flipped_bit_of_a_file_of_the_ledger_or_of_its_record_is_found(checked: Path, of: str) -> None:
    file, random = checked / of, Random(of)
    whole = file.read_bytes()
    for _ in range(FLIPS):
        flip(file, random)
        with pytest.raises(TableUnreadable, match=r"r1\.parquet is not a whole table .*restore it"):
            LocalLake(checked).fetch(NAME, checked)
    # The bytes of a run of flips are never whole again by chance; each one is also found alone.
    for _ in range(FLIPS):
        file.write_bytes(whole)
        flip(file, random)
        with pytest.raises(TableUnreadable):
            LocalLake(checked).fetch(NAME, checked)
    file.write_bytes(whole)
    assert LocalLake(checked).fetch(NAME, checked) == checked / NAME


def test_a_flipped_file_of_the_ledger_is_left_out_by_name_and_counts_again_once_it_is_restored(
    checked: Path,
) -> None:
    file = checked / NAME
    whole = file.read_bytes()
    flip(file, Random(1))
    (said,) = left_out(checked)
    assert said.name == NAME and "their SHA-256 is another one" in said.why
    told: list[LeftOut] = []
    lake = LocalLake(checked)
    with lake.workspace() as workspace:
        table, _ = current_checksums(lake, "b", workspace, on_left_out=told.append)
        assert set(pq.read_table(table).column("error_code").to_pylist()) == {"NeverChecked"}
    assert [each.name for each in told] == [NAME]
    file.write_bytes(whole)
    assert left_out(checked) == []
    assert current(LocalLake(checked)) == {key: ok(key.encode()) for key in "abc"}


def test_a_file_of_an_earlier_version_has_no_record_and_is_read(checked: Path) -> None:
    file = checked / NAME
    table = pq.read_table(file)
    metadata = {b"fixity": table.schema.metadata[b"fixity"]}
    pq.write_table(table.replace_schema_metadata(metadata), file)
    (checked / proof_file(NAME)).unlink()
    assert state_of_files(LocalLake(checked), "b", checked) == ([], 1, {})
    assert read_footer(LocalLake(checked), NAME).rows == 3
    assert current(LocalLake(checked)) == {key: ok(key.encode()) for key in "abc"}


def test_a_record_that_is_lost_is_told_for_a_file_of_this_version(checked: Path) -> None:
    (checked / proof_file(NAME)).unlink()
    (said,) = left_out(checked)
    assert said.name == NAME and f"its record {proof_file(NAME)} is lost" in said.why
    with pytest.raises(TableUnreadable, match="is lost"):
        read_footer(LocalLake(checked), NAME)
    assert set(current(LocalLake(checked)).values()) == {NEVER}


def test_a_record_that_is_lost_after_its_file_was_folded_is_told_too(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    name = str(bucket.roll().file)
    bucket.take_inventory()
    bucket.snapshot()
    (bucket.folder / proof_file(name)).unlink()
    with bucket.lake.workspace() as workspace:
        state = state_of_files(bucket.lake, BUCKET, workspace)
    assert [each.name for each in state.left_out] == [name] and state.not_proved == 0


def test_what_a_footer_says_comes_from_the_record_and_a_flipped_one_is_refused(checked: Path) -> None:
    before = read_footer(LocalLake(checked), NAME)
    random = Random(2)
    for of in (NAME, proof_file(NAME)):
        file = checked / of
        whole = file.read_bytes()
        for _ in range(50):
            file.write_bytes(whole)
            flip(file, random)
            try:
                assert read_footer(LocalLake(checked), NAME) == before
            except TableUnreadable:
                assert of == proof_file(NAME)
        file.write_bytes(whole)


class Killed(BaseException):
    """The end of a process between two of its writes."""


@pytest.mark.parametrize("writes", range(4))
def test_a_run_that_is_killed_while_it_replaces_a_table_leaves_the_old_or_the_new_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    lake = LocalLake(tmp_path / "lake")
    old, new = pa.table({"key": ["old"]}), pa.table({"key": ["new", "er"]})
    keep_table(lake, NAME, old)
    put, done = LocalLake._put, 0

    def killed(lake: LocalLake, name: str, file: Path, replace: bool, keep: bool) -> None:
        nonlocal done
        if done == writes:
            raise Killed
        done += 1
        put(lake, name, file, replace, keep)

    with monkeypatch.context() as patch:
        patch.setattr(LocalLake, "_put", killed)
        if writes < 3:
            with pytest.raises(Killed):
                keep_table(lake, NAME, new)
        else:
            keep_table(lake, NAME, new)
    after = LocalLake(tmp_path / "lake")
    assert pq.read_table(after.fetch(NAME, tmp_path)).equals(old if writes < 2 else new)
    keep_table(after, NAME, new)  # the step is tried again
    assert pq.read_table(LocalLake(tmp_path / "lake").fetch(NAME, tmp_path)).equals(new)


def test_a_run_that_is_killed_after_the_record_leaves_no_file_and_may_put_other_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LocalLake(tmp_path / "lake")
    file = tmp_path / "file"

    def put(rows: list[str]) -> None:
        pq.write_table(pa.table({"key": rows}), file)
        lake.put(NAME, file)

    with monkeypatch.context() as patch:
        proofs_only = LocalLake._put
        patch.setattr(
            LocalLake,
            "_put",
            lambda lake, name, *how: proofs_only(lake, name, *how) if name != NAME else _kill(),
        )
        with pytest.raises(Killed):
            put(["first"])
    assert lake.list("checksums/") == [] and (tmp_path / "lake" / proof_file(NAME)).is_file()
    put(["second"])
    assert pq.read_table(lake.fetch(NAME, tmp_path)).column("key").to_pylist() == ["second"]
    with pytest.raises(FileExistsError):
        put(["third"])
    assert pq.read_table(LocalLake(tmp_path / "lake").fetch(NAME, tmp_path)).num_rows == 1


def test_a_table_whose_putting_takes_hours_is_not_gone_while_who_puts_it_lives(
    checked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, record = "checksums/b/slow.parquet", checked / proof_file("checksums/b/slow.parquet")
    put, hours_passed, renewed = LocalLake._put, Event(), Event()

    def told() -> list[str]:
        lake = LocalLake(checked)
        proofs = proofs_there(lake, "b")
        return [each.name for each in gone_from_ledger(lake, "b", (), ledger_files(lake, "b"), proofs)]

    def slow(lake: LocalLake, of: str, *how: Any) -> None:
        beside = threading.current_thread() is not threading.main_thread()
        if beside:
            assert hours_passed.wait(30)
        if of == name:
            os.utime(record, (0, 0))
            assert told() == [name]
            hours_passed.set()
            assert renewed.wait(30) and told() == []
        put(lake, of, *how)
        if beside:
            renewed.set()

    monkeypatch.setattr(LocalLake, "_put", slow)
    monkeypatch.setattr("fixity.lake.base.RENEWED_EVERY", 0.01)
    keep_table(LocalLake(checked), name, pq.read_table(checked / NAME))
    assert told() == [] and (checked / name).is_file()


def test_a_writer_that_was_taken_for_dead_leaves_the_record_of_the_table_that_was_put_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, record, other_is_put, looked = LocalLake._put, LocalLake.proof, Event(), Event()
    other, mine = pa.table({"key": ["of the step", "that was repeated"]}), LocalLake(tmp_path / "lake")

    def renews(lake: LocalLake) -> bool:
        return lake is mine and threading.current_thread() is not threading.main_thread()

    def late(lake: LocalLake, of: str, *how: Any) -> None:
        if lake is mine and of == NAME:
            keep_table(LocalLake(tmp_path / "lake"), NAME, other)
            other_is_put.set()
            assert looked.wait(30)
        assert not renews(lake) or other_is_put.wait(30)
        put(lake, of, *how)
        if renews(lake):
            looked.set()

    def proof(lake: LocalLake, name: str) -> Any:
        assert not renews(lake) or other_is_put.wait(30)
        found = record(lake, name)
        if renews(lake):
            looked.set()
        return found

    monkeypatch.setattr(LocalLake, "_put", late)
    monkeypatch.setattr(LocalLake, "proof", proof)
    monkeypatch.setattr("fixity.lake.base.RENEWED_EVERY", 0.01)
    file = tmp_path / "file"
    pq.write_table(pa.table({"key": ["first"]}), file)
    with pytest.raises(FileExistsError):
        mine.put(NAME, file)
    assert pq.read_table(LocalLake(tmp_path / "lake").fetch(NAME, tmp_path)).equals(other)


def _kill() -> None:
    raise Killed


def _listed(lake: LocalLake, run_id: str, hours: int) -> Provenance:
    provenance = Provenance("b", run_id, run_id, BEGIN.replace(hour=hours))
    keep_table(lake, f"inventory/b/{run_id}.parquet", provenance.attach(INVENTORY).empty_table())
    return provenance


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"7",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"run_id": 7, "listed_at": 7}',
        b'{"run_id": "r1", "listed_at": "2026-01-01"}',
        b'{"run_id": "gone", "listed_at": "2036-01-01T00:00:00+00:00"}',
        b'{"run_id": "r1", "listed_at": "2036-01-01T00:00:00+00:00", "sha256_of_this": "0"}',
    ],
)
def test_a_pointer_of_another_shape_hides_no_table(tmp_path: Path, text: bytes) -> None:
    lake = LocalLake(tmp_path)
    for number in (1, 2):
        point_to_latest(lake, "inventory/b/", _listed(lake, f"r{number}", number))
    (tmp_path / "inventory/b/NEWEST.json").write_bytes(text)
    assert latest_table(lake, "inventory/b/") == "inventory/b/r2.parquet"
    point_to_latest(lake, "inventory/b/", _listed(lake, "late", 1))  # an older listing that ends late
    assert latest_table(lake, "inventory/b/") == "inventory/b/r2.parquet"
    point_to_latest(lake, "inventory/b/", _listed(lake, "r3", 3))
    assert latest_table(lake, "inventory/b/") == "inventory/b/r3.parquet"


def test_no_flipped_bit_of_a_pointer_hides_a_table(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    for number in (1, 2):
        point_to_latest(lake, "inventory/b/", _listed(lake, f"r{number}", number))
    pointer, random = tmp_path / "inventory/b/NEWEST.json", Random(3)
    whole = pointer.read_bytes()
    for _ in range(FLIPS):
        pointer.write_bytes(whole)
        flip(pointer, random)
        assert latest_table(lake, "inventory/b/") == "inventory/b/r2.parquet"


def test_without_its_pointer_the_ledger_has_the_newest_check_of_each_object(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("a")
    bucket.roll(keys=["a"])  # of the same listing as the first
    (bucket.folder / "checksums/b/NEWEST.json").write_text("[]")
    bucket.lake.remove("standing/")
    with bucket.lake.workspace() as workspace:
        table, _ = current_checksums(bucket.lake, BUCKET, workspace)
        rows = pq.read_table(table).to_pylist()
    assert [row["verdict"] for row in rows] == ["differs", "registered"]


def test_a_snapshot_whose_note_or_table_is_damaged_is_rebuilt(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("a")
    bucket.roll(keys=["a"])
    right = bucket.damaged()
    assert [each.key for each in right] == ["a"]
    note, random = bucket.folder / "standing/b/NEWEST.json", Random(4)
    for _ in range(5):
        flip(note, random)
        assert bucket.damaged() == right
    note.write_text("[]")
    assert bucket.damaged() == right
    flip(bucket.folder / bucket.snapshot().names("damaged")[0], random)
    bucket.lake = LocalLake(bucket.folder)
    with pytest.raises(Exception, match="was damaged and is removed: run this again"):
        bucket.damaged()
    assert bucket.damaged() == right


def test_a_list_of_objects_that_was_damaged_is_refused(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    name = keep_selection(lake, "b", [("k", None)])
    assert read_selection(lake, "b", name) == [("k", None)]
    (file,) = (tmp_path / "selections").rglob("*.json")
    file.write_bytes(file.read_bytes().replace(b"k", b"l"))
    with pytest.raises(TableUnreadable, match="its name is not the SHA-256 of its content"):
        read_selection(lake, "b", name)
