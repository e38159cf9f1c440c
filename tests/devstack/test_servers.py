"""The servers of the tests do what the tests believe they do."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
import sqlalchemy
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from devstack import faults
from devstack.delay_proxy import DelayProxy
from devstack.faulty_proxy import FaultyProxy
from devstack.loopback import LoopbackServer
from devstack.machines import Network, NotAllowed
from devstack.postgres import USER, PostgresServer
from devstack.redis import RedisServer
from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY, SeaweedFS, s3_client
from devstack.seaweedfs_damage import corrupt_object, damage_object
from devstack.server_process import wait_until
from devstack.stub_s3 import StubS3
from tests.conftest import MakeBucket, or_skip

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = os.urandom(300_000)
ODD_KEYS = [
    "a b+c%41&é😀.txt", "new\nline", "/lead", "dou//ble", "dir/", "a/./b", "../up", "s" * 300, "é" * 512,
    "A", "a", "<&>\"'", "\x01",
]  # fmt: skip


def get(
    server: LoopbackServer, path: str, headers: dict[str, str] | None = None, timeout: float = 30
) -> tuple[int, bytes, http.client.HTTPMessage, bool]:
    """A signed GET with nothing in between: status, body, headers, and whether all of the body came."""
    request = AWSRequest("GET", server.endpoint_url + path, headers=headers or {})
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION).add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=timeout)
    try:
        connection.request("GET", path, headers=dict(request.headers.items()))
        answer = connection.getresponse()
        try:
            return answer.status, answer.read(), answer.headers, True
        except http.client.IncompleteRead as cut:
            return answer.status, cut.partial, answer.headers, False
    finally:
        connection.close()


@pytest.fixture
def bucket(s3: S3Client, make_bucket: MakeBucket) -> str:
    name = make_bucket()
    s3.put_object(Bucket=name, Key="a/b", Body=BODY)
    return name


def test_what_passes_the_delaying_proxy_comes_whole_and_later(seaweedfs: SeaweedFS, bucket: str) -> None:
    with DelayProxy(seaweedfs.endpoint_url, 0.2) as proxy:
        client = s3_client(proxy.endpoint_url, retries=1)
        client.put_object(Bucket=bucket, Key="large", Body=BODY * 20)
        begun = time.monotonic()
        assert client.get_object(Bucket=bucket, Key="large")["Body"].read() == BODY * 20
        assert time.monotonic() - begun >= 0.2
        client.close()


def test_boto3_works_through_the_proxy_unchanged(faulty_proxy: FaultyProxy, bucket: str) -> None:
    client = s3_client(faulty_proxy.endpoint_url, retries=1)
    key = "q r+s%é/😀"
    client.put_object(Bucket=bucket, Key=key, Body=BODY)
    assert client.get_object(Bucket=bucket, Key=key, Range="bytes=5-9")["Body"].read() == BODY[5:10]
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(BODY)
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in listed] == ["a/b", key]
    (seen,) = faulty_proxy.gets(key)
    assert (seen.headers["Range"], seen.fault) == ("bytes=5-9", None)
    assert sum(faulty_proxy.bytes_per_second().values()) >= 5
    assert faulty_proxy.max_concurrent == 1


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (faults.Throttle(retry_after=1), 503, b"SlowDown"),
        (faults.Throttle(status=429), 429, b"TooManyRequests"),
        (faults.ServerError(), 500, b"InternalError"),
        (faults.ServerError(status=502), 502, b"Gateway"),
        (faults.Refuse(), 403, b"AccessDenied"),
        (faults.Refuse(status=404), 404, b"NoSuchKey"),
    ],
)
def test_an_answer_in_the_stores_place_is_given_as_often_as_told(
    faulty_proxy: FaultyProxy, bucket: str, fault: faults.Fault, status: int, code: bytes
) -> None:
    faulty_proxy.fault(fault, key="a/b")
    got, body, _, _ = get(faulty_proxy, f"/{bucket}/a/b")
    assert (got, code in body) == (status, True)
    assert get(faulty_proxy, f"/{bucket}/a/b")[:2] == (200, BODY)
    assert [seen.fault for seen in faulty_proxy.gets("a/b")] == [fault, None]


@pytest.mark.parametrize(
    ("fault", "length", "whole"),
    [
        (faults.CutConnection(1000), len(BODY), False),
        (faults.ShortBody(1000, claim_all=True), len(BODY), False),
        (faults.ShortBody(1000), 1000, True),
    ],
)
def test_a_body_ends_early(
    faulty_proxy: FaultyProxy, bucket: str, fault: faults.Fault, length: int, whole: bool
) -> None:
    faulty_proxy.fault(fault)
    status, body, headers, complete = get(faulty_proxy, f"/{bucket}/a/b")
    assert (status, body, complete) == (200, BODY[:1000], whole)
    assert headers["Content-Length"] == str(length)


def test_connections_break(faulty_proxy: FaultyProxy, bucket: str) -> None:
    faulty_proxy.fault(faults.CutConnection(0, reset=True))
    faulty_proxy.fault(faults.HangUpBeforeAnswer())
    with pytest.raises(ConnectionResetError):
        get(faulty_proxy, f"/{bucket}/a/b")
    with pytest.raises(http.client.RemoteDisconnected):
        get(faulty_proxy, f"/{bucket}/a/b")


def test_a_stalled_body_waits_for_its_release(faulty_proxy: FaultyProxy, bucket: str) -> None:
    stall = faults.Stall(after_bytes=10, times=2)
    faulty_proxy.fault(stall)
    with pytest.raises(TimeoutError):
        get(faulty_proxy, f"/{bucket}/a/b", timeout=0.2)
    stall.reached.clear()

    def release_when_reached() -> None:
        stall.reached.wait()
        stall.release()

    threading.Thread(target=release_when_reached).start()
    assert get(faulty_proxy, f"/{bucket}/a/b")[1] == BODY


def test_a_byte_is_corrupted(faulty_proxy: FaultyProxy, bucket: str) -> None:
    faulty_proxy.fault(faults.CorruptBytes(at=70_000))
    _, body, _, _ = get(faulty_proxy, f"/{bucket}/a/b")
    assert [at for at in range(len(BODY)) if body[at] != BODY[at]] == [70_000]


@pytest.mark.parametrize("after", [None, 100])
def test_an_object_is_overwritten_around_a_read(
    faulty_proxy: FaultyProxy, s3: S3Client, bucket: str, after: int | None
) -> None:
    def overwrite() -> None:
        s3.put_object(Bucket=bucket, Key="a/b", Body=b"new")

    faulty_proxy.fault(faults.Overwrite(overwrite, after_bytes=after))
    assert get(faulty_proxy, f"/{bucket}/a/b")[1] == (b"new" if after is None else BODY)
    assert get(faulty_proxy, f"/{bucket}/a/b")[1] == b"new"


def test_ranges_are_ignored_or_wrong(faulty_proxy: FaultyProxy, bucket: str) -> None:
    faulty_proxy.fault(faults.IgnoreRange())
    faulty_proxy.fault(faults.WrongRange())
    asked = {"Range": "bytes=100-199"}
    assert get(faulty_proxy, f"/{bucket}/a/b", asked)[:2] == (200, BODY)
    status, body, headers, _ = get(faulty_proxy, f"/{bucket}/a/b", asked)
    assert (status, body) == (206, BODY[99:199])
    assert headers["Content-Range"] == f"bytes 99-198/{len(BODY)}"


def test_a_fault_happens_to_listings_alone_when_told_so(faulty_proxy: FaultyProxy, bucket: str) -> None:
    faulty_proxy.fault(faults.Throttle(times=None), listing=True)
    assert get(faulty_proxy, f"/{bucket}/a/b")[0] == 200
    assert get(faulty_proxy, f"/{bucket}?list-type=2")[0] == 503
    faulty_proxy.forget()
    assert get(faulty_proxy, f"/{bucket}?list-type=2")[0] == 200


def test_the_stub_lists_odd_keys_to_boto3_in_order_and_page_by_page(stub_s3: StubS3) -> None:
    for key in ODD_KEYS:
        stub_s3.put("odd", key, key.encode())
    pages = s3_client(stub_s3.endpoint_url).get_paginator("list_objects_v2")
    listed = [each for page in pages.paginate(Bucket="odd", PaginationConfig={"PageSize": 2})
              for each in page["Contents"]]  # fmt: skip
    assert [each["Key"] for each in listed] == sorted(ODD_KEYS, key=str.encode)
    assert listed[0]["LastModified"].microsecond == 789000


def test_the_stub_serves_the_key_that_the_path_says(stub_s3: StubS3) -> None:
    for key in ODD_KEYS:
        stub_s3.put("odd", key, key.encode())
        raw = "".join(f"%{byte:02X}" if byte != 0x2F else "/" for byte in key.encode())
        assert get(stub_s3, f"/odd/{raw}")[:2] == (200, key.encode())
    assert get(stub_s3, "/odd/../up")[1] == b"../up"


def test_the_stub_keeps_versions_as_s3_does(stub_s3: StubS3) -> None:
    client = s3_client(stub_s3.endpoint_url)
    stub_s3.put("v", "k ", b"old")
    etag = stub_s3.put("v", "k ", b"new", version_id="v2")
    stub_s3.put("v", "gone", b"x", version_id="v3")
    stub_s3.put_delete_marker("v", "gone", "v4")
    pages = client.get_paginator("list_object_versions")
    found = list(pages.paginate(Bucket="v", PaginationConfig={"PageSize": 1}))
    versions = [each for page in found for each in page.get("Versions", [])]
    assert [(each["Key"], each["VersionId"], each["IsLatest"]) for each in versions] == [
        ("gone", "v3", False), ("k ", "v2", True), ("k ", "null", False)
    ]  # fmt: skip
    assert [each["VersionId"] for page in found for each in page.get("DeleteMarkers", [])] == ["v4"]
    assert [each["Key"] for each in client.list_objects_v2(Bucket="v")["Contents"]] == ["k "]
    assert client.get_object(Bucket="v", Key="k ", VersionId="null")["Body"].read() == b"old"
    pinned = client.get_object(Bucket="v", Key="k ", IfMatch=etag, Range="bytes=1-")
    assert pinned["Body"].read() == b"ew"
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.get_object(Bucket="v", Key="k ", IfMatch='"another"')
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket="v", Key="gone")


def test_the_stub_lists_objects_that_do_not_exist_yet(stub_s3: StubS3) -> None:
    stub_s3.make_synthetic_bucket("many", 2500, size=30)
    client = s3_client(stub_s3.endpoint_url)
    client.head_bucket(Bucket="many")
    pages = list(client.get_paginator("list_objects_v2").paginate(Bucket="many"))
    assert [page["KeyCount"] for page in pages] == [1000, 1000, 500]
    last = pages[-1]["Contents"][-1]
    assert len(client.get_object(Bucket="many", Key=last["Key"])["Body"].read()) == last["Size"] == 30


def test_a_damaged_object_cannot_be_read(seaweedfs: SeaweedFS, s3: S3Client, bucket: str) -> None:
    damage_object(seaweedfs, bucket, "a/b")
    with pytest.raises(ClientError, match="InternalError"):
        seaweedfs.client(retries=1).get_object(Bucket=bucket, Key="a/b")


def test_a_corrupted_object_tells_nobody(seaweedfs: SeaweedFS, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="large.txt", Body=b"text " * 2_000_000)
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    corrupt_object(seaweedfs, bucket, "a/b")
    corrupt_object(seaweedfs, bucket, "large.txt", chunk=1)
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before
    small = s3.get_object(Bucket=bucket, Key="a/b")["Body"].read()
    large = s3.get_object(Bucket=bucket, Key="large.txt")["Body"].read()
    assert sum(one != other for one, other in zip(small, BODY, strict=True)) == 1
    assert sum(one != other for one, other in zip(large, b"text " * 2_000_000, strict=True)) == 1


def test_a_version_is_damaged_alone(seaweedfs: SeaweedFS, s3: S3Client, make_bucket: MakeBucket) -> None:
    name = make_bucket(versioned=True)
    old = s3.put_object(Bucket=name, Key="k é", Body=b"same bytes")["VersionId"]
    new = s3.put_object(Bucket=name, Key="k é", Body=b"same bytes")["VersionId"]
    corrupt_object(seaweedfs, name, "k é", version_id=old)
    read = [s3.get_object(Bucket=name, Key="k é", VersionId=each)["Body"].read() for each in (old, new)]
    assert [each == b"same bytes" for each in read] == [False, True]


def test_a_broker_keeps_what_it_was_told_over_a_kill_and_leaves_nothing_behind() -> None:
    with or_skip(RedisServer) as server:
        assert redis.Redis.from_url(server.url()).set("told", "kept")
        server.kill()
        assert not server.answers()
        server.start()
        assert redis.Redis.from_url(server.url()).get("told") == b"kept"
    assert not server.folder.exists() and not server.answers()


def test_a_database_keeps_what_it_was_told_over_a_kill_and_leaves_nothing_behind() -> None:
    with or_skip(PostgresServer) as server:
        address = f"postgresql+psycopg2://{USER}@127.0.0.1:{server.port}/{server.make_database()}"
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE told AS SELECT 'kept' AS word"))
        server.kill()
        assert not server.answers()
        server.start()
        with engine.begin() as connection:
            assert connection.execute(sqlalchemy.text("SELECT word FROM told")).scalar() == "kept"
    assert not server.folder.exists() and not server.answers()


ECHO = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(connection.recv(100))
"""


