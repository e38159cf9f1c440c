"""Compares what a store sends of an object with the bytes that a client of boto3 asked for.

A store, or a proxy before it, may answer a request for a range with all bytes or with another range; boto3
hands these on as if they were the right ones. What to do instead does not belong here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_ASKED = "fixity_asked_range"


class WrongRange(BotoCoreError):
    """The store sends other bytes of an object than were asked for."""

    fmt = (
        "{asked} was asked for, and the store sends {sent}: it, or a proxy before it, does not honour ranges"
    )


class WholeObject(WrongRange):
    """The store sends all bytes, not those of the range, as HTTP allows (RFC 9110, 14.2)."""


def watch_ranges(client: BaseClient) -> None:
    """Have each GetObject of a client raise WrongRange, before its body is read, if it is of other bytes."""
    client.meta.events.register("before-call.s3.GetObject", _note)
    client.meta.events.register("after-call.s3.GetObject", _compare)


def _note(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    context[_ASKED] = params["headers"].get("Range")


def _compare(http_response: Any, parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:  # noqa: ANN401 - botocore names no type
    asked, length, said = context.get(_ASKED), parsed.get("ContentLength"), parsed.get("ContentRange")
    if http_response.status_code == 206 and not _is_range(asked, str(said), length):
        parsed["Body"].close()
        sent = f"'{said}'" if length is None else f"'{said}' in {length:,} bytes"
        raise WrongRange(asked=asked or "the whole object", sent=sent)
    if http_response.status_code == 200 and asked and not _has_no_more(asked, length):
        parsed["Body"].close()
        raise WholeObject(asked=asked, sent="the whole object")


def _is_range(asked: str | None, said: str, length: int | None) -> bool:
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "bytes=0-")
    sent = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said)
    if wanted is None or sent is None:
        return False
    first, last = int(sent[1]), int(sent[2])
    total = None if sent[3] == "*" else int(sent[3])
    if length not in (None, last + 1 - first) or (asked is None and total != length):
        return False
    if not wanted[1]:  # the last bytes
        return total is not None and (first, last) == (max(0, total - int(wanted[2])), total - 1)
    ends = [int(wanted[2])] if wanted[2] else []
    ends += [] if total is None else [total - 1]
    return first == int(wanted[1]) and last == min(ends, default=last)


def _has_no_more(asked: str, length: int | None) -> bool:
    """Whether all bytes are just those that were asked for."""
    first, _, last = asked.removeprefix("bytes=").partition("-")
    if length is None or int(first or 0):
        return False
    return not last or length <= int(last) + (1 if first else 0)
