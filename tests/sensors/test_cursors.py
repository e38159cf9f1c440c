"""Cursors of another shape, as a person may leave them in the UI, fail no tick."""

from __future__ import annotations

import json

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.cursors import read_cursor
from tests.platform import PAIR, Platform
from tests.sensors.test_both_sides import _tick

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON.map(json.dumps) | st.text(max_size=20) | st.sampled_from(["[" * 99_999, "", None]))
def test_a_cursor_is_of_its_shape_or_begun_anew(text: str | None) -> None:
    receipts = read_cursor(text, list[str], [])
    assert isinstance(receipts, list) and all(isinstance(each, str) for each in receipts)
    seen = read_cursor(text, dict[str, tuple[int, int]], {})
    assert all(isinstance(each, int) for pair in seen.values() for each in pair)


@pytest.mark.parametrize("cursor", ["no JSON", "[]", json.dumps({PAIR: ["x"]}), json.dumps({PAIR: "x"})])
def test_a_sensor_whose_cursor_has_another_shape_looks_again(
    platform: Platform, instance: dg.DagsterInstance, cursor: str
) -> None:
    assert _tick(platform, instance, cursor).cursor == "{}"
