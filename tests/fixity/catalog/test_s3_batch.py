"""Buckets that S3 checks, their settings once for all, and a DuraCloud stack's pairs from one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.seaweedfs import SeaweedFS
from tests.conftest import MakeBucket
from tests.fixity.catalog.conftest import Load, Problems

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROLE = "arn:aws:iam::111122223333:role/jobs"
COMMON = f"s3_batch: {{account_id: '111122223333', role_arn: '{ROLE}', report_bucket: managed}}\n"


def test_settings_stand_once_for_all_and_a_bucket_s_own_come_first(load: Load) -> None:
    catalog = load(
        f"lake: l\n{COMMON}buckets:\n  a: {{engine: s3_batch}}\n"
        "  b: {engine: s3_batch, s3_batch: {priority: 3, decode_report_keys: true}}\n  c: {}\n"
    )
    a, b = catalog.buckets["a"].s3_batch, catalog.buckets["b"].s3_batch
    assert a is not None and (a.account_id, a.priority, a.checksum_type) == (
        "111122223333",
        10,
        "FULL_OBJECT",
    )
    assert b is not None and (b.report_bucket, b.priority, b.decode_report_keys) == ("managed", 3, True)
    assert catalog.buckets["c"].s3_batch is None and catalog.checked_by_s3 == ["a", "b"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("engine: batch", "buckets.a.engine: 'batch' is not possible: one of stream, s3_batch"),
        ("engine: s3_batch, path: ./x", "buckets.a: S3 cannot check a local directory"),
        (
            "engine: s3_batch, s3_batch: {account_id: '12'}",
            "a.s3_batch.account_id: '12' is wrong: the AWS",
        ),
        ("engine: s3_batch, s3_batch: {account_id: 111122223333}", "YAML reads 111122223333 as a number"),
        (
            "engine: s3_batch, s3_batch: {role_arn: jobs}",
            "a.s3_batch.role_arn: 'jobs' is wrong: the role",
        ),
        ("engine: s3_batch, s3_batch: {prioriti: 3}", "there is no such key; did you mean priority?"),
        ("engine: s3_batch, s3_batch: {priority: -1}", "a.s3_batch.priority: -1 is too small: 0 at least"),
        ("engine: s3_batch, s3_batch: [x]", "a.s3_batch: a list is not a mapping"),
        (
            "engine: s3_batch, algorithm: CRC64NVME, s3_batch: {checksum_type: COMPOSITE}",
            "S3 has no COMPOSITE checksum of CRC64NVME",
        ),
    ],
)
def test_wrong_settings_are_refused_with_what_would_be_right(
    problems: Problems, keys: str, problem: str
) -> None:
    (found,) = problems(f"lake: l\n{COMMON}buckets: {{a: {{{keys}}}}}\n")
    assert problem in found


def test_what_is_missing_is_named(problems: Problems) -> None:
    (found,) = problems("lake: l\nbuckets: {a: {engine: s3_batch}}\n")
    assert "needs `s3_batch: {account_id, role_arn, report_bucket}`" in found
    found_all = problems("lake: l\ns3_batch: {priority: 1}\nbuckets: {a: {engine: s3_batch}}\n")
    assert [each.split(": ")[1].rpartition(".")[2] for each in found_all] == [
        "account_id", "role_arn", "report_bucket",
    ]  # fmt: skip


def test_a_stack_is_the_pairs_that_the_account_has(
    load: Load, seaweedfs: SeaweedFS, s3: S3Client, make_bucket: MakeBucket
) -> None:
    names = ["st1-private", "st1-private-repl", "st1-public", "st1-managed", "other-x", "other-x-repl"]
    for name in names:
        s3.create_bucket(Bucket=name)
    try:
        catalog = load(
            f"lake: l\nstacks: [st1]\nstores: {{aws: {{endpoint_url: '{seaweedfs.endpoint_url}'}}}}\n"
            f"s3_batch: {{account_id: '111122223333', role_arn: '{ROLE}'}}\n"
            "buckets: {st1-private: {algorithm: MD5}, st1-private-repl: {algorithm: MD5}, "
            "mine: {path: ./box}}\n"
        )
    finally:
        for name in names:
            s3.delete_bucket(Bucket=name)
    assert list(catalog.buckets) == ["st1-private", "st1-private-repl", "mine"]
    assert {pair.name: pair.replica for pair in catalog.pairs.values()} == {"st1-private": "st1-private-repl"}
    private = catalog.buckets["st1-private"]
    assert (private.engine, private.algorithm) == ("s3_batch", "MD5")
    assert private.s3_batch is not None and private.s3_batch.report_bucket == "st1-managed"


def test_a_stack_s_bucket_may_be_read_here_and_belongs_to_the_stack_with_the_longest_name(
    monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    names = {"dp-a", "dp-a-repl", "dp-x-a", "dp-x-a-repl"}
    monkeypatch.setattr("fixity.catalog.stacks._buckets_of_the_account", lambda *_: names)
    catalog = load(
        f"lake: l\nstacks: [dp, dp-x]\ns3_batch: {{account_id: '111122223333', role_arn: '{ROLE}'}}\n"
        "buckets: {dp-a: {engine: stream}}\n"
    )
    assert catalog.buckets["dp-a"].engine == "stream" and catalog.buckets["dp-a"].s3_batch is None
    found = {name: bucket.s3_batch for name, bucket in catalog.buckets.items() if bucket.s3_batch}
    assert {name: said.report_bucket for name, said in found.items()} == {
        "dp-a-repl": "dp-managed",
        "dp-x-a": "dp-x-managed",
        "dp-x-a-repl": "dp-x-managed",
    }


def test_a_stack_that_the_account_does_not_have_is_refused(problems: Problems, seaweedfs: SeaweedFS) -> None:
    (found,) = problems(
        f"lake: l\nstacks: [nobody]\nstores: {{aws: {{endpoint_url: '{seaweedfs.endpoint_url}'}}}}\n"
        "buckets: {a: {path: ./box}}\n"
    )
    assert found == "fixity.yaml: stacks: the account has no bucket 'nobody-…' with a replica '…-repl'"
