"""How texts from outside are shown: whole, escaped, and nothing in them reaches past them."""

from __future__ import annotations

import lxml.html
from hypothesis import given
from hypothesis import strategies as st

from fixity.pages.visible import finalize, key, visible

# What lxml would change when it reads a page is not printable, or is escaped.
_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@given(_TEXTS)
def test_a_text_is_the_text_of_its_html_with_what_does_not_show_as_escapes(text: str) -> None:
    made = str(visible(text))
    shown = lxml.html.fragment_fromstring(f"<p>{made}</p>")
    expected = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )
    assert shown.text_content() == expected
    assert {node.tag for node in shown.iter()} <= {"p", "bdi", "b"}
    assert made.isprintable() and "\u202e" not in made


@given(_TEXTS)
def test_whatever_a_template_prints_goes_the_same_way(text: str) -> None:
    assert finalize(text) == visible(text)


def test_blanks_at_the_ends_of_a_key_show() -> None:
    assert str(key(" a b ")) == ('<span class="key"><b class="odd">␣</b>a b<b class="odd">␣</b></span>')
    assert str(key("  ")) == '<span class="key"><b class="odd">␣␣</b></span>'


def test_a_text_that_is_too_long_is_cut() -> None:
    assert str(visible("x" * 9_000)) == f'<bdi dir="ltr">{"x" * 5_000}…</bdi>'
