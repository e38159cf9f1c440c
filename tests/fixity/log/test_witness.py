"""The witness: the first copy of each seal counts, and a lake that was put back or rewritten is named."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from devstack.seaweedfs import SeaweedFS
from fixity.lake import LocalLake
from fixity.log.chain import read_chain
from fixity.log.witness import Witness, WitnessUnreachable, add_copies, heads, open_witness
from tests.conftest import MakeBucket
from tests.fixity.log.outside_support import KEY, NOW, catalog, chain, put

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SEALS = chain(6)


@pytest.fixture(scope="session")
def locked_bucket(s3: S3Client) -> str:
    """A bucket with Object Lock: what is in it stays, so all tests share it."""
    s3.create_bucket(Bucket="witness", ObjectLockEnabledForBucket=True)
    return "witness"


@pytest.fixture(params=["directory", "s3"])
def witness(request: pytest.FixtureRequest, tmp_path: Path) -> Witness:
    if request.param == "directory":
        (tmp_path / "witness").mkdir()
        opened = open_witness(catalog(tmp_path, ", witness: ./witness"))
    else:
        server: SeaweedFS = request.getfixturevalue("seaweedfs")
        bucket: str = request.getfixturevalue("locked_bucket")
        keys = f", witness: 's3://{bucket}/{tmp_path.name}', witness_store: far, witness_lock: 1h"
        opened = open_witness(catalog(tmp_path, keys, server.endpoint_url))
    assert opened is not None
    return opened


@pytest.fixture
def local(tmp_path: Path) -> LocalLake:
    lake = LocalLake(tmp_path / "lake")
    put(lake, SEALS)
    return lake


def problems(lake: LocalLake, witness: Witness) -> list[tuple[str, str]]:
    """What a chain is told to have wrong with a witness."""
    found = read_chain(lake, KEY.public, heads(witness, lake)).problems
    return [(problem.name.removeprefix("log/seals/"), problem.what) for problem in found]


def test_each_seal_is_copied_once_and_the_same_lake_has_nothing_wrong(
    witness: Witness, local: LocalLake
) -> None:
    assert heads(witness, local) == []
    assert sorted(add_copies(witness, chain(2), NOW)) == [1, 2]
    before = witness.copies()
    after = add_copies(witness, SEALS, NOW)
    assert sorted(after) == [1, 2, 3, 4, 5, 6] and before.items() <= after.items()
    assert [witness.read(number, after[number]) for number in (1, 6)] == [SEALS[1].text, SEALS[6].text]
    assert abs((after[6].at - NOW).total_seconds()) < 3600
    assert problems(local, witness) == []
    put(local, chain(8, begin=SEALS.values()))  # not copied yet
    assert problems(local, witness) == []


def test_a_lake_that_was_put_back_is_named_with_the_seals_that_it_lacks(
    witness: Witness, local: LocalLake
) -> None:
    add_copies(witness, SEALS, NOW)
    put(local, chain(4, begin=list(SEALS.values())[:4]))
    assert problems(local, witness) == [("00000005.sha256", "deleted"), ("00000006.sha256", "deleted")]
    put(local, {})
    assert ("00000006.sha256", "deleted") in problems(local, witness)


def test_a_lake_that_was_rewritten_with_the_same_key_is_named_from_the_first_seal_that_differs(
    witness: Witness, local: LocalLake
) -> None:
    add_copies(witness, SEALS, NOW)
    for first, length in ((1, 6), (4, 6), (6, 6), (1, 9), (6, 9)):
        put(local, chain(length, entry="forged", begin=list(SEALS.values())[: first - 1]))
        assert (f"{first:08}.sha256", "rewritten") in problems(local, witness)


def test_a_lake_that_was_put_back_and_rewritten_is_named_for_both(witness: Witness, local: LocalLake) -> None:
    add_copies(witness, SEALS, NOW)
    put(local, chain(5, entry="forged", begin=list(SEALS.values())[:2]))
    assert set(problems(local, witness)) >= {("00000003.sha256", "rewritten"), ("00000006.sha256", "deleted")}


def test_on_s3_nobody_takes_back_a_copy_and_only_the_oldest_version_counts(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, locked_bucket: str, local: LocalLake
) -> None:
    keys = f", witness: 's3://{locked_bucket}/{tmp_path.name}', witness_store: far, witness_lock: 1h"
    witness = open_witness(catalog(tmp_path, keys, seaweedfs.endpoint_url))
    assert witness is not None
    add_copies(witness, SEALS, NOW)
    key, oldest = f"{tmp_path.name}/00000006.sha256", witness.copies()[6].version
    forged = chain(6, entry="forged", begin=list(SEALS.values())[:5])
    s3.put_object(Bucket=locked_bucket, Key=key, Body=forged[6].text)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=locked_bucket, Key=key, VersionId=str(oldest))
    s3.delete_object(Bucket=locked_bucket, Key=key)  # only marks it
    put(local, forged)
    assert problems(local, witness) == [("00000006.sha256", "rewritten")]
    put(local, SEALS)
    assert problems(local, witness) == []
    assert add_copies(witness, SEALS, NOW)[6].version == oldest


def test_two_that_copy_at_once_make_one_copy_of_each(witness: Witness) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: add_copies(witness, chain(2), NOW), range(4)))
    copies = witness.copies()
    assert {number: witness.read(number, copies[number]) for number in copies} == {
        number: seal.text for number, seal in chain(2).items()
    }


def test_a_bucket_without_object_lock_is_refused_before_anything_is_put(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    bucket = make_bucket()
    keys = f", witness: 's3://{bucket}', witness_store: far"
    witness = open_witness(catalog(tmp_path, keys, seaweedfs.endpoint_url))
    assert witness is not None
    with pytest.raises(WitnessUnreachable, match="its bucket has no Object Lock"):
        add_copies(witness, SEALS, NOW)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_witness_that_is_not_there_is_told_and_never_taken_for_an_empty_one(
    tmp_path: Path, seaweedfs: SeaweedFS, local: LocalLake
) -> None:
    on_s3 = ", witness: 's3://no-such-bucket', witness_store: far"
    down = "http://127.0.0.1:9"
    for keys, url in ((", witness: ./none", down), (on_s3, seaweedfs.endpoint_url), (on_s3, down)):
        witness = open_witness(catalog(tmp_path, keys, url))
        assert witness is not None
        with pytest.raises(WitnessUnreachable, match="the witness"):
            heads(witness, local)
        with pytest.raises(WitnessUnreachable, match="the witness"):
            add_copies(witness, SEALS, NOW)
    assert not (tmp_path / "none").exists()


def test_a_number_that_somebody_made_up_at_the_witness_is_named_and_costs_nothing(
    tmp_path: Path, local: LocalLake
) -> None:
    (tmp_path / "witness").mkdir()
    (tmp_path / "witness/99999999.sha256").write_text("made up")
    witness = open_witness(catalog(tmp_path, ", witness: ./witness"))
    assert witness is not None
    found = problems(local, witness)
    assert found[0] == ("00000007.sha256", "deleted") and len(found) <= 10_000
