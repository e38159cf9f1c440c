"""Which keys are left out of a bucket: those that its `exclude` names, and what a repair has set aside.

Which buckets have patterns belongs to `model`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import cache

QUARANTINE = ".fixity-quarantine/"
"""The prefix, or the directory, of the bad bytes that a repair has replaced. They are no content of a
bucket.
"""


@cache
def excluded_by(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """A function that says whether a key is left out: by one of these shell patterns, whose `*` matches '/'
    too, or because a repair has set it aside.
    """
    if not patterns:
        return lambda key: key.startswith(QUARANTINE)
    match = re.compile("|".join([re.escape(QUARANTINE), *map(fnmatch.translate, patterns)])).match
    return lambda key: match(key) is not None
