"""Finds where a bucket that was never listed can be cut into ranges, with a few small requests.

Folders are cuts, as even as their number. Where there are none, all keys have the same beginning, which is
found by asking for what comes after longer and longer pieces of a key; the next character cuts then. Cuts are
only hints: any give the same listing. Listing ranges does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable

Folders = Callable[[str], list[str]]
"""The folders directly below a prefix, as prefixes; the first thousand if there are more."""
IsPast = Callable[[str], bool]
"""Whether a key comes after this text."""

_MOST = 32
"""Cuts at most."""
_LEVELS = 4  # of folders
_ENOUGH = 8  # folders; with fewer, those below them are asked for too
_HIGHEST = "\U0010ffff"
_NEXT = "123456789GNabcdefkpu"
"""Characters before which keys are cut: numbers and hexadecimal names evenly, others roughly."""


def find_cuts(key: str, prefix: str, folders: Folders, is_past: IsPast) -> list[str]:
    """Places in the order of keys, all after `key`.

    Arguments: `key`, one of those below `prefix`; all keys before it need no cuts. By the folders before it
    it is reckoned how many keys a folder has: a range has as many as were listed before, at least.
    """
    found, base = [prefix], prefix
    for _ in range(_LEVELS):
        below = [folder for each in found for folder in folders(each)]
        if not below:
            break
        found, base = below, below[0] if len(below) == 1 else base
        if len(found) >= _ENOUGH:
            break
    if len(found) == 1:
        same = _beginning_of_all(key, len(base) if key.startswith(base) else len(prefix), is_past)
        found = [same + each for each in _NEXT]
    after = sorted({each for each in found if each.encode() > key.encode()}, key=str.encode)
    # Each range lists a page at least, so those of a few keys would list the same keys many times.
    step = max(1, -(-len(after) // _MOST), len(found) - len(after))
    return after[step - 1 :: step]


def _beginning_of_all(key: str, least: int, is_past: IsPast) -> str:
    """The longest beginning of a key, of at least so many characters, that no key after it lacks."""
    low, high = least, len(key)
    while low < high:
        middle = (low + high + 1) // 2
        if is_past(key[:middle] + _HIGHEST):
            high = middle - 1
        else:
            low = middle
    return key[:low]
