"""Keys and values in error messages of the catalog: safe to print, on one line, without secrets.

Only wording that several modules share. The rules do not belong here; they are in `model` and
`references`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_LONGEST = 80
_SIMPLE_KEY = re.compile(r"[\w./@:+-]{1,100}")
_SECRET_KEY = re.compile(
    r"secret|password|passwd|passphrase|token|credential|accesskey|privatekey|apikey", re.IGNORECASE
)

NO_SECRETS = (
    "credentials do not belong in the catalog: name a `profile` of the AWS configuration files, or use "
    "the AWS credential chain (the value is not shown here)"
)


def shown(value: object) -> str:
    """A value for an error message: short and on one line.

    The contents of lists and mappings are left out, and URLs with a user or a query too: they may
    contain a secret.
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if "@" in value and (":" in value or "/" in value):
            return "(not shown)"
        text = repr(value.partition("?")[0] + "?…" if "://" in value and "?" in value else value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…'"
    if isinstance(value, int | float):
        try:
            return str(value)
        except ValueError:  # Python refuses to write out integers of thousands of digits
            return "a very long number"
    kinds: dict[type, str] = {dict: "a mapping", list: "a list"}
    return kinds.get(type(value), f"a value of type {type(value).__name__}")


def key_path(keys: Sequence[str | int]) -> str:
    """The path to a value in the file: `buckets.deposit.owners[0]`."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += ("." if path else "") + (key if _SIMPLE_KEY.fullmatch(key) else shown(key))
    return path


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean X?` if a known word is close to this one, else an empty text."""
    by_letters = {_letters(name): name for name in known}
    close = difflib.get_close_matches(_letters(str(word)), by_letters, n=1)
    return f"; did you mean {by_letters[close[0]]}?" if close else ""


def is_secret_key(key: object) -> bool:
    """Whether the name of a key suggests that its value is a credential."""
    return isinstance(key, str) and bool(_SECRET_KEY.search(_letters(key)))


def _letters(word: str) -> str:
    return re.sub(r"[-_ .]", "", word).lower()[:_LONGEST]
