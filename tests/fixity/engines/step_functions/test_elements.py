"""Result files read element by element, wherever the pieces are cut, and all that is no result file."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.engines.step_functions import ResultsRefused
from fixity.engines.step_functions.elements import decode, elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def _texts(body: bytes, name: str = "SUCCEEDED_0.json", size: int = 7) -> list[str]:
    return [element.text for element in elements(name, _cut(body, size))]


@given(st.lists(VALUES), st.booleans(), st.sampled_from([None, 1]), st.integers(1, 40))
def test_every_element_of_an_array_comes_as_it_stands_there_wherever_it_is_cut(
    values: list[object], escaped: bool, indent: int | None, size: int
) -> None:
    body = json.dumps(values, ensure_ascii=escaped, indent=indent).encode(errors="surrogatepass")
    read = list(elements("SUCCEEDED_0.json", _cut(body, size)))
    assert [element.value for element in read] == values
    assert [json.loads(element.text) for element in read] == values
    assert [element.position for element in read] == list(range(len(values)))
    if indent is None:
        assert "[" + ", ".join(element.text for element in read) + "]" == body.decode()


@given(st.lists(VALUES, min_size=1), st.integers(1, 40), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_every_line_of_json_lines_is_an_element(values: list[object], size: int, newline: str) -> None:
    body = newline.join(json.dumps(value) for value in values).encode()
    read = list(elements("SUCCEEDED_0.jsonl", _cut(body, size)))
    assert [element.value for element in read] == values


def test_a_number_that_a_piece_ends_in_goes_on_in_the_next() -> None:
    assert _texts(b"[12345678901234, 1.50]", size=5) == ["12345678901234", "1.50"]
    assert _texts(b"[1.5, 2e+5, 3]", size=3) == ["1.5", "2e+5", "3"]
    assert _texts(b'{"a":1}\n12', size=9) == ['{"a":1}', "12"]


def test_lines_that_are_arrays_are_told_from_one_array() -> None:
    lines = b'[{"a": 1}, {"b": 2}]\n[{"c": 3}]\n'
    assert _texts(lines, size=4096) == ['[{"a": 1}, {"b": 2}]', '[{"c": 3}]']
    assert _texts(b'[{"a": 1}, {"b": 2}]\n', size=4096) == ['{"a": 1}', '{"b": 2}']
    assert _texts(b'[{"a": 1}, {"b": 2}]\n', "SUCCEEDED_0.jsonl") == ['[{"a": 1}, {"b": 2}]']


def test_an_empty_array_and_an_empty_file_of_lines_have_no_elements() -> None:
    assert _texts(b"[]") == [] == _texts(b" [ \n ] ") == _texts(b"\n", "x.jsonl")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'[{"a": 1}', "its array is not closed"),
        (b'[{"a": 1}, {"b": ', "near character 18"),
        (b'[{"a": 1} {"b": 2}]', "'{' follows an element"),
        (b'[{"a": 1},]', "Expecting value"),
        (b"[1] and more", "there is more after its array"),
        (b"[1, NaN]", "NaN is not a number in JSON"),
        (b"[" + b"[" * 100_000, "neither a JSON array nor JSON Lines"),
        (b"<?xml version='1.0'?>", "near character 1"),
        (b'["\xff"]', "it is not UTF-8"),
        (b'["\xc3', "it is not UTF-8"),
        (b'{"a": 1}{"b": 2}', "a line has more than one element"),
    ],
)
def test_what_is_neither_is_refused_with_the_place(body: bytes, said: str) -> None:
    with pytest.raises(ResultsRefused, match=r"SUCCEEDED_0\.json is neither") as caught:
        _texts(body)
    assert said in str(caught.value)


def test_an_element_without_an_end_is_given_up_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fixity.engines.step_functions.elements.LARGEST", 10_000)
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b'["'
        while True:
            taken += 1000
            yield b"x" * 1000

    with pytest.raises(ResultsRefused):
        list(elements("SUCCEEDED_0.json", endless()))
    assert taken < 15_000


@pytest.mark.parametrize("text", ["", "{", "{} {}", "NaN", "[1,]", "'a'", "[" * 100_000])
def test_an_output_that_is_not_json_is_not_decoded(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)
