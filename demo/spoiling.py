"""Two buckets with the same files, some of them damaged on purpose. Finding them does not belong here."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def fill(client: S3Client, folder: Path, source: str, replica: str) -> list[str]:
    """Make both buckets, and put all files of a folder into each. Returns their keys."""
    for bucket in (source, replica):
        client.create_bucket(Bucket=bucket)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if not files:
        sys.exit(f"{folder} has no files")
    keys = {path.relative_to(folder).as_posix(): path for path in files}

    def deposit(key: str) -> None:
        for bucket in (source, replica):
            client.upload_file(str(keys[key]), bucket, key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deposit, keys))
    return list(keys)


def spoil(server: SeaweedFS, keys: list[str], source: str, replica: str) -> list[str]:
    """Damage some objects of both buckets, each in another way. Returns a line for each."""
    client = server.client()
    sizes = {key: client.head_object(Bucket=source, Key=key)["ContentLength"] for key in keys}
    victims = [key for key in keys if sizes[key]]
    done: list[str] = []
    if victims:
        key = victims.pop(0)
        corrupt_object(server, replica, key)
        done.append(f"one byte changed on the replica's disk, unseen by S3: {key}")
    if victims:
        key = victims.pop()
        client.delete_object(Bucket=replica, Key=key)
        done.append(f"deleted from the replica: {key}")
    if victims:
        key = victims.pop()
        client.delete_object(Bucket=source, Key=key)
        done.append(f"deleted from the source: {key}")
    for bucket in (source, replica):
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
