"""Texts from outside are short and harmless on a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fixity.humanize import printable, printable_lines, reasons_text


@given(st.text(), st.integers(1, 600))
def test_any_text_is_printable_and_cut(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert shown.isprintable() and len(shown) <= 10 * (longest + 1)
    shown.encode()
    if text.isprintable() and len(text) <= longest:
        assert shown == text


def test_what_does_not_show_is_escaped() -> None:
    assert printable("a\x1b[2J\n\u202e\ud800é 日") == "a\\x1b[2J\\n\\u202e\\ud800é 日"
    assert printable("x" * 501) == "x" * 500 + "…"
    assert printable_lines("a\x07\nb") == "a\\x07\nb"
    assert reasons_text({"AccessDenied": 50, "\x1b": 1000}) == "AccessDenied: 50, \\x1b: 1,000"