def network_or_skip() -> Network:
    """A network that was entered to see whether that is allowed, and can be entered again."""
    try:
        with Network() as network:
            return network
    except NotAllowed as refused:
        pytest.skip(str(refused))


def test_who_is_cut_off_is_told_nothing_and_gets_later_what_was_sent() -> None:
    with network_or_skip() as network, socket.create_server((network.address, 0)) as server:
        machine = network.join("far")
        words = machine.within(sys.executable, "-c", ECHO, *map(str, server.getsockname()))
        with subprocess.Popen(words), server.accept()[0] as connection:
            machine.cut()
            connection.sendall(b"is anybody there?")
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(100)
            machine.plug_in()
            connection.settimeout(30)
            assert connection.recv(100) == b"is anybody there?"


MAKES_A_MACHINE = """
import os, signal, subprocess
from devstack.machines import Network
with Network() as network:
    machine = network.join("alone")
    left = subprocess.Popen(machine.within("sleep", "600"), stdin=subprocess.DEVNULL)
    print(network.cable, machine.pid, left.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_machine_and_all_that_runs_there_end_with_who_made_it_even_if_that_one_is_killed() -> None:
    network_or_skip()
    made = subprocess.run(
        [sys.executable, "-c", MAKES_A_MACHINE], stdout=subprocess.PIPE, text=True, check=False
    )
    cable, *processes = made.stdout.split()
    assert made.returncode == -signal.SIGKILL and len(processes) == 2
    left = [Path("/sys/class/net", cable), *(Path("/proc", process) for process in processes)]
    assert wait_until(lambda: not any(path.exists() for path in left), 30)


def test_where_namespaces_are_not_allowed_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotAllowed, match="util-linux and iproute2 are needed"), Network():
        pass
