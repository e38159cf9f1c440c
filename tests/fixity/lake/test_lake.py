"""What every lake does, be it a directory or a bucket; and what only one of them has to care about."""

from __future__ import annotations

import errno
import json
import os
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import REGION, SeaweedFS
from devstack.stub_s3 import StubS3
from fixity.catalog import Store, load_catalog
from fixity.errors import plain_words
from fixity.lake import Lake, LakeError, LocalLake, open_lake
from fixity.lake.base import Seen
from fixity.lake.paths import checksums_file, inventory_file, report_file, scratch_folder, stats_file
from fixity.lake.s3 import S3Lake
from tests.conftest import MakeBucket


def put(lake: Lake, name: str, body: bytes, replace: bool = False) -> None:
    with lake.workspace() as workspace:
        (workspace / "file").write_bytes(body)
        lake.put(name, workspace / "file", replace)


def get(lake: Lake, name: str) -> bytes:
    with lake.workspace() as workspace:
        return lake.fetch(name, workspace).read_bytes()


def names(lake: Lake, folder: str = "") -> list[str]:
    return [file.name for file in lake.list(folder)]


# --- both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [False, True])
def test_a_local_file_that_is_kept_stays_and_is_in_the_lake_too(lake: Lake, replace: bool) -> None:
    with lake.workspace() as workspace:
        file = workspace / "file"
        file.write_bytes(b"the bytes")
        lake.put("f", file, replace, keep=True)
        lake.put("f", file, replace, keep=True)  # a step that is tried again
        assert file.read_bytes() == b"the bytes"
    assert names(lake) == ["f"] and get(lake, "f") == b"the bytes"


def test_what_was_put_is_there_whole(lake: Lake) -> None:
    body = os.urandom(9_000_000)
    before = datetime.now(UTC) - timedelta(seconds=2)
    put(lake, "a/é b+c/file.bin", body)
    assert get(lake, "a/é b+c/file.bin") == body
    (file,) = lake.list("a/")
    assert (file.name, file.size) == ("a/é b+c/file.bin", len(body))
    assert before <= file.appeared <= datetime.now(UTC) + timedelta(seconds=2)


def test_files_are_listed_by_name_with_those_of_folders_below_and_no_others(lake: Lake) -> None:
    for name in ("f/b", "f/a", "f/d/c", "f/d.c", "f2/x", "g"):
        put(lake, name, b"")
    assert names(lake, "f/") == ["f/a", "f/b", "f/d.c", "f/d/c"]
    assert names(lake, "f/d/") == ["f/d/c"]
    assert names(lake, "nothing/") == []


def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(lake: Lake) -> None:
    put(lake, "f", b"first")
    with pytest.raises(FileExistsError, match="f"):
        put(lake, "f", b"second")
    assert get(lake, "f") == b"first"
    put(lake, "f", b"first")  # a step that is tried again
    assert names(lake) == ["f"]


def test_a_file_is_replaced_as_a_whole_where_that_is_asked_for(lake: Lake) -> None:
    put(lake, "f", b"first", replace=True)
    put(lake, "f", b"2", replace=True)
    assert get(lake, "f") == b"2"


def test_a_copy_is_a_file_of_its_own_and_replaces_what_was_there(lake: Lake) -> None:
    put(lake, "day/report", b"first")
    put(lake, "LATEST/report", b"older")
    lake.copy("day/report", "LATEST/report")
    assert get(lake, "LATEST/report") == b"first"
    put(lake, "day/report", b"second", replace=True)
    assert (get(lake, "LATEST/report"), get(lake, "day/report")) == (b"first", b"second")


@pytest.mark.parametrize("what", ["fetch", "tail", "part", "read_text", "copy"])
def test_a_file_that_is_not_there_is_told_by_name(lake: Lake, what: str, tmp_path: Path) -> None:
    put(lake, "other", b"")
    act: dict[str, Callable[[], object]] = {
        "fetch": lambda: lake.fetch("no/such.parquet", tmp_path),
        "tail": lambda: lake.tail("no/such.parquet", 8),
        "part": lambda: lake.part("no/such.parquet", 8, 8),
        "read_text": lambda: lake.read_text("no/such.parquet"),
        "copy": lambda: lake.copy("no/such.parquet", "to"),
    }
    with pytest.raises(FileNotFoundError, match=r"no/such\.parquet is not in the lake"):
        act[what]()
    assert names(lake) == ["other"]


