"""Which keys the patterns of `exclude` leave out. Which buckets have patterns belongs to `model`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import cache


@cache
def excluded_by(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """A function that says whether one of these shell patterns matches a key; `*` matches '/' too."""
    if not patterns:
        return lambda key: False
    match = re.compile("|".join(map(fnmatch.translate, patterns))).match
    return lambda key: match(key) is not None
