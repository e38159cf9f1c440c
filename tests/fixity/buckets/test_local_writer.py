"""Files of a directory are replaced whole, and only by what they were expected to be."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fixity.buckets import ListedObject, LocalReader, Throttle
from fixity.buckets.local_writer import LocalWriter
from fixity.buckets.writing import NotAsExpected, NotWritten


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/folder").mkdir(parents=True)
    (tmp_path / "root/folder/k").write_bytes(b"bad")
    return tmp_path / "root"


def item(root: Path, key: str) -> ListedObject:
    found = LocalReader(root, Throttle(1)).find(key)
    assert found is not None
    return found


def test_a_file_appears_when_it_is_finished_with_the_rights_of_the_one_before(root: Path) -> None:
    (root / "folder/k").chmod(0o640)
    upload = LocalWriter(root).upload("folder/k", item(root, "folder/k"))
    upload.update(memoryview(b"wrong beginning"))
    upload.restart()
    upload.update(memoryview(b"right"))
    assert (root / "folder/k").read_bytes() == b"bad"
    upload.finish()
    upload.abandon()
    assert (root / "folder/k").read_bytes() == b"right"
    assert (root / "folder/k").stat().st_mode & 0o777 == 0o640
    assert not list((root / ".fixity-quarantine/unfinished").iterdir())


def test_an_abandoned_file_leaves_nothing_and_a_killed_one_is_removed_later(root: Path) -> None:
    writer = LocalWriter(root)
    writer.upload("folder/k", item(root, "folder/k")).abandon()
    unfinished = root / ".fixity-quarantine/unfinished"
    assert not list(unfinished.iterdir())
    (unfinished / "half").write_bytes(b"of a killed process")
    writer.remove_unfinished()
    assert not unfinished.exists()


@pytest.mark.parametrize("change", ["gone", "other", "link"])
def test_a_file_that_has_changed_is_not_replaced(root: Path, change: str) -> None:
    file, expected = root / "folder/k", item(root, "folder/k")
    upload = LocalWriter(root).upload("folder/k", expected)
    if change == "gone":
        file.unlink()
    elif change == "other":
        file.write_bytes(b"newer")
    else:
        file.rename(root / "elsewhere")
        file.symlink_to(root / "elsewhere")
    with pytest.raises(NotAsExpected):
        upload.finish()
    with pytest.raises((NotAsExpected, NotWritten)):
        LocalWriter(root).set_aside(expected, "run")


@pytest.mark.parametrize("key", ["../k", "a//k", "/k", "folder/../k", "a\0b", "link/k", "dangling"])
def test_no_key_leads_out_of_the_directory(root: Path, key: str) -> None:
    (root / "link").symlink_to(root.parent)
    (root / "dangling").symlink_to(root.parent / "nothing")
    with pytest.raises(NotWritten):
        LocalWriter(root).upload(key, None)
    assert not (root.parent / "k").exists() and not (root.parent / "nothing").exists()


def test_a_bad_file_is_kept_also_where_a_file_cannot_have_two_names(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    kept = LocalWriter(root).set_aside(item(root, "folder/k"), "one")
    assert Path(kept).samefile(root / "folder/k")
    monkeypatch.setattr(os, "link", refuse)
    copied = Path(LocalWriter(root).set_aside(item(root, "folder/k"), "two"))
    assert copied.read_bytes() == b"bad" and not copied.samefile(root / "folder/k")
