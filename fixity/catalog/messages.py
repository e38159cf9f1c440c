"""How the catalog's errors speak of keys and values: safe to print, on one line, never a secret.

Only wording that several modules share. What is right or wrong is decided in `model` and `references`.
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
    "credentials never stand in the catalog: name a `profile` of the AWS configuration files, or leave "
    "them to the AWS credential chain (the value is not shown here)"
)


def shown(value: object) -> str:
    """A value as an error shows it: on one line and short.

    The contents of lists and mappings are left out, and so are URLs with a user or a query: a
    secret may be among them.
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
    """The way to a value through the file: `buckets.deposit.owners[0]`."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += ("." if path else "") + (key if _SIMPLE_KEY.fullmatch(key) else shown(key))
    return path


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known word is close to this one, else nothing."""
    by_letters = {_letters(name): name for name in known}
    close = difflib.get_close_matches(_letters(str(word)), by_letters, n=1)
    return f"; did you mean {by_letters[close[0]]}?" if close else ""


def is_secret_key(key: object) -> bool:
    """Whether a key's name says that its value is a credential."""
    return isinstance(key, str) and bool(_SECRET_KEY.search(_letters(key)))


def _letters(word: str) -> str:
    return re.sub(r"[-_ .]", "", word).lower()[:_LONGEST]
