"""The elements of a result file, one after the other: of a JSON array, or of JSON Lines.

Each is given decoded and as the text that it stands in, so that nothing of it changes on its way: no
number is rounded, no letter written otherwise. What an element means does not belong here.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, NoReturn

from fixity.engines.step_functions.errors import ResultsRefused

LARGEST = 64 * 1024 * 1024
"""Characters of the largest element that is taken; Step Functions itself passes on no more than 256 KiB."""

_SPACE = re.compile(r"[ \t\r\n]*")


class Element(NamedTuple):
    """One element: `position` in its file from 0, its `text` there, and its `value` decoded."""

    position: int
    text: str
    value: object


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(text: str) -> object:
    """A JSON text, decoded. Raises ValueError for everything that is none, NaN and the like too."""
    try:
        value, end = _DECODER.raw_decode(text, _after_space(text, 0))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _after_space(text, end) != len(text):
        raise ValueError(f"there is more after its end, at character {end + 1:,}")
    return value


def elements(name: str, pieces: Iterable[bytes]) -> Iterator[Element]:
    """The elements of a file.

    Arguments: `name` of the file, for errors; names that end in `.jsonl` are JSON Lines, else the file
    itself tells. `pieces` are its bytes. Raises ResultsRefused where it is neither.
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
    # Outputs may be arrays themselves: then a whole one stands in the first line, and more follow.
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
            reader.refuse("a line goes on after its element")


class _Reader:
    """Text that is read on where it is needed."""

    def __init__(self, name: str, pieces: Iterable[bytes]) -> None:
        self._name = name
        self._pieces = iter(pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._before = 0  # characters that are gone
        self._ended = False

    def rest(self) -> str:
        """What is read and not taken."""
        return self._text[self._at :]

    def take(self) -> None:
        """Go on behind the next character."""
        self._at += 1

    def next_character(self) -> str:
        """The next character that is no space, '' at the end of the file."""
        self._at = _after_space(self._text, self._at)
        while self._at == len(self._text) and self._read_on():
            self._at = _after_space(self._text, self._at)
        return self._text[self._at : self._at + 1]

    def value(self) -> tuple[str, object]:
        """The next value's text, and itself; the file goes on behind it."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                # A number near the text's end may go on: as 1.5, 1e5, 1e+5.
                if len(self._text) - end > 2 or not self._read_on():
                    text, self._at = self._text[self._at : end], end
                    return text, value
            except (ValueError, RecursionError) as error:
                # An element may be cut off where the piece ends.
                too_large = len(self._text) - self._at > LARGEST
                if too_large or isinstance(error, RecursionError) or not self._read_on():
                    self.refuse(getattr(error, "msg", str(error)), getattr(error, "pos", self._at))

    def refuse(self, why: str, position: int | None = None) -> NoReturn:
        """Raises ResultsRefused with the place."""
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
    assert found is not None  # no space is space enough
    return found.end()
