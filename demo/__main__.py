"""`make demo`: a source and its replica on a real S3 server, damage on purpose, and the report.

Everything is below .demo/: the server's data (made anew each time), the catalog, the lake, and the
Dagster instance, which keep the reports of earlier runs, so that the UI shows how the counts went.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demo.collection import make_collection
from devstack.seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOME = Path(".demo").absolute()
SOURCE, REPLICA = "collection", "collection-repl"
CATALOG = """\
lake: ./lake
stores:
  loopback: {{endpoint_url: {endpoint}, region: us-east-1}}
buckets:
  collection: {{store: loopback, description: What was deposited, owners: ["team:preservation"]}}
  collection-repl: {{store: loopback, description: Its replica, owners: ["team:preservation"]}}
pairs:
  # 0s: the replica was written a moment ago, and is to be judged now.
  collection: {{replica: collection-repl, replication_lag: 0s}}
"""


def demo(
    files: Annotated[Path | None, typer.Option(help="A folder of yours.")] = None,
) -> None:
    """Show the platform at work on a small collection, or on copies of the files of a folder."""
    began = time.monotonic()
    files = files and files.expanduser()
    shutil.rmtree(HOME / "server", ignore_errors=True)
    if files is None:
        files = HOME / "files"
        shutil.rmtree(files, ignore_errors=True)
        make_collection(files)
    print("Starting SeaweedFS, a real S3 server, on loopback …", flush=True)
    with SeaweedFS(HOME / "server") as server:
        (HOME / "fixity.yaml").write_text(CATALOG.format(endpoint=server.endpoint_url))
        keys = _fill(server.client(), files)
        print(f"{len(keys)} files of {files} deposited in two buckets. Spoiled on purpose:")
        for what in _spoil(server.client(), keys):
            print(f"  - {what}")
        print(f"\nVerifying, {time.monotonic() - began:.0f} s after the start:", flush=True)
        began_verifying = time.monotonic()
        status = subprocess.run(
            [sys.executable, "-m", "fixity_cli", "verify", SOURCE, "--catalog", str(HOME / "fixity.yaml")],
            env=server.environment | {"DAGSTER_HOME": str(HOME / "dagster")},
            check=False,
        ).returncode
        took = time.monotonic() - began_verifying
    if status not in (0, 1):
        sys.exit(f"the verification could not be done (status {status})")
    print(f"\nVerified in {took:.1f} s; status {status}: {'damage was found' if status else 'all is well'}.")
    relative = HOME.relative_to(Path.cwd())
    print(
        "See this very result in the Dagster UI (http://127.0.0.1:3000, asset fixity_report):\n"
        f"  FIXITY_CATALOG={relative}/fixity.yaml DAGSTER_HOME=$PWD/{relative}/dagster make dev"
    )


def _fill(client: S3Client, folder: Path) -> list[str]:
    """Put all files of a folder into both buckets; returns their keys."""
    for bucket in (SOURCE, REPLICA):
        client.create_bucket(Bucket=bucket)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if not files:
        sys.exit(f"{folder} has no files")
    keys = {path.relative_to(folder).as_posix(): path for path in files}

    def deposit(key: str) -> None:
        for bucket in (SOURCE, REPLICA):
            client.upload_file(str(keys[key]), bucket, key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deposit, keys))
    return list(keys)


def _spoil(client: S3Client, keys: list[str]) -> list[str]:
    """Damage copies in the demo's buckets, each another way; returns what was done, in words."""
    sizes = {key: client.head_object(Bucket=SOURCE, Key=key)["ContentLength"] for key in keys}
    victims = [key for key in keys if sizes[key]]
    done: list[str] = []
    if victims:
        key = victims.pop(0)
        content = bytearray(client.get_object(Bucket=REPLICA, Key=key)["Body"].read())
        content[len(content) // 2] ^= 1
        client.put_object(Bucket=REPLICA, Key=key, Body=bytes(content))
        done.append(f"one bit changed in the replica: {key}")
    if victims:
        key = victims.pop()
        client.delete_object(Bucket=REPLICA, Key=key)
        done.append(f"deleted from the replica: {key}")
    if victims:
        key = victims.pop()
        client.delete_object(Bucket=SOURCE, Key=key)
        done.append(f"deleted from the source: {key}")
    for bucket in (SOURCE, REPLICA):
        if victims:
            key = victims.pop(len(victims) // 2)
            client.put_bucket_policy(Bucket=bucket, Policy=_deny_reading(bucket, key))
            done.append(f"made unreadable in {bucket}: {key}")
    return done


def _deny_reading(bucket: str, key: str) -> str:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/{key}",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


if __name__ == "__main__":
    HOME.mkdir(exist_ok=True)
    typer.run(demo)