def test_texts_come_back_as_they_were(lake: Lake) -> None:
    lake.put_text("t.json", "é😀\nline\n")
    assert lake.read_text("t.json") == "é😀\nline\n"
    with pytest.raises(FileExistsError):
        lake.put_text("t.json", "other")
    lake.put_text("t.json", "other", replace=True)
    assert lake.read_text("t.json") == "other"


def test_a_part_of_a_file_is_read_without_the_rest(lake: Lake) -> None:
    put(lake, "a/f", b"0123456789")
    assert lake.part("a/f", 2, 3) == b"234"
    assert lake.part("a/f", 8, 100) == b"89"
    assert lake.part("a/f", 10, 1) == b""


@pytest.fixture
def behind_a_proxy(faulty_proxy: FaultyProxy, make_bucket: MakeBucket) -> S3Lake:
    """A lake behind `faulty_proxy`, with a small file, and one that is downloaded in ranges."""
    store = Store(name="behind", endpoint_url=faulty_proxy.endpoint_url, region=REGION)
    lake = S3Lake(make_bucket(), "", store)
    put(lake, "a/f", b"0123456789")
    put(lake, "a/large", _LARGE)
    return lake


_LARGE = random.Random(7).randbytes(9_000_000)


def test_a_server_that_answers_ranges_with_whole_files_gives_the_right_bytes(
    behind_a_proxy: S3Lake, faulty_proxy: FaultyProxy
) -> None:
    faulty_proxy.fault(faults.IgnoreRange(times=None))
    assert behind_a_proxy.part("a/f", 2, 3) == b"234"
    assert behind_a_proxy.part("a/f", 8, 100) == b"89"
    assert behind_a_proxy.tail("a/f", 3) == b"789"
    assert behind_a_proxy.tail("a/f", 100) == b"0123456789"
    assert get(behind_a_proxy, "a/large") == _LARGE


@pytest.mark.parametrize(
    "read",
    [
        lambda lake: lake.part("a/f", 2, 3),
        lambda lake: lake.part("a/f", 0, 3),
        lambda lake: lake.tail("a/f", 3),
        lambda lake: get(lake, "a/large"),
    ],
)
def test_a_server_that_answers_with_another_range_is_named_and_its_bytes_are_not_believed(
    behind_a_proxy: S3Lake, faulty_proxy: FaultyProxy, read: Callable[[Lake], bytes]
) -> None:
    faulty_proxy.fault(faults.WrongRange(times=None))
    with pytest.raises(LakeError, match=r"a/\w+: bytes=.* does not honour ranges"):
        read(behind_a_proxy)


def test_a_server_that_refuses_a_range_of_a_file_that_has_it_does_not_make_the_file_an_empty_one(
    behind_a_proxy: S3Lake, faulty_proxy: FaultyProxy
) -> None:
    faulty_proxy.fault(faults.Refuse(416, "InvalidRange"), key="a/f")
    with pytest.raises(LakeError, match="InvalidRange"):
        behind_a_proxy.tail("a/f", 3)
    faulty_proxy.fault(faults.Refuse(416, "InvalidRange"), key="a/f")
    with pytest.raises(LakeError, match="InvalidRange"):
        behind_a_proxy.part("a/f", 2, 3)


def test_the_end_of_a_file_is_read_without_the_rest(lake: Lake) -> None:
    put(lake, "a/f", b"0123456789")
    put(lake, "a/empty", b"")
    assert lake.tail("a/f", 3) == b"789"
    assert lake.tail("a/f", 100) == b"0123456789"
    assert lake.tail("a/empty", 3) == b""


