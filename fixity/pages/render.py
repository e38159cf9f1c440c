"""Turns templates into pages: escaped, with the style within, and as many rows as fit.

What a page shows does not belong here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fixity.pages.ages import AGES
from fixity.pages.visible import advice, finalize, key
from fixity.version import VERSION

_TEMPLATES = Path(__file__).with_name("templates")
MOST_ROWS, MOST_BYTES = 200, 400_000
"""The most rows of a table of objects, and their most bytes."""


def render(template: str, now: datetime, **values: object) -> str:
    """A page. Arguments: `now`, when it is made (UTC)."""
    style, style_hash = _style()
    return (
        _environment()
        .get_template(template)
        .render(style=style, style_hash=style_hash, made_at=now, version=VERSION, headings=AGES, **values)
    )


def rows(
    kind: str, shown: Iterable[Any], most: int = MOST_ROWS, most_bytes: int = MOST_BYTES
) -> tuple[Markup, int]:
    """The first rows of a table that fit, and how many they are.

    Arguments: `kind`, a macro of rows.html; `most` rows, and `most_bytes` as HTML.
    """
    macro = getattr(_rows(), kind)
    made: list[str] = []
    size = 0
    for each in shown:
        row = macro(each)
        size += len(row.encode())
        if len(made) == most or size > most_bytes:
            break
        made.append(row)
    return Markup("\n".join(made)), len(made)


@cache
def template_digest() -> str:
    """The SHA-256 of all templates: with others, every page is made anew."""
    files = sorted(_TEMPLATES.iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def _style() -> tuple[Markup, Markup]:
    """The style sheet, and its hash for the Content-Security-Policy."""
    text = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), Markup(f"sha256-{digest}")


@cache
def _rows() -> Any:  # noqa: ANN401 - a module of jinja2 has macros of any name
    return _environment().get_template("rows.html").module


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"key": key, "advice": advice}
    return environment
