"""What the tests of stores share: objects on a real server, and a certificate authority of one's own."""

from __future__ import annotations

import random
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.stub_s3 import StubS3
from tests.conftest import MakeBucket
from tests.fixity.support import sha256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = random.Random(1).randbytes(900_000)
RIGHT = ("succeeded", sha256(BODY))
PIECE = 512 * 1024  # what is read at a time


@pytest.fixture(scope="session")
def filled(s3: S3Client) -> str:
    """A bucket with two objects, `k` of BODY and `other`, which no test changes."""
    name = "objects-to-read"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=BODY)
    s3.put_object(Bucket=name, Key="other", Body=b"other")
    return name


@pytest.fixture
def bucket(s3: S3Client, make_bucket: MakeBucket) -> str:
    """A bucket of the test's own with one object, `k` of BODY."""
    name = make_bucket()
    s3.put_object(Bucket=name, Key="k", Body=BODY)
    return name


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ca.pem, a certificate authority of one's own, and server.pem, signed by it."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with the openssl program, which is not installed")
    directory = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl("req", "-x509", *new, "-subj", "/CN=An authority", "-keyout", "ca.key", "-out", "ca.pem")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", *new[:-2], "-subj", "/CN=loopback", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "names", "-out", "server.crt")  # fmt: skip
    both = (directory / "server.crt").read_text() + (directory / "server.key").read_text()
    (directory / "server.pem").write_text(both)
    return directory


@pytest.fixture
def server_tls(authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    return context


@pytest.fixture(scope="module")
def stub() -> Iterator[StubS3]:
    with StubS3() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.buckets.s3.reader._PAGE", 2)
        yield server


@pytest.fixture
def odd(stub: StubS3) -> StubS3:
    stub.buckets.clear()
    stub.requests.clear()
    return stub