def test_a_folder_is_removed_with_all_below_it_and_nothing_beside_it(lake: Lake) -> None:
    for name in ("scratch/r/b/plan.json", "scratch/r/b/parts/0", "scratch/r2/x", "scratch/r.txt"):
        put(lake, name, b"")
    lake.remove("scratch/r/")
    lake.remove("scratch/r/")
    assert names(lake, "scratch/") == ["scratch/r.txt", "scratch/r2/x"]


def test_the_place_of_a_file_is_told_to_people(lake: Lake) -> None:
    place = lake.location("reports/x.csv")
    assert place.endswith("/reports/x.csv")
    assert place.startswith(("/", "s3://lakes/"))


def test_a_workspace_is_gone_at_its_end_and_never_part_of_a_folder(lake: Lake) -> None:
    with lake.workspace() as workspace:
        (workspace / "unfinished").write_bytes(b"half")
        assert names(lake, "inventory/") == []
        kept = workspace
    assert not kept.exists()


def test_of_many_who_replace_a_file_a_reader_sees_one_whole(lake: Lake) -> None:
    bodies = [bytes([number]) * 200_000 for number in range(6)]
    put(lake, "f", bodies[0])
    done = threading.Event()

    def replace_in_turn() -> None:
        try:
            for body in bodies:
                put(lake, "f", body, replace=True)
        finally:
            done.set()

    writer = threading.Thread(target=replace_in_turn)
    writer.start()
    seen = []
    while not done.is_set():
        seen.append(get(lake, "f"))
    writer.join()
    assert set(seen) <= set(bodies)
    assert get(lake, "f") == bodies[-1]


