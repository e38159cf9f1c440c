"""A directory as a bucket: all that is in it is listed, and read only where it is a file of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.buckets import BucketUnreachable, ListedObject, Throttle, listed_objects, local
from fixity.buckets.base import NOT_UTF8, key_text
from fixity.buckets.local import LocalReader
from fixity.digests.algorithms import Digest
from fixity.engines.stream.engine import check_objects
from tests.fixity.support import by_sha256, check, listed, only, outcome, sha256


def store(root: Path, throttle: Throttle | None = None) -> LocalReader:
    return LocalReader(root, throttle or Throttle(4))


def fill(root: Path, **files: bytes) -> Path:
    for name, body in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    return root


def keys(root: Path) -> list[str]:
    return [item.key for item in listed(store(root))]


ODD_NAMES = [
    "é😀", "a b ", " lead", "p+q%41&h#q?x", "\"'`,;", "new\nline", "\\", "A", "a", "...", "-", "\x01",
    "x" * 255,
]  # fmt: skip


def test_every_file_is_read_as_what_it_is_below_any_directory(tmp_path: Path) -> None:
    bodies = {
        f"{folder}{name}": f"{folder}{name}".encode() for folder in ("", "d/", "d/é /") for name in ODD_NAMES
    }
    bodies["empty"] = b""
    bodies["large"] = os.urandom(3_000_000)
    fill(tmp_path, **bodies)
    items = listed(store(tmp_path))
    assert [item.key for item in items] == sorted(bodies, key=str.encode)
    done = check_objects(store(tmp_path), enumerate(items), by_sha256, threads=3)
    assert {items[each.position].key: each.checksum for each in done} == {
        key: sha256(body) for key, body in bodies.items()
    }


names = st.text(
    st.sampled_from("ab-./0é😀\u0301 ~") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6
)


@given(st.sets(names, max_size=12))
def test_files_are_listed_in_the_binary_order_of_their_keys(
    tmp_path_factory: pytest.TempPathFactory, several: set[str]
) -> None:
    root = tmp_path_factory.mktemp("names")
    for name in several:
        parts = name.split("/")
        if "\0" in name or any(part in ("", ".", "..") for part in parts):
            continue
        try:
            fill(root, **{name: b""})
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # a file where this name needs a directory, or the other way round
    found = keys(root)
    assert found == sorted(
        (file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()), key=str.encode
    )


def test_directories_may_lie_deeper_than_pythons_stack(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    depth = 1500
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            there = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = there
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    try:
        assert keys(tmp_path) == ["d/" * depth + "f"]
    finally:  # pytest's own way to clear up is by recursion
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_links_are_followed_to_files_inside_the_directory_only(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", **{"d/real": b"inside"})
    fill(tmp_path, outside=b"outside", **{"root-2/f": b"beside"})
    (root / "inside").symlink_to("d/real")
    (root / "d" / "up").symlink_to("../inside")
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "beside").symlink_to(tmp_path / "root-2" / "f")
    (root / "dangling").symlink_to("nowhere")
    (root / "dangling-outside").symlink_to("../nowhere")
    (root / "loop").symlink_to("loop")
    (root / "to-dir").symlink_to("d")
    (root / "to-root").symlink_to(".")
    reader = store(root)
    assert {item.key: outcome(reader, item) for item in listed(reader)} == {
        "d/real": ("succeeded", sha256(b"inside")),
        "d/up": ("succeeded", sha256(b"inside")),
        "inside": ("succeeded", sha256(b"inside")),
        "beside": ("failed", "LinkLeavesDirectory"),
        "outside": ("failed", "LinkLeavesDirectory"),
        "dangling": ("failed", "DanglingLink"),
        "dangling-outside": ("failed", "LinkLeavesDirectory"),
        "loop": ("failed", "DanglingLink"),
        "to-dir": ("failed", "NotAFile"),
        "to-root": ("failed", "NotAFile"),
    }


def test_a_directory_below_that_became_a_link_to_the_outside_is_not_followed(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", **{"d/f": b"same"})
    reader = store(root)
    item = only(reader, "d/f")
    (root / "d").rename(tmp_path / "elsewhere")
    (root / "d").symlink_to(tmp_path / "elsewhere")
    assert outcome(reader, item) == ("failed", "LinkLeavesDirectory")


def test_the_bucket_itself_may_be_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "real", f=b"x")
    (tmp_path / "link").symlink_to("real")
    reader = store(tmp_path / "link")
    assert outcome(reader, only(reader, "f")) == ("succeeded", sha256(b"x"))


def test_a_pipe_is_listed_and_fails_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = store(tmp_path)
    assert outcome(reader, only(reader, "pipe")) == ("failed", "NotAFile")


def test_a_name_that_is_not_utf8_fails_and_is_never_hashed_as_another_file(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/d\xff/f\xfe"
    try:
        os.makedirs(os.path.dirname(raw))  # noqa: PTH103, PTH120 - a name that Path cannot show
        Path(os.fsdecode(raw)).write_bytes(b"the raw one")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    reader = store(tmp_path)
    raw_key = rf"d\xff/f\xfe{NOT_UTF8}"
    assert outcome(reader, only(reader, raw_key)) == ("failed", "KeyNotUtf8")
    # A file that bears the escaped name is another object.
    twin = fill(tmp_path, **{r"d\xff/f\xfe": b"the twin on"}) / r"d\xff/f\xfe"
    os.utime(twin, ns=(0, os.stat(raw).st_mtime_ns))  # noqa: PTH116 - a path of bytes
    assert {item.key: outcome(reader, item) for item in listed(reader)} == {
        raw_key: ("failed", "KeyNotUtf8"),
        r"d\xff/f\xfe": ("succeeded", sha256(b"the twin on")),
    }


@given(st.lists(st.text(r"\xf", max_size=5).map(str.encode) | st.binary(max_size=5), unique=True))
def test_different_names_have_different_keys_and_utf8_stays_as_it_is(names: list[bytes]) -> None:
    keys = [key_text(name) for name in names]
    assert len(set(keys)) == len(names)
    for name, key in zip(names, keys, strict=True):
        assert key.encode() == name or key.endswith(NOT_UTF8)


def test_a_name_that_only_looks_escaped_is_an_ordinary_name(tmp_path: Path) -> None:
    fill(tmp_path, **{r"a\xff": b"plain"})
    reader = store(tmp_path)
    item = only(reader, r"a\xff")
    assert outcome(reader, item) == ("succeeded", sha256(b"plain"))
    (tmp_path / r"a\xff").unlink()
    assert outcome(reader, item) == ("skipped", "DeletedSinceListed")


def test_a_file_written_to_since_it_was_listed_is_skipped(tmp_path: Path) -> None:
    file = fill(tmp_path, f=b"12345") / "f"
    reader = store(tmp_path)
    item = only(reader, "f")
    file.write_bytes(b"123456")
    assert outcome(reader, item) == ("skipped", "ChangedSinceListed")
    file.write_bytes(b"54321")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    assert outcome(reader, item) == ("skipped", "ChangedSinceListed")


def test_a_file_gone_since_it_was_listed_is_skipped(tmp_path: Path) -> None:
    fill(tmp_path, f=b"1", **{"d/g": b"2"})
    reader = store(tmp_path)
    items = listed(reader)
    (tmp_path / "f").unlink()
    (tmp_path / "d" / "g").unlink()
    (tmp_path / "d").rmdir()
    assert [outcome(reader, item) for item in items] == [("skipped", "DeletedSinceListed")] * 2
    (tmp_path / "d").write_bytes(b"a file where the directory was")
    assert outcome(reader, items[0]) == ("skipped", "DeletedSinceListed")


class Writing(Throttle):
    """Writes to a file in the middle of its being read: what a bandwidth is asked for tells when."""

    def __init__(self, file: Path, mode: str, what: bytes) -> None:
        super().__init__(1)
        self._write = (file, mode, what)

    def spend(self, count: int) -> None:
        file, mode, what = self._write
        with file.open(mode) as open_file:
            open_file.write(what)
        later = file.stat().st_mtime_ns + 1_000_000_000
        os.utime(file, ns=(later, later))


@pytest.mark.parametrize(("mode", "what"), [("ab", b"more"), ("r+b", b"other"), ("wb", b"")])
def test_a_file_written_to_while_it_is_read_is_skipped_and_its_reading_ends(
    tmp_path: Path, mode: str, what: bytes
) -> None:
    file = fill(tmp_path, f=b"x" * 3_000_000) / "f"
    item = only(store(tmp_path), "f")
    done = check(store(tmp_path, throttle=Writing(file, mode, what)), item)
    assert (done.status, done.error_code, done.checksum) == ("skipped", "ChangedSinceListed", None)


def test_a_file_replaced_as_a_whole_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    file = fill(tmp_path, f=b"old" * 1_000_000, new=b"new" * 1_000_000) / "f"
    item = only(store(tmp_path), "f")

    class Replacing(Throttle):
        def spend(self, count: int) -> None:
            if (tmp_path / "new").exists():
                (tmp_path / "new").replace(file)

    assert outcome(store(tmp_path, throttle=Replacing(1)), item) == ("succeeded", sha256(b"old" * 1_000_000))


def test_a_file_that_may_not_be_read_fails_with_that_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fill(tmp_path, f=b"secret") / "f"
    reader = store(tmp_path)
    item = only(reader, "f")
    file.chmod(0)
    if os.geteuid() == 0:  # root may read everything
        monkeypatch.setattr(local, "open", denied, raising=False)
    done = check(reader, item)
    assert (done.status, done.error_code, done.checksum) == ("failed", "AccessDenied", None)
    assert str(file) in (done.error_message or "")


def test_a_disk_that_cannot_read_a_file_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, f=b"bytes")
    reader = store(tmp_path)
    item = only(reader, "f")

    def fail(*arguments: object, **named: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(local, "open", fail, raising=False)
    assert outcome(reader, item) == ("failed", "ReadError")


def denied(*arguments: object, **named: object) -> NoReturn:
    raise PermissionError(13, "Permission denied")


def test_what_may_be_named_but_not_looked_at_refuses_the_whole_inventory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a directory that may be listed but not entered."""
    fill(tmp_path, **{"d/f": b""})
    reader = store(tmp_path)
    with monkeypatch.context() as patch:
        # The directory itself was looked at before.
        patch.setattr(Path, "is_dir", lambda self: True)
        patch.setattr(os, "stat", denied)
        patch.setattr(os, "lstat", denied)
        with pytest.raises(BucketUnreachable, match=r"d/f cannot be listed: Permission denied.*incomplete"):
            listed(reader)


