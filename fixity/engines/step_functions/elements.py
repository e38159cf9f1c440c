"""Reads the elements of a result file one by one, from a JSON array or from JSON Lines.

Each element comes decoded and as its original text, so that its copy has the same numbers and letters. The
meaning of an element does not belong here.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, NoReturn

from fixity.engines.step_functions.errors import ResultsRefused

LARGEST = 64 * 1024 * 1024
"""Characters of the largest accepted element; Step Functions itself passes at most 256 KiB."""

_SPACE = re.compile(r"[ \t\r\n]*")


class Element(NamedTuple):
    """One element: its `position` in the file, from 0; its `text` there; its decoded `value`."""

    position: int
    text: str
    value: object


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(text: str) -> object:
    """Decode a JSON text. Raises ValueError for any other text, including NaN and infinities."""
    try:
        value, end = _DECODER.raw_decode(text, _after_space(text, 0))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _after_space(text, end) != len(text):
        raise ValueError(f"there is more after its end, at character {end + 1:,}")
    return value


def elements(name: str, pieces: Iterable[bytes]) -> Iterator[Element]:
    """The elements of a file.

    Arguments: `name` of the file, for errors. A name ending in `.jsonl` means JSON Lines; for other names
    the content decides. `pieces`, the file's bytes. Raises ResultsRefused for any other content.
    """
    reader = _Reader(name, pieces)
    if _is_lines(name, reader):
        return _lines(reader)
    return _array(reader)


def _is_lines(name: str, reader: _Reader) -> bool:
    if name.endswith(".jsonl"):
        return True
    if reader.next_character() != "[":
        return True
    # Outputs may be arrays too: then the first line is a whole array, and more lines follow.
    line, _, rest = reader.rest().partition("\n")
    try:
        return bool(rest.strip()) and isinstance(decode(line), list)
    except ValueError:
        return False


def _array(reader: _Reader) -> Iterator[Element]:
    reader.take()  # the bracket
    position = 0
    following = reader.next_character()
    while following != "]":
        yield Element(position, *reader.value())
        position += 1
        following = reader.next_character()
        if following == ",":
            reader.take()
            following = ","
        elif following != "]":
            reader.refuse("its array is not closed" if not following else f"{following!r} follows an element")
    reader.take()
    if reader.next_character():
        reader.refuse("there is more after its array")


def _lines(reader: _Reader) -> Iterator[Element]:
    position = 0
    while reader.next_character():
        yield Element(position, *reader.value())
        position += 1
        if reader.rest()[:1] not in ("", " ", "\t", "\r", "\n"):
            reader.refuse("a line has more than one element")


class _Reader:
    """Text that is read piece by piece, as needed."""

    def __init__(self, name: str, pieces: Iterable[bytes]) -> None:
        self._name = name
        self._pieces = iter(pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._before = 0  # characters already dropped
        self._ended = False

    def rest(self) -> str:
        """The text that was read but not taken yet."""
        return self._text[self._at :]

    def take(self) -> None:
        """Take the next character."""
        self._at += 1

    def next_character(self) -> str:
        """The next character that is not a space; '' at the end of the file."""
        self._at = _after_space(self._text, self._at)
        while self._at == len(self._text) and self._read_on():
            self._at = _after_space(self._text, self._at)
        return self._text[self._at : self._at + 1]

    def value(self) -> tuple[str, object]:
        """Take the next value: its text, and the decoded value."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                # A number near the end of the text may be incomplete: 1.5, 1e5, 1e+5.
                if len(self._text) - end > 2 or not self._read_on():
                    text, self._at = self._text[self._at : end], end
                    return text, value
            except (ValueError, RecursionError) as error:
                # The element may continue in the next piece.
                too_large = len(self._text) - self._at > LARGEST
                if too_large or isinstance(error, RecursionError) or not self._read_on():
                    self.refuse(getattr(error, "msg", str(error)), getattr(error, "pos", self._at))

    def refuse(self, why: str, position: int | None = None) -> NoReturn:
        """Raise ResultsRefused with the place."""
        place = self._before + (self._at if position is None else position) + 1
        raise ResultsRefused(
            f"{self._name} is neither a JSON array nor JSON Lines: near character {place:,}: {why}"
        )

    def _read_on(self) -> bool:
        while not self._ended:
            piece = next(self._pieces, None)
            self._ended = piece is None
            try:
                text = self._decoder.decode(piece or b"", final=self._ended)
            except UnicodeDecodeError as error:
                self.refuse(f"it is not UTF-8 ({error.reason})", len(self._text))
            if text:
                self._text = self._text[self._at :] + text
                self._before += self._at
                self._at = 0
                return True
        return False


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None  # the pattern also matches no space
    return found.end()
