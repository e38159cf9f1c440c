"""Objects that change while we look: skipped, never failed, never mixed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.buckets import Throttle
from tests.fixity.buckets.conftest import BODY, RIGHT
from tests.fixity.support import check, only, outcome, s3_store, sha256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def test_an_object_overwritten_since_it_was_listed_is_skipped(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    store = s3_store(seaweedfs.endpoint_url, bucket)
    item = only(store, "k")
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(len(BODY)))
    assert outcome(store, item) == ("skipped", "ChangedSinceListed")
    s3.delete_object(Bucket=bucket, Key="k")
    assert outcome(store, item) == ("skipped", "DeletedSinceListed")


def test_with_one_request_at_a_time_the_listing_is_still_looked_at(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    store = s3_store(seaweedfs.endpoint_url, bucket, throttle=Throttle(1))
    item = only(store, "k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert outcome(store, item) == ("skipped", "ChangedSinceListed")


@pytest.mark.parametrize("fault", [None, faults.CutConnection(300_000)])
def test_an_object_that_is_not_there_any_more_although_a_longer_key_is(
    faulty_proxy: FaultyProxy, s3: S3Client, bucket: str, fault: faults.Fault | None
) -> None:
    s3.put_object(Bucket=bucket, Key="k-longer", Body=BODY)
    store = s3_store(faulty_proxy.endpoint_url, bucket)
    item = only(store, "k")
    if fault:
        faulty_proxy.fault(fault)
        faulty_proxy.fault(faults.Overwrite(lambda: s3.delete_object(Bucket=bucket, Key="k")))
    else:
        s3.delete_object(Bucket=bucket, Key="k")
    assert outcome(store, item) == ("skipped", "DeletedSinceListed")


@pytest.mark.parametrize("new", [bytes(len(BODY)), b"short", b""])
@pytest.mark.parametrize("cut", [True, False])
def test_an_object_overwritten_while_it_is_read_is_skipped_or_read_as_it_was(
    faulty_proxy: FaultyProxy, s3: S3Client, bucket: str, new: bytes, cut: bool
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, bucket)
    item = only(store, "k")

    def overwrite() -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=new)

    if cut:
        faulty_proxy.fault(faults.CutConnection(300_000))
        faulty_proxy.fault(faults.Overwrite(overwrite))
        assert outcome(store, item) == ("skipped", "ChangedSinceListed")
    else:
        faulty_proxy.fault(faults.Overwrite(overwrite, after_bytes=300_000))
        assert outcome(store, item) in (("skipped", "ChangedSinceListed"), RIGHT)


def test_an_object_of_many_chunks_overwritten_while_it_is_read_is_never_mixed(
    faulty_proxy: FaultyProxy, s3: S3Client, bucket: str
) -> None:
    old, new = random.Random(2).randbytes(12_000_000), random.Random(3).randbytes(12_000_000)
    s3.put_object(Bucket=bucket, Key="large", Body=old)
    store = s3_store(faulty_proxy.endpoint_url, bucket)
    item = only(store, "large")

    def overwrite() -> None:
        s3.put_object(Bucket=bucket, Key="large", Body=new)

    faulty_proxy.fault(faults.Overwrite(overwrite, after_bytes=1_000_000))
    assert outcome(store, item) in (("skipped", "ChangedSinceListed"), ("succeeded", sha256(old)))


def test_an_object_overwritten_with_the_same_bytes_is_still_what_was_listed(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    store = s3_store(seaweedfs.endpoint_url, bucket)
    item = only(store, "k")
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    assert outcome(store, item) == RIGHT


def test_silent_damage_gives_the_checksum_of_the_damaged_bytes(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    store = s3_store(seaweedfs.endpoint_url, bucket)
    item = only(store, "k")
    corrupt_object(seaweedfs, bucket, "k")
    done = check(store, item)
    assert done.status == "succeeded"
    assert done.checksum == sha256(s3.get_object(Bucket=bucket, Key="k")["Body"].read()) != RIGHT[1]