def test_of_many_who_put_the_same_new_name_in_a_directory_one_succeeds(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    together = threading.Barrier(4)
    outcomes: list[str] = []

    def try_it(body: bytes) -> None:
        together.wait(timeout=10)
        try:
            put(lake, "f", body)
            outcomes.append(body.decode())
        except FileExistsError:
            outcomes.append("refused")

    threads = [threading.Thread(target=try_it, args=(b"%d" % number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("refused") == 3
    assert get(lake, "f").decode() in outcomes


@pytest.mark.parametrize("kernel", ["copies", "refuses", "cannot", "stops"])
def test_a_report_edited_by_hand_leaves_its_copy_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    lake = LocalLake(tmp_path)
    body = os.urandom(3_000_000)
    put(lake, "day/report", body)
    real, calls = os.copy_file_range, 0

    def copy_file_range(source: int, to: int, count: int) -> int:
        nonlocal calls
        calls += 1
        if kernel == "refuses" or calls > 1:
            raise OSError(18, "Invalid cross-device link")
        return real(source, to, 1_000_000)

    if kernel == "cannot":
        monkeypatch.delattr(os, "copy_file_range")
    elif kernel != "copies":
        monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    lake.copy("day/report", "LATEST/report")
    with (tmp_path / "day/report").open("r+b") as file:
        file.write(b"edited")
    assert get(lake, "LATEST/report") == body
    assert names(lake) == ["LATEST/report", "day/report"]


# --- a directory ---------------------------------------------------------------------------------


def test_a_lake_that_cannot_be_written_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "lake").write_bytes(b"a file where the lake should be")
    with pytest.raises(LakeError, match="lake"), LocalLake(tmp_path / "lake").workspace():
        pass
    lake = LocalLake(tmp_path / "other")
    put(lake, "inventory", b"a file where a folder should be")
    with pytest.raises(LakeError, match=r"other/inventory/b/r\.parquet cannot be written"):
        put(lake, "inventory/b/r.parquet", b"")


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LocalLake(tmp_path)
    put(lake, "inventory/b/r.parquet", b"")

    def denied(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(LakeError, match=r"inventory/b.*cannot be listed: Permission denied"):
        lake.list("inventory/b/")


# --- a bucket -------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 waits between its attempts; here it does not."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda *arguments, **named: True)


def every_call(lake: Lake, workspace: Path) -> dict[str, Exception]:
    (workspace / "file").write_bytes(b"x")
    calls: dict[str, Callable[[], object]] = {
        "list": lambda: lake.list("inventory/"),
        "fetch": lambda: lake.fetch("inventory/f", workspace),
        "tail": lambda: lake.tail("inventory/f", 8),
        "part": lambda: lake.part("inventory/f", 8, 8),
        "put": lambda: lake.put("inventory/f", workspace / "file"),
        "replace": lambda: lake.put("inventory/f", workspace / "file", replace=True),
        "copy": lambda: lake.copy("inventory/f", "inventory/g"),
        "remove": lambda: lake.remove("inventory/"),
    }
    raised: dict[str, Exception] = {}
    for name, call in calls.items():
        with pytest.raises(Exception, match="inventory/") as error:
            call()
        raised[name] = error.value
    return raised


def test_a_lake_whose_server_is_gone_is_a_lake_error_that_names_the_file(
    tmp_path: Path, impatient: None
) -> None:
    store = Store(name="gone", endpoint_url="http://127.0.0.1:1", region=REGION)
    raised = every_call(S3Lake("lakes", "p/", store), tmp_path)
    assert {name: type(error) for name, error in raised.items()} == dict.fromkeys(raised, LakeError)
    assert "s3://lakes/p/inventory/" in str(raised["put"])


def test_a_lake_whose_bucket_is_gone_is_never_taken_for_an_empty_one(seaweedfs: SeaweedFS) -> None:
    store = Store(name="loopback", endpoint_url=seaweedfs.endpoint_url, region=REGION)
    lake = S3Lake("no-such-bucket", "", store)
    for ask in (lake.list, lake.remove):
        with pytest.raises(LakeError, match=r"s3://no-such-bucket/inventory/.*NoSuchBucket"):
            ask("inventory/")


def test_a_lake_that_refuses_us_is_a_lake_error(
    tmp_path: Path, seaweedfs: SeaweedFS, lake_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = Store(name="loopback", endpoint_url=seaweedfs.endpoint_url, region=REGION)
    raised = every_call(S3Lake(lake_bucket, f"{tmp_path.name}/", store), tmp_path)
    assert {type(error) for error in raised.values()} == {LakeError}
    assert "wrong" not in "".join(map(str, raised.values()))


def test_a_busy_lake_is_waited_for(
    faulty_proxy: FaultyProxy, make_bucket: MakeBucket, impatient: None
) -> None:
    store = Store(name="busy", endpoint_url=faulty_proxy.endpoint_url, region=REGION)
    lake = S3Lake(make_bucket(), "", store)
    for method in ("PUT", "GET", "HEAD"):
        faulty_proxy.fault(faults.Throttle(times=2), method=method)
    faulty_proxy.fault(faults.Throttle(times=2), listing=True)
    put(lake, "f", b"whole")
    assert (names(lake), get(lake, "f")) == (["f"], b"whole")


def test_a_download_that_breaks_off_leaves_no_half_file(
    tmp_path: Path, faulty_proxy: FaultyProxy, make_bucket: MakeBucket, impatient: None
) -> None:
    store = Store(name="cut", endpoint_url=faulty_proxy.endpoint_url, region=REGION)
    lake = S3Lake(make_bucket(), "", store)
    put(lake, "f", b"x" * 100_000)
    faulty_proxy.fault(faults.CutConnection(1000, times=None))
    with pytest.raises(LakeError, match="f"):
        lake.fetch("f", tmp_path)
    faulty_proxy.forget()
    assert lake.fetch("f", tmp_path).read_bytes() == b"x" * 100_000


# --- names -----------------------------------------------------------------------------------------


def test_everything_has_its_place() -> None:
    day = datetime(2024, 2, 29, tzinfo=UTC).date()
    assert inventory_file("b", "r") == "inventory/b/r.parquet"
    assert checksums_file("b", "r") == "checksums/b/r.parquet"
    assert report_file("p", day) == "reports/2024-02-29/checksums/p_checksum-report.csv"
    assert report_file("p", None) == "reports/0000-00-00-LATEST/checksums/p_checksum-report.csv"
    assert stats_file("p", day) == "metadata/2024-02-29/checksums/stats/p_checksum-report.json"
    assert stats_file("p", None) == "metadata/0000-00-00-LATEST/checksums/stats/p_checksum-report.json"
    assert scratch_folder("root") == "scratch/root/"


@pytest.mark.parametrize(
    ("said", "location"), [("s3://lakes/a/b", "s3://lakes/a/b/x"), ("s3://lakes", "s3://lakes/x")]
)
def test_the_catalog_says_where_the_lake_is(tmp_path: Path, said: str, location: str) -> None:
    for lake, expected in ((said, location), ("./here", str(tmp_path / "here" / "x"))):
        file = tmp_path / "fixity.yaml"
        file.write_text(json.dumps({"lake": lake, "buckets": {"b": {"path": str(tmp_path / "b")}}}))
        assert open_lake(load_catalog(file)).location("x") == expected


def test_a_new_lake_is_for_its_owner_alone_and_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    put(LocalLake(tmp_path / "above/lake"), "a/b", b"x")
    assert (tmp_path / "above/lake").stat().st_mode & 0o777 == 0o700
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o775)
    put(LocalLake(tmp_path / "shared"), "a/b", b"x")
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o775


def test_a_full_disk_is_named_even_by_errors_that_name_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="full") as caught,
        LocalLake(tmp_path / "lake").workspace() as workspace,
    ):
        raise OSError(errno.ENOSPC, "the disk is full")
    assert str(workspace).startswith(str(tmp_path / "lake"))
    assert f"make room in {workspace}" in (plain_words(caught.value) or "")


# --- who goes on ----------------------------------------------------------------------------------


def test_of_many_who_put_if_nobody_else_has_exactly_one_succeeds(lake: Lake) -> None:
    for turn in range(3):
        seen = lake.see("turn") if turn else None
        together = threading.Barrier(6)
        won: list[str] = []

        def put_mine(text: str, together: threading.Barrier = together, seen: Seen | None = seen) -> None:
            together.wait(timeout=30)
            if lake.put_if("turn", text, seen):
                won.append(text)  # noqa: B023 - the threads end before the next turn

        threads = [threading.Thread(target=put_mine, args=(f"{turn}-{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [lake.read_text("turn")] == won


def test_what_was_seen_long_ago_replaces_nothing(lake: Lake) -> None:
    assert lake.see("turn") is None
    assert lake.put_if("turn", "first", None)
    first = lake.see("turn")
    assert first is not None and first.text == "first"
    assert lake.put_if("turn", "second", first)
    assert not lake.put_if("turn", "third", first)
    assert not lake.put_if("turn", "third", None)
    assert not lake.put_if("gone", "third", first)
    assert (lake.read_text("turn"), names(lake)) == ("second", ["turn"])


def test_a_damaged_text_can_be_replaced(lake: Lake) -> None:
    put(lake, "turn", b"\xff\xfe")
    assert lake.put_if("turn", "whole", lake.see("turn"))
    assert lake.read_text("turn") == "whole"


def test_a_store_that_refuses_conditions_is_found_out(stub_s3: StubS3) -> None:
    stub_s3.make_bucket("lakes")
    lake = S3Lake("lakes", "", Store(name="s", endpoint_url=stub_s3.endpoint_url, region=REGION))
    assert not lake.decides  # it answers 501


def test_a_store_that_overlooks_conditions_is_found_out(
    seaweedfs: SeaweedFS, lake_bucket: str, tmp_path: Path
) -> None:
    store = Store(name="loopback", endpoint_url=seaweedfs.endpoint_url, region=REGION)
    lake = S3Lake(lake_bucket, f"{tmp_path.name}/", store)

    def overlook(params: dict[str, Any], **_: object) -> None:
        params["headers"].pop("If-None-Match", None)

    lake._client.meta.events.register("before-call.s3.PutObject", overlook)
    assert not lake.decides
    assert lake.put_if("turn", "first", None) and lake.put_if("turn", "second", None)
    assert (lake.read_text("turn"), names(lake)) == ("second", ["turn"])
