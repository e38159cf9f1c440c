"""Numbers and texts from outside for people: short, on one line. Dates do not belong here."""

from __future__ import annotations


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
