"""The spellings of an ETag: stores and the proxies before them differ in quotes, `W/` and case.

What an ETag says of the bytes does not belong here; that is in `fixity.digests.etag`.
"""

from __future__ import annotations

import re

_HEX = re.compile(r"[0-9A-Fa-f]{32,}(-[0-9]+)?")


def plain_etag(header: str) -> str:
    """An ETag without quotes and `W/`; empty where there is none."""
    return header.removeprefix("W/").strip('"')


def same_etag(one: str, other: str) -> bool:
    """Whether two plain ETags are the same one. Only of hex digits the case does not count."""
    return one == other or (_HEX.fullmatch(one) is not None and one.lower() == other.lower())
