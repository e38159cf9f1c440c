"""Numbers and texts from outside for people: short, on one line. Dates do not belong here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_READ = 10_000  # characters of an error's text that are looked at
# What comes before or is a credential: the headers of a request that a server sends back, its query, a token.
_CREDENTIAL = re.compile(
    r"AWS4-|(?:authorization|credential|signature|security[-_]?token|access[-_]?key[-_]?id)\w*[\"'\s]*(?:[:=>&]|%3)"
    r"|\bbearer\s+\S{8}|\b(?:AKIA|ASIA)[A-Z0-9]{12}|\b[0-9a-f]{64}\b|[A-Za-z0-9+/_=%-]{100}",
    re.IGNORECASE,
)


def printable(text: object, longest: int = 500) -> str:
    """A text from outside, such as a key or a store's message, for a terminal or a log.

    Control characters and others that do not show are escaped (`\\x1b`). Arguments: `longest`, in characters.
    """
    said = str(text)
    cut = said if len(said) <= longest else f"{said[:longest]}…"
    if cut.isprintable():
        return cut
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in cut
    )


def printable_lines(text: str) -> str:
    """The same for a text of several lines, such as an error with all its reasons."""
    return "\n".join(printable(line, 10_000) for line in text.split("\n"))


def reasons_text(reasons: Mapping[str, int]) -> str:
    """How many for which reason: `AccessDenied: 50, SlowDown: 1`."""
    return ", ".join(f"{printable(reason, 100)}: {count:,}" for reason, count in reasons.items())


def bytes_text(count: float) -> str:
    """A number of bytes in a suitable unit: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} PiB"


def seconds_text(seconds: float) -> str:
    """A time in its two largest units: `3 h 20 min`, `45 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def error_text(text: str, secrets: Iterable[str] = ()) -> str:
    """The text of a store's or service's error, for a table or a message: one line of at most 300 characters.

    Everything from the first thing that looks like a credential is left out, because some servers send a
    request's headers back. Arguments: `secrets`, values that are left out too, however they look.
    """
    line = " ".join(text[:_READ].split())
    found = _CREDENTIAL.search(line)
    # A beginning is enough: the text may be cut, or encode what follows.
    ends = [line.find(secret[:16]) for secret in secrets if len(secret) >= 6]
    ends += [found.start()] if found else []
    end = min((each for each in ends if each >= 0), default=None)
    if end is not None:
        line = f"{line[:end]}(the rest may hold credentials and is left out)"
    return printable(line, 300)
