"""Paths to one value, and everything that is none."""

from __future__ import annotations

import pytest

from fixity.catalog.json_path import NOTHING, parse_json_path, value_at


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$.a", ("a",)),
        ("$.checksum.sha-256", ("checksum", "sha-256")),
        ("$['a name'][0].b", ("a name", 0, "b")),
        ('$["it\'s"]', ("it's",)),
        (r"$['it\'s']", ("it's",)),
        ("$[12]", (12,)),
    ],
)
def test_a_path_is_its_steps(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_json_path(text) == steps


@pytest.mark.parametrize(
    "text", ["", "$", "a", "a.b", "$a", "$.", "$..a", "$.a[*]", "$.a[-1]", "$.a[1:2]", "$[?(@.b)]", "$.a b]"]
)
def test_what_leads_to_no_single_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path to one value"):
        parse_json_path(text)


def test_a_path_leads_to_a_value_or_to_nothing() -> None:
    value = {"a": [{"b": None}, 2]}
    assert value_at(value, ("a", 0, "b")) is None
    assert value_at(value, ("a", 1)) == 2
    for path in (("b",), ("a", 2), ("a", "b"), ("a", 1, "x"), (0,)):
        assert value_at(value, path) is NOTHING
