"""Texts from outside as HTML: keys, messages of stores, names. What a page says does not belong here.

Each text is escaped and isolated, so that no markup, no control character and no direction of writing in it
reaches past it. Characters that do not show are written as escapes (`\\x1b`, `\\u202e`) and marked.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from itertools import groupby

from markupsafe import Markup, escape

_LONGEST = 5_000  # characters; a key has at most 1,024 bytes, a path 4,096


def visible(text: str) -> Markup:
    """A text as HTML in which every character shows."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    if cut.isascii() and cut.isprintable():
        return escape(cut)
    return Markup('<bdi dir="ltr">{}</bdi>').format(
        Markup("").join(
            escape("".join(part))
            if shows
            else Markup('<b class="odd">{}</b>').format(
                "".join(part).encode("unicode_escape").decode("ascii")
            )
            for shows, part in groupby(cut, str.isprintable)
        )
    )


def key(text: str) -> Markup:
    """A key as HTML, in which blanks at its ends show too."""
    inner = text.strip(" ")
    ends = [
        Markup('<b class="odd">{}</b>').format("\u2423" * count) if count else Markup()
        for count in (len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" ")) if inner else 0)
    ]
    return Markup('<span class="key">{}{}{}</span>').format(ends[0], visible(inner), ends[1])


def sentence(text: str) -> str:
    """A text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def advice(text: str) -> Markup:
    """What to do, as HTML: what is between backticks is code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(visible(text))))


def finalize(value: object) -> Markup | str:
    """What a template prints of a value: the one way by which a text gets into a page."""
    match value:
        case Markup():
            return value
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():  # before date, which it is too
            return Markup('<time datetime="{}">{:%-d %B %Y, %H:%M} UTC</time>').format(
                value.isoformat(timespec="seconds"), value
            )
        case date():
            return Markup('<time datetime="{}">{:%-d %B %Y}</time>').format(value.isoformat(), value)
        case _:
            return visible(str(value))
