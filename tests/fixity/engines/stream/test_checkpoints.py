"""A large object that was interrupted goes on after its last chunk, and never with another's state."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from devstack.seaweedfs import SeaweedFS
from fixity.buckets import BucketReader, ListedObject, Sink, Throttle
from fixity.buckets.local import LocalReader
from fixity.catalog import Algorithm
from fixity.digests.state import State
from fixity.engines.stream.checkpoints import Checkpoints
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Reading, hash_shard, plan_file
from fixity.lake import LocalLake
from tests.conftest import MakeBucket
from tests.fixity.support import listed, only, plan_of, s3_store, sha256, take_inventory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024**2
REPOSITORY = Path(__file__).resolve().parents[4]
BODY = array("I", range(8 * MIB // 4)).tobytes() + b"and a rest"

# Hashes the one object of a bucket as a step does, so slowly that it can be killed in the middle.
CHILD = """
import sys
from pathlib import Path
from fixity.lake import LocalLake
from fixity.engines.stream.shards import Plan, Reading, hash_shard, plan_file
from fixity.buckets import Throttle
from tests.fixity.support import s3_store
endpoint, bucket, lake = sys.argv[1:]
lake = LocalLake(Path(lake))
plan = Plan.from_json(lake.read_text(plan_file("scratch/root/")))
store = s3_store(endpoint, bucket, throttle=Throttle(1, bandwidth=4 * 1024**2))
hash_shard(Reading(store, 1, chunk_size=1024**2), lake, "scratch/root/", plan, plan.shards[0], "r1")
"""


class Counting:
    """A store that counts the bytes that it gives."""

    waits_in_turns = False

    def __init__(self, store: BucketReader) -> None:
        self._store = store
        self.list_objects = store.list_objects
        self.at_once = store.at_once
        self.find = store.find
        self.close = store.close
        self.given = 0

    def read(self, item: ListedObject, sink: Sink) -> None:
        before = sink.count
        self._store.read(item, sink)
        self.given += sink.count - before

    read_afresh = read


def states(lake: LocalLake, folder: str = "scratch/root/rehashes/") -> list[str]:
    return [file.name for file in lake.list(folder)]


def count_of(lake: LocalLake, name: str) -> int:
    return int(lake.read_text(name).split('"count": ')[1].split(",")[0])


def test_after_kill_9_another_process_goes_on_after_the_last_chunk(
    s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket, tmp_path: Path
) -> None:
    bucket = make_bucket()
    s3.put_object(Bucket=bucket, Key="film.mkv", Body=BODY)
    lake = LocalLake(tmp_path / "lake")
    store = Counting(s3_store(seaweedfs.endpoint_url, bucket))
    plan = plan_of(lake, take_inventory(store, lake, "b", "r1"))
    lake.put_text(plan_file("scratch/root/"), plan.to_json())
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, seaweedfs.endpoint_url, bucket, str(tmp_path / "lake")],
        cwd=REPOSITORY,
    )
    deadline = time.monotonic() + 120
    while not (states(lake) and count_of(lake, states(lake)[0]) >= 3 * MIB):
        assert child.poll() is None, "the child ended before it could be killed"
        assert time.monotonic() < deadline, "the child keeps no state"
        time.sleep(0.01)
    child.kill()
    child.wait()
    (name,) = states(lake)
    done = count_of(lake, name)
    assert 3 * MIB <= done < len(BODY)
    said: list[str] = []
    reading = Reading(store, 1, chunk_size=MIB, log=said.append)
    hash_shard(reading, lake, "scratch/root/", plan, plan.shards[0], "r2")
    assert store.given == len(BODY) - done
    (line,) = said
    assert line.startswith("film.mkv: continues after ")
    kept = keep_checksums(lake, "scratch/root/", plan, "b", "r2")
    (row,) = pq.read_table(tmp_path / "lake" / kept.file).to_pylist()
    assert (row["checksum"], row["bytes_read"]) == (sha256(BODY), len(BODY))


@pytest.fixture
def local(tmp_path: Path) -> tuple[Path, LocalReader, LocalLake]:
    folder = tmp_path / "bucket"
    folder.mkdir()
    (folder / "film.mkv").write_bytes(BODY)
    return folder, LocalReader(folder, Throttle(4)), LocalLake(tmp_path / "lake")


class _Killed(Exception):
    pass


def interrupted(
    lake: LocalLake, store: BucketReader, item: ListedObject, after: int, algorithm: Algorithm = "SHA256"
) -> str:
    """Hash an object in chunks of a MiB, breaking off after so many bytes; the name of what was kept."""
    digest = Checkpoints(lake, "scratch/root/rehashes/", MIB).digest(item, algorithm)

    class Breaking:
        restart = digest.restart

        @property
        def count(self) -> int:
            return digest.count

        def update(self, piece: memoryview) -> None:
            digest.update(piece)
            if digest.count >= after:
                raise _Killed

    with pytest.raises(_Killed):
        store.read(item, Breaking())
    (name,) = states(lake)
    return name


def test_a_local_file_goes_on_where_its_digest_stands(local: tuple[Path, LocalReader, LocalLake]) -> None:
    _, store, lake = local
    counting = Counting(store)
    item = only(store, "film.mkv")
    interrupted(lake, store, item, 5 * MIB)
    digest = Checkpoints(lake, "scratch/root/rehashes/", MIB).digest(item, "SHA256")
    counting.read(item, digest)
    assert digest.hexdigest() == sha256(BODY)
    assert counting.given == len(BODY) - 5 * MIB


def test_a_changed_object_starts_anew(local: tuple[Path, LocalReader, LocalLake]) -> None:
    folder, store, lake = local
    interrupted(lake, store, only(store, "film.mkv"), 5 * MIB)
    changed = BODY[::-1]
    (folder / "film.mkv").write_bytes(changed)
    item = only(store, "film.mkv")
    digest = Checkpoints(lake, "scratch/root/rehashes/", MIB).digest(item, "SHA256")
    assert digest.count == 0
    store.read(item, digest)
    assert digest.hexdigest() == sha256(changed)


def test_an_object_overwritten_between_two_chunks_is_never_a_mixture(
    s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket, tmp_path: Path
) -> None:
    bucket, lake = make_bucket(), LocalLake(tmp_path / "lake")
    s3.put_object(Bucket=bucket, Key="film.mkv", Body=BODY)
    store = s3_store(seaweedfs.endpoint_url, bucket)
    plan = plan_of(lake, take_inventory(store, lake, "b", "r1"))
    interrupted(lake, store, only(store, "film.mkv"), 5 * MIB)
    s3.put_object(Bucket=bucket, Key="film.mkv", Body=BODY[::-1])
    hash_shard(Reading(store, 1, chunk_size=MIB), lake, "scratch/root/", plan, plan.shards[0], "r2")
    kept = keep_checksums(lake, "scratch/root/", plan, "b", "r2")
    (row,) = pq.read_table(tmp_path / "lake" / kept.file).to_pylist()
    assert (row["status"], row["error_code"], row["checksum"]) == ("skipped", "ChangedSinceListed", None)


@pytest.mark.parametrize("damage", ["cut short", "another object's", "beyond the end", "no text"])
def test_a_state_that_cannot_be_trusted_is_discarded_with_a_message(
    damage: str, local: tuple[Path, LocalReader, LocalLake]
) -> None:
    _, store, lake = local
    (item,) = listed(store)
    name = interrupted(lake, store, item, 5 * MIB)
    file = Path(lake.location(name))
    text = file.read_text()
    subject = str(json.loads(text)["subject"])
    if damage == "cut short":
        file.write_text(text[: len(text) // 2])
    elif damage == "another object's":
        file.write_text(State.from_json(text, subject).to_json("of another"))
    elif damage == "beyond the end":
        state = State.from_json(text, subject)
        file.write_text(State("SHA256", 64 * MIB, state.chain, b"").to_json(subject))
    else:
        file.write_bytes(b"\xff\xfe\x00")
    said: list[str] = []
    digest = Checkpoints(lake, "scratch/root/rehashes/", MIB, said.append).digest(item, "SHA256")
    assert digest.count == 0
    assert "discarded" in said[0]
    store.read(item, digest)
    assert digest.hexdigest() == sha256(BODY)


def test_small_objects_and_the_xxhash_algorithms_leave_no_state(
    local: tuple[Path, LocalReader, LocalLake],
) -> None:
    _, store, lake = local
    item = only(store, "film.mkv")
    for checkpoints, algorithm in (
        (Checkpoints(lake, "s/", MIB), "XXHASH64"),
        (Checkpoints(lake, "s/", len(BODY)), "SHA256"),
    ):
        store.read(item, checkpoints.digest(item, algorithm))  # type: ignore[arg-type]
    assert states(lake, "s/") == []