def test_a_sub_directory_that_may_not_be_listed_refuses_the_inventory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, **{"a": b"", "closed/f": b""})
    (tmp_path / "closed").chmod(0)
    true = os.scandir

    def scandir(path: bytes | int) -> object:  # root may list everything; pytest tidies up by descriptors
        return denied() if isinstance(path, bytes) and path.endswith(b"closed/") else true(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(BucketUnreachable, match=r"closed/ cannot be listed: Permission denied.*incomplete"):
        keys(tmp_path)


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_a_bucket_that_is_no_directory_is_unreachable_and_not_empty(tmp_path: Path, there: str) -> None:
    if there == "a file":
        (tmp_path / "root").write_bytes(b"")
    with pytest.raises(BucketUnreachable, match="not a directory"):
        keys(tmp_path / "root")


def test_an_empty_directory_is_an_empty_bucket(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert keys(tmp_path) == []


def test_files_of_impossible_times_are_read_all_the_same(tmp_path: Path) -> None:
    file = fill(tmp_path, f=b"x") / "f"
    os.utime(file, ns=(0, -1_500_000_000))
    reader = store(tmp_path)
    assert outcome(reader, only(reader, "f")) == ("succeeded", sha256(b"x"))


def test_a_listed_size_that_is_not_the_files_is_a_change(tmp_path: Path) -> None:
    fill(tmp_path, f=b"12345")
    item: ListedObject = replace(only(store(tmp_path), "f"), size=4)
    assert outcome(store(tmp_path), item) == ("skipped", "ChangedSinceListed")


def test_files_one_by_one_are_those_of_the_listing_with_their_times(tmp_path: Path) -> None:
    fill(tmp_path, **{"a": b"1", "d/b": b"22"})
    os.utime(tmp_path / "a", ns=(0, 0))
    os.utime(tmp_path / "d/b", ns=(0, -1_500_000))
    batches = list(store(tmp_path).list_objects())
    assert [item for batch in batches for item in listed_objects(batch)] == listed(store(tmp_path))
    assert list(store(tmp_path).files()) == listed(store(tmp_path))
    nobody_says = batches[0].set_column(5, "last_modified", pa.nulls(2, pa.timestamp("us", "UTC")))
    assert [item.last_modified for item in listed_objects(nobody_says)] == [None, None]


def test_a_folder_that_becomes_a_link_among_its_files_is_not_read_for_what_was_listed(tmp_path: Path) -> None:
    fill(tmp_path / "bucket", **{"d/a": b"1", "d/b": b"2"})
    fill(tmp_path / "elsewhere", b=b"3")
    os.utime(tmp_path / "elsewhere" / "b", (1, 1))
    reader = store(tmp_path / "bucket")
    first, second = listed(reader)
    assert outcome(reader, first) == ("succeeded", sha256(b"1"))
    (tmp_path / "bucket" / "d").rename(tmp_path / "moved")
    (tmp_path / "bucket" / "d").symlink_to(tmp_path / "elsewhere")
    assert outcome(reader, second) == ("skipped", "ChangedSinceListed")
    assert outcome(store(tmp_path / "bucket"), second) == ("failed", "LinkLeavesDirectory")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "f/", "./f", "d/../f", "d", "x" * 300, "f/below", "a\0b"])
def test_what_is_no_key_of_a_file_in_the_directory_is_not_found(tmp_path: Path, key: str) -> None:
    (tmp_path / "d").mkdir()
    fill(tmp_path, f=b"x")
    reader = store(tmp_path)
    assert reader.find(key) is None
    found = reader.find("f")
    assert found is not None and found.size == 1


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system offers no way")
def test_what_is_read_afresh_comes_from_the_disk_and_not_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"content")
    dropped: list[tuple[int, ...]] = []
    advise = os.posix_fadvise

    def noted(file: int, *asked: int) -> None:
        advise(file, *asked)
        dropped.append(asked)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    reader = store(tmp_path)
    for read in (reader.read, reader.read_afresh):
        digest = Digest("SHA256")
        read(only(reader, "a"), digest)
        assert digest.hexdigest() == sha256(b"content")
    assert dropped == [(0, 0, os.POSIX_FADV_DONTNEED)]
