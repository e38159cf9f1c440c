"""Reads the cursors of sensors. One of another shape, as a person may leave it in the UI, is begun anew.

What stands in a cursor does not belong here.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import TypeAdapter

CursorT = TypeVar("CursorT")


def read_cursor(text: str | None, kind: type[CursorT], begin: CursorT) -> CursorT:
    """A cursor of JSON as a value of `kind`; `begin` if there is none, or if it is of another shape."""
    try:
        return TypeAdapter(kind).validate_json(text or "")
    except ValueError:
        return begin
