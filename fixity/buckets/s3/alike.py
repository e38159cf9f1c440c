"""Parses a page of a listing whose entries are all written alike, as stores write nearly all, by Arrow.

An XML tree of a thousand entries takes three times as long, and threads wait for each other. Here the XML
parser sees the page with its last entry only. All other entries are proved to be the same bytes, but for the
texts of simple elements, which have no character with a meaning of its own. Any other page is left to the
XML parser, with the same result.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
from lxml import etree

from fixity import compute as pc

_ELEMENT = re.compile(rb"([A-Za-z]+)>([^<]*)</\1")
_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b"&<>"))
_NEEDED = ("Key", "Size")
_QUOTES = (b"&quot;", b"&#34;")


def texts_of_alike(
    body: bytes, entry: str, fields: Sequence[str], parser: etree.XMLParser
) -> tuple[etree._Element, dict[str, pa.Array]] | None:
    """The page with its last entry only, and the texts of all entries by field; None for any other page.

    Arguments: `entry`, the name of the entries' elements. A text is NULL where entries have no such field. An
    ETag may come without its quotes.
    """
    tag = entry.encode()
    begin, last = body.find(b"<%b>" % tag), body.rfind(b"<%b>" % tag)
    end = body.rfind(b"</%b>" % tag) + len(tag) + 3
    if not 0 <= begin < last < end:
        return None
    short = body[:begin] + body[last:]
    # Comments, CDATA, entities of its own or another encoding could give what follows another meaning.
    if b"<!" in short or b"<?" in short[1:]:
        return None
    found = _varied(body[begin + 1 : end - 1], body[last + 1 : end - 1].split(b"><"))
    if found is None:
        return None
    count, varied = found
    try:
        root = etree.fromstring(short, parser)
    except etree.XMLSyntaxError:
        return None
    children = root.findall(f"{{*}}{entry}")
    encoding = root.getroottree().docinfo.encoding or "UTF-8"
    if len(children) != 1 or encoding.upper() != "UTF-8" or root.find("{*}DeleteMarker") is not None:
        return None
    texts = {}
    for name in fields:
        here, anywhere = (list(of.iter(f"{{*}}{name}")) for of in (children[0], root))
        text = here[0].text if here else None
        if len(here) > 1 or len(here) < len(anywhere) or (text is None and name in _NEEDED):
            return None
        texts[name] = varied[name] if name in varied else pa.repeat(pa.scalar(text, pa.string()), count)
    return root, texts


def _varied(entries: bytes, model: list[bytes]) -> tuple[int, dict[str, pa.Array]] | None:
    """How many entries there are, and the texts of the elements that differ, by name.

    None unless all entries are as the model, but for these texts.
    """
    pieces = pc.split_pattern(pa.array([entries], pa.binary()), b"><").values
    count, rest = divmod(len(pieces), len(model))
    if rest:
        return None
    by_entry = pa.FixedSizeListArray.from_arrays(pieces, len(model))
    varied: dict[str, pa.Array] = {}
    for at, piece in enumerate(model):
        column = pc.list_element(by_entry, at)
        if pc.all(pc.equal(column, piece)).as_py():
            continue
        element = _ELEMENT.fullmatch(piece)
        texts = _texts(column, element) if element else None
        name = element[1].decode() if element else ""
        if texts is None or name in varied:
            return None
        varied[name] = texts
    return count, varied


def _texts(column: pa.Array, element: re.Match[bytes]) -> pa.Array | None:
    """What stands in elements of one name, if it is plain text in all of them."""
    begin, end = b"%b>" % element[1], b"</%b" % element[1]
    quote = next((each for each in _QUOTES if element[1] == b"ETag" and element[2].startswith(each)), b"")
    begin, end = begin + quote, quote + end
    if not pc.all(pc.and_(pc.starts_with(column, begin), pc.ends_with(column, end))).as_py():
        return None
    texts = pc.binary_slice(column, len(begin), -len(end))
    written = texts.buffers()[2].to_pybytes()
    if written.translate(None, _PLAIN) or pc.min(pc.binary_length(texts)).as_py() == 0:
        return None
    if quote and b"W/" in written:  # within the quotes it means nothing, before them it is left out
        return None
    return pa.Array.from_buffers(pa.string(), len(texts), texts.buffers())
