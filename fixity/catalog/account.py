"""The buckets of an AWS account and which of them S3 replicates where, to write a catalog from.

What is written of them is in the command's `init`. Reading objects does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fixity.catalog.clients import s3_client
from fixity.catalog.model import Store
from fixity.errors import BucketUnreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_THREADS = 16
_NO_RULES = "ReplicationConfigurationNotFoundError"


@dataclass(frozen=True)
class Account:
    """The names of the buckets; pairs of a bucket and its replica; what is left out, and why."""

    buckets: list[str]
    pairs: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_at(profile: str) -> Account:
    """Look at the account of a profile. Raises BucketUnreachable if its buckets cannot be listed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = s3_client(Store(name="aws", profile=profile), _THREADS)
        names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    except (BotoCoreError, ClientError) as error:
        raise BucketUnreachable(
            f"the buckets of the profile '{profile}' cannot be listed: {error}"
        ) from error
    account = Account(names)
    with ThreadPoolExecutor(_THREADS) as threads:
        for name, rules in zip(names, threads.map(lambda name: _rules(client, name), names), strict=True):
            if isinstance(rules, str):
                account.notes.append(f"{name}: its replication is not known: {rules}")
                continue
            whole, notes = whole_replicas(name, rules)
            account.notes.extend(notes)
            account.pairs.extend((name, replica) for replica in whole)
            account.buckets.extend(replica for replica in whole if replica not in account.buckets)
    return account


def _rules(client: S3Client, bucket: str) -> list[dict[str, Any]] | str:
    """The replication rules of a bucket, or why they are not known."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: Any = client.get_bucket_replication(Bucket=bucket)
    except ClientError as error:
        return [] if error.response["Error"].get("Code") == _NO_RULES else str(error)
    except BotoCoreError as error:
        return str(error)
    rules: list[dict[str, Any]] = answer["ReplicationConfiguration"]["Rules"]
    return rules


def whole_replicas(bucket: str, rules: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """The buckets to which all objects are replicated, and what is to be said of other rules."""
    enabled = [rule for rule in rules if rule.get("Status") == "Enabled"]
    whole = [_replica(rule) for rule in enabled if not any(_limits(rule))]
    notes = [
        f"{bucket}: only a part of it is replicated to {_replica(rule)} ({', '.join(_limits(rule))}): add a "
        "pair for that part by hand"
        for rule in enabled
        if any(_limits(rule)) and _replica(rule) not in whole
    ]
    return list(dict.fromkeys(whole)), notes


def _replica(rule: dict[str, Any]) -> str:
    return str(rule["Destination"]["Bucket"]).rpartition(":")[2]


def _limits(rule: dict[str, Any]) -> Iterator[str]:
    """What limits a rule to a part of the objects."""
    chosen = rule.get("Filter", {})
    both = chosen.get("And", {})
    prefix = rule.get("Prefix") or chosen.get("Prefix") or both.get("Prefix")
    if prefix:
        yield f"the prefix {prefix}"
    if chosen.get("Tag") or both.get("Tags"):
        yield "some tags"
