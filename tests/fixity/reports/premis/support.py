"""A bucket with odd keys, and its PREMIS events as documents that are valid."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

from lxml import etree

from fixity.buckets import ListedObject, ObjectUnreadable, Sink
from fixity.catalog import Bucket, Pair
from fixity.reports.premis import Choice, Subject, print_events
from tests.fixity.rolling.support import Archive, Rolling

NAMES = {"p": "http://www.loc.gov/premis/v3"}
ODD = ["plain", "a b&c<d>\"e'.txt", "é/😀%2F+?#", "tab\tnewline\n\x01", "folder//twice"]
SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("premis-v3-claims.xsd"))))


class Refusing(Archive):
    """What cannot be read is refused with words that XML cannot hold."""

    def read(self, item: ListedObject, sink: Sink) -> None:
        if item.key in self.unreadable:
            raise ObjectUnreadable("ReadError", "<a> & \x00\x0b broken \ufffe disk")
        super().read(item, sink)


def of_catalog(*pairs: Pair) -> Subject:
    bucket = Bucket(name="b", bucket="real", prefix="pre fix/", fixity_every=timedelta(days=90))
    other = Bucket(name="c", bucket="other")
    return Subject(bucket, pairs, {"b": bucket, "c": other})


def printed(bucket: Rolling, *pairs: Pair, **choice: object) -> etree._Element:
    out = io.BytesIO()
    print_events(bucket.lake, of_catalog(*pairs), out, Choice(**choice))  # type: ignore[arg-type]
    return valid(etree.fromstring(out.getvalue()))


def valid(document: etree._Element) -> etree._Element:
    """A document that is valid, and has each object and agent of its events once."""
    SCHEMA.assertValid(document)
    for kind in ("object", "agent"):
        there = texts(document, f"{kind}IdentifierValue")
        linked = set(texts(document, f"linking{kind.title()}IdentifierValue"))
        assert len(there) == len(set(there))
        assert set(there) == linked or not linked
    return document


def texts(document: etree._Element, name: str) -> list[str]:
    return [str(each.text) for each in document.iterfind(f".//p:{name}", NAMES)]


def events_of(bucket: Rolling) -> dict[str, bytes]:
    """All events as XML, by identifier."""
    found = {}
    for event in printed(bucket).iterfind("p:event", NAMES):
        name = event.findtext("p:eventIdentifier/p:eventIdentifierValue", namespaces=NAMES)
        assert name is not None and name not in found
        found[name] = etree.tostring(event)
    return found
