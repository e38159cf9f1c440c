"""Gathering the records of many objects goes on after its last part, whatever ended the attempt before."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fixity.ingest.records.collect
from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import REGION
from fixity.buckets import BucketUnreachable
from fixity.buckets.s3.attributes import Attributes
from fixity.catalog import Algorithm, Store
from fixity.catalog.clients import s3_client
from fixity.ingest.records import Gathering, Objects, take_baselines
from fixity.ingest.records.attributes import OF_OBJECTS
from fixity.ingest.records.parts import gathered_scratch
from fixity.ingest.records.record import Source
from fixity.lake import LocalLake
from fixity.lake.paths import baselines_file
from fixity.tables import BASELINES, Provenance
from tests.conftest import MakeBucket
from tests.fixity.support import s3_store, take_inventory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REPOSITORY = Path(__file__).resolve().parents[3]
SCRATCH = "scratch/r/"


def gather(
    endpoint_url: str,
    bucket: str,
    folder: Path,
    inventory: str,
    preferred: Algorithm = "SHA256",
    records_in: tuple[Source, ...] | None = OF_OBJECTS,
) -> tuple[list[tuple[object, ...]], list[str]]:
    """Gather the records of a bucket, parts of five objects; gives them, and what was said."""
    lake = LocalLake(folder)
    s3 = s3_client(Store(name="here", endpoint_url=endpoint_url, region=REGION))
    store, said = s3_store(endpoint_url, bucket), list[str]()
    with pytest.MonkeyPatch.context() as patch, lake.workspace() as workspace:
        patch.setattr(fixity.ingest.records.collect, "PART_OBJECTS", 5)
        taken = take_baselines(
            Gathering("b", store, Attributes(s3, bucket), 1, preferred, said.append, records_in),
            Objects(lake.fetch(inventory, workspace), everything=True),
            lake,
            SCRATCH,
            workspace,
        )
        columns = ("key", "algorithm", "checksum", "recorded_as", "rank")
        return [tuple(row[name] for name in columns) for row in pq.read_table(taken.file).to_pylist()], said


class Bucket:
    """Twenty objects behind the proxy, each with a tag, and their inventory."""

    def __init__(self, s3: S3Client, name: str, proxy: FaultyProxy, folder: Path) -> None:
        self.name, self.proxy, self.folder = name, proxy, folder
        for number in range(20):
            s3.put_object(
                Bucket=name,
                Key=f"k{number:02}",
                Body=b"%d" % number,
                Tagging=f"computed-sha256={hashlib.sha256(b'%d' % number).hexdigest()}",
            )
        self.inventory = self.take_inventory("i")
        self.lake = LocalLake(folder)

    def take_inventory(self, run_id: str) -> str:
        store = s3_store(self.proxy.endpoint_url, self.name)
        return take_inventory(store, LocalLake(self.folder), "b", run_id).file

    def gather(self, inventory: str | None = None) -> tuple[list[tuple[object, ...]], list[str]]:
        return gather(self.proxy.endpoint_url, self.name, self.folder, inventory or self.inventory)

    def parts(self) -> int:
        return len(self.lake.list(gathered_scratch(SCRATCH)))

    def asked_for(self) -> list[str]:
        """The objects whose HEAD was asked for."""
        return sorted(str(seen.key) for seen in self.proxy.requests if seen.method == "HEAD" and seen.key)

    def expected(self) -> list[tuple[object, ...]]:
        bodies = [(f"k{number:02}", b"%d" % number) for number in range(20)]
        return [
            record
            for key, body in bodies
            for record in (
                (key, "SHA256", hashlib.sha256(body).hexdigest(), "object-tagging", 200),
                (key, "MD5", hashlib.md5(body).hexdigest(), "object-etag", 504),
            )
        ]


@pytest.fixture
def bucket(s3: S3Client, make_bucket: MakeBucket, faulty_proxy: FaultyProxy, tmp_path: Path) -> Bucket:
    return Bucket(s3, make_bucket(), faulty_proxy, tmp_path / "lake")


def keys(first: int, last: int) -> list[str]:
    return [f"k{number:02}" for number in range(first, last)]


_RUN = """
import sys
from pathlib import Path
from tests.fixity.ingest.test_gathering import gather
gather(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
"""


def test_after_kill_9_gathering_goes_on_after_the_last_part(bucket: Bucket) -> None:
    stall = faults.Stall(times=None)
    bucket.proxy.fault(stall, key="k12")  # its tags, by GET
    command = [sys.executable, "-c", _RUN]
    command += [bucket.proxy.endpoint_url, bucket.name, str(bucket.folder), bucket.inventory]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ) as process:
        assert stall.reached.wait(60), "it did not come as far as the object"
        process.kill()
    assert (process.returncode, bucket.parts()) == (-9, 2)
    bucket.proxy.forget()
    records, said = bucket.gather()
    assert bucket.asked_for() == keys(10, 20)
    assert records == bucket.expected()
    assert said == ["b: continues after 2 parts that an earlier attempt gathered"]


def test_a_store_that_went_away_leaves_what_was_gathered_until_then(bucket: Bucket) -> None:
    bucket.proxy.fault(faults.Refuse(403, code="ExpiredToken", times=None), key="k07")
    with pytest.raises(BucketUnreachable, match="ExpiredToken"):
        bucket.gather()
    bucket.proxy.forget()
    assert bucket.gather()[0] == bucket.expected()
    assert bucket.asked_for() == keys(5, 20)


def test_what_was_gathered_of_another_listing_or_for_another_algorithm_is_not_taken(bucket: Bucket) -> None:
    bucket.gather()
    bucket.proxy.forget()
    assert bucket.gather(bucket.take_inventory("another"))[0] == bucket.expected()
    assert bucket.asked_for() == keys(0, 20)
    bucket.proxy.forget()
    by_md5, said = gather(bucket.proxy.endpoint_url, bucket.name, bucket.folder, bucket.inventory, "MD5")
    assert (bucket.asked_for(), said) == (keys(0, 20), [])
    assert {rank for _, algorithm, *_, rank in by_md5 if algorithm == "MD5"} == {500}


class Untagged(Bucket):
    """Sixty objects behind the proxy, of which only `k01` has a tag, and their inventory."""

    def __init__(self, s3: S3Client, name: str, proxy: FaultyProxy, folder: Path) -> None:
        self.name, self.proxy, self.folder = name, proxy, folder
        for number in range(60):
            s3.put_object(Bucket=name, Key=f"k{number:02}", Body=b"1")
        s3.put_object(Bucket=name, Key="k01", Body=b"1", Tagging=f"computed-md5={MD5}")
        self.inventory = self.take_inventory("i")
        self.lake = LocalLake(folder)

    def requests(self, records_in: tuple[Source, ...] | None = None) -> tuple[int, int, list[object]]:
        """Gather; gives the HEADs, the requests for tags, and the objects with records in tags."""
        self.proxy.forget()
        self.lake.remove(SCRATCH)
        records, _ = gather(
            self.proxy.endpoint_url, self.name, self.folder, self.inventory, records_in=records_in
        )
        heads = len(self.asked_for())
        tags = [record[0] for record in records if record[3] == "object-tagging"]
        return heads, len([seen for seen in self.proxy.requests if seen.key]) - heads, tags


MD5 = hashlib.md5(b"1").hexdigest()


@pytest.fixture
def untagged(s3: S3Client, make_bucket: MakeBucket, faulty_proxy: FaultyProxy, tmp_path: Path) -> Untagged:
    return Untagged(s3, make_bucket(), faulty_proxy, tmp_path / "lake")


def test_only_a_sample_is_asked_where_it_has_no_more_records_than_the_listing(untagged: Untagged) -> None:
    assert untagged.requests() == (10, 10, [])


def test_where_head_tells_more_of_one_object_of_the_sample_all_are_asked_and_those_with_tags_for_them(
    untagged: Untagged, s3: S3Client
) -> None:
    s3.put_object(Bucket=untagged.name, Key="k06", Body=b"1", Metadata={"md5": MD5})
    untagged.inventory = untagged.take_inventory("with metadata")
    assert untagged.requests() == (10 + 60, 10 + 1, ["k01"])


@pytest.mark.parametrize(
    ("records_in", "requests"),
    [
        ((), (0, 0, [])),
        (("object-etag", "s3-checksum"), (60, 0, [])),
        (("object-tagging",), (0, 60, ["k01"])),
    ],
)
def test_the_catalog_says_which_records_of_objects_are_asked_for(
    untagged: Untagged, records_in: tuple[Source, ...], requests: tuple[int, int, list[object]]
) -> None:
    assert untagged.requests(records_in) == requests


def test_where_the_last_run_found_records_in_tags_all_are_asked_for_them(untagged: Untagged) -> None:
    with untagged.lake.workspace() as workspace:
        listed = Provenance.read(untagged.lake.fetch(untagged.inventory, workspace))
        row = {"key": "k01", "listed": True, "recorded_as": "object-tagging", "recorded_in": "tag", "rank": 0}
        pq.write_table(pa.Table.from_pylist([row], listed.attach(BASELINES)), workspace / "before.parquet")
        untagged.lake.put(baselines_file("b", "before"), workspace / "before.parquet")
    assert untagged.requests() == (10, 10 + 60, ["k01"])


def test_where_the_tags_of_a_sample_cannot_be_read_all_are_asked_for_them(untagged: Untagged) -> None:
    untagged.lake.remove(SCRATCH)
    untagged.proxy.forget()
    untagged.proxy.fault(faults.Refuse(403, code="AccessDenied", times=None), key="k00")
    gather(untagged.proxy.endpoint_url, untagged.name, untagged.folder, untagged.inventory, records_in=None)
    assert {str(seen.key) for seen in untagged.proxy.requests if seen.method == "GET" and seen.key} == {
        f"k{number:02}" for number in range(60)
    }
