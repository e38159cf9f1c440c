"""DuraCloud stacks: finds all pairs of a stack in the account, so that one line in the catalog is enough.

The names of a stack's buckets begin with the stack's name, and the replica of a bucket ends in `-repl`.
Settings of such a bucket or pair in the file win. Validating them does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fixity.catalog.clients import s3_client
from fixity.catalog.messages import shown
from fixity.catalog.model import Store
from fixity.catalog.s3_batch import ENGINE
from fixity.errors import WrongUsage

_REPLICA = "-repl"


class StacksUnknown(WrongUsage):
    """The buckets of the stacks cannot be found. The message says why."""


def with_stacks(content: Mapping[str, Any]) -> dict[str, Any]:
    """The catalog's mapping, with the buckets and pairs of its stacks filled in.

    Values of a wrong form stay unchanged; validation refuses them later. Raises StacksUnknown.
    """
    stacks = content.get("stacks")
    sections = [content.get(key) or {} for key in ("stores", "buckets", "pairs")]
    usable = isinstance(stacks, Sequence) and all(isinstance(stack, str) for stack in stacks)
    if not stacks or not usable or not all(isinstance(section, Mapping) for section in sections):
        return dict(content)
    stores, buckets, pairs = sections
    existing = _buckets_of_the_account(stores.get("aws") or {})
    found_buckets: dict[str, Any] = {}
    found_pairs: dict[str, Any] = {}
    for stack in stacks:
        sources = [
            name for name in existing if _stack_of(name, stacks) == stack and name + _REPLICA in existing
        ]
        if not sources:
            raise StacksUnknown(
                f"the account has no bucket {shown(f'{stack}-…')} with a replica '…{_REPLICA}'"
            )
        for name in sources:
            for bucket in (name, name + _REPLICA):
                found_buckets[bucket] = _filled(content, stack, buckets.get(bucket) or {})
            found_pairs[name] = {"replica": name + _REPLICA}
    return {**content, "buckets": {**found_buckets, **_others(buckets, found_buckets)},
            "pairs": {**found_pairs, **pairs}}  # fmt: skip


def _filled(content: Mapping[str, Any], stack: str, own: object) -> object:
    """A stack's bucket; S3 checks it if the catalog has the settings for that."""
    common = content.get("s3_batch")
    if not isinstance(own, Mapping) or not isinstance(common, Mapping):
        return own
    if own.get("engine", ENGINE) != ENGINE:
        return own
    managed = {"report_bucket": f"{stack}-managed"} if "report_bucket" not in common else {}
    by_s3 = {"engine": ENGINE, **own}
    return {**by_s3, "s3_batch": {**managed, **(own.get("s3_batch") or {})}}


def _stack_of(bucket: str, stacks: Sequence[str]) -> str | None:
    """The stack whose name begins a bucket's name; the longest, if several do."""
    return max((stack for stack in stacks if bucket.startswith(f"{stack}-")), key=len, default=None)


def _others(buckets: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: bucket for name, bucket in buckets.items() if name not in found}


def _buckets_of_the_account(store: Mapping[str, Any]) -> set[str]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = s3_client(Store.model_validate({"name": "aws", **store}))
        return {bucket["Name"] for bucket in client.list_buckets().get("Buckets", [])}
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise StacksUnknown(f"the account's buckets cannot be listed: {error}") from error
    except ValueError as error:
        raise StacksUnknown("the store 'aws' is not valid") from error
