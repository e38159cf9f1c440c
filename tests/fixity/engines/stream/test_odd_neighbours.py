"""Whatever a store answers for some objects, the rows of all others are as they would be without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.loopback import s3_error
from devstack.stub_s3 import StubS3
from fixity.lake import LocalLake
from tests.conftest import MakeBucket
from tests.fixity.support import inventory_and_checks, s3_store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = [f"k{number:02d}" for number in range(40)]
ODD = KEYS[::10]


@dataclass(frozen=True)
class Says(faults.Fault):
    """An answer instead of the store's."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    text: bytes = b""

    def answer(self) -> faults.Answer:
        return faults.Answer(self.status, list(self.headers), self.text)


ANSWERS = [
    *(Says(times=times, status=status) for status in (408, 500, 501, 505, 522, 599) for times in (1, None)),
    *(Says(times=None, status=status) for status in (201, 204, 304, 400, 401, 403, 404, 405, 409, 410, 418)),
    *(
        Says(times=None, status=400, text=s3_error(code, "No."))
        for code in ("InvalidRequest", "KMS.DisabledException", "InvalidArgument")
    ),
    Says(times=None, status=301, headers=(("location", "http://127.0.0.1:1/"),)),
    Says(times=None, status=403, text=s3_error("InvalidObjectState", "Archived.")),
    Says(times=None, status=403, text=b"<html>" + b"No. \x1b[31m" * 400_000),
    Says(times=None, status=400, text=b"\xff\x00<Error><Code>" + b"A" * 5000),
    Says(times=None, text=b"other"),
    Says(times=None, headers=(("etag", '"another"'),), text=b"body"),
    Says(times=None, headers=(("content-encoding", "gzip"),), text=b"\x1f\x8b"),
    faults.Throttle(times=2),
    faults.ServerError(times=1, status=502),
    faults.HangUpBeforeAnswer(times=1),
    faults.HangUpBeforeAnswer(times=None),
    faults.CutConnection(100, times=None),
    faults.ShortBody(100, times=None),
    faults.IgnoreRange(times=None),
]


@pytest.fixture
def filled(s3: S3Client, make_bucket: MakeBucket) -> str:
    bucket = make_bucket()
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 1000)
    return bucket


@pytest.fixture
def runs() -> Iterator[int]:
    return count()


def rows(endpoint_url: str, bucket: str, folder: Path, run: int) -> dict[str, tuple[object, ...]]:
    """What a run over the whole bucket says of each object."""
    lake = LocalLake(folder / str(run))
    store = s3_store(endpoint_url, bucket)
    checks = inventory_and_checks(store, lake, "r")
    store.close()
    columns = ("status", "checksum", "error_code", "error_message", "size", "etag", "verdict")
    table = pq.read_table(folder / str(run) / checks.file).to_pylist()
    return {row["key"]: tuple(row[name] for name in columns) for row in table}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(st.sampled_from(ANSWERS), min_size=len(ODD), max_size=len(ODD)))
def test_odd_answers_for_each_tenth_object_change_no_row_of_another(
    answers: list[faults.Fault], filled: str, faulty_proxy: FaultyProxy, tmp_path: Path, runs: Iterator[int]
) -> None:
    faulty_proxy.forget()
    without = rows(faulty_proxy.endpoint_url, filled, tmp_path, next(runs))
    assert {row[0] for row in without.values()} == {"succeeded"}
    for key, answer in zip(ODD, answers, strict=True):
        faulty_proxy.fault(answer, key=key)
    found = rows(faulty_proxy.endpoint_url, filled, tmp_path, next(runs))
    assert list(found) == KEYS
    assert {key: found[key] for key in KEYS if key not in ODD} == {
        key: without[key] for key in KEYS if key not in ODD
    }
    for key in ODD:  # read in the end, or not read: never another checksum
        assert found[key] == without[key] or (found[key][0] != "succeeded" and found[key][1] is None)


ENTRIES = {
    "the year 9999": ("<LastModified>2024", "<LastModified>9999"),
    "the year 1": ("<LastModified>2024", "<LastModified>0001"),
    "no time": ("<LastModified>2024", "<LastModified>yesterday"),
    "an ETag without quotes": ("&quot;", ""),
    "no storage class": ("<StorageClass>STANDARD</StorageClass>", ""),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_odd_entries_of_a_listing_change_no_row_of_another(kind: str, tmp_path: Path) -> None:
    with StubS3() as stub:
        for key in KEYS:
            stub.put("b", key, key.encode())
        without = rows(stub.endpoint_url, "b", tmp_path, 0)
        usual, (was, becomes) = stub.lister, ENTRIES[kind]

        def lister(*asked: object) -> bytes:
            page = usual(*asked).decode()  # type: ignore[arg-type]
            for key in ODD:
                before, entry = page.split(f"<Key>{key}</Key>")
                page = f"{before}<Key>{key}</Key>{entry.replace(was, becomes, 1)}"
            return page.encode()

        stub.lister = lister
        found = rows(stub.endpoint_url, "b", tmp_path, 1)
    assert {key: found[key] for key in KEYS if key not in ODD} == {
        key: without[key] for key in KEYS if key not in ODD
    }
    assert {found[key][:2] for key in ODD} == {without[key][:2] for key in ODD}
