"""PREMIS events: valid, true to each check, and the same however often they are exported."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from lxml import etree

from fixity.catalog import Bucket, Catalog
from fixity.premis import export_events, print_events
from fixity.premis.export import NAMESPACE
from fixity.stores import ListedObject, ObjectUnreadable, Sink
from tests.fixity.rolling.support import Archive, Rolling

NAMES = {"p": "http://www.loc.gov/premis/v3"}
ODD = ["plain", "a b&c<d>\"e'.txt", "é/😀%2F+?#", "tab\tnewline\n\x01", "folder//twice"]
SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("premis-v3-events.xsd"))))


class Refusing(Archive):
    """What cannot be read is refused with words that XML cannot hold."""

    def read(self, item: ListedObject, sink: Sink) -> None:
        if item.key in self.unreadable:
            raise ObjectUnreadable("ReadError", "<a> & \x00\x0b broken \ufffe disk")
        super().read(item, sink)


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    rolling = Rolling(tmp_path)
    rolling.store = Refusing()
    rolling.put(*ODD)
    rolling.take_inventory()
    return rolling


def _catalog(bucket: Rolling) -> tuple[Catalog, Bucket]:
    of_catalog = Bucket(name="b", bucket="real", prefix="pre fix/", fixity_every=timedelta(days=90))
    return Catalog(file=Path("fixity.yaml"), lake=str(bucket.folder), buckets={"b": of_catalog}), of_catalog


def _printed(bucket: Rolling, **choice: object) -> etree._Element:
    out = io.BytesIO()
    print_events(bucket.lake, *_catalog(bucket), out, **choice)  # type: ignore[arg-type]
    document = etree.fromstring(out.getvalue())
    SCHEMA.assertValid(document)
    return document


def _texts(document: etree._Element, name: str) -> list[str]:
    return [str(each.text) for each in document.iterfind(f".//p:{name}", NAMES)]


def test_each_check_is_an_event_that_names_the_object_whatever_its_key(bucket: Rolling) -> None:
    bucket.roll()
    document = _printed(bucket)
    places = _texts(document, "linkingObjectIdentifierValue")
    assert sorted(unquote(place) for place in places) == sorted(f"s3://real/pre fix/{key}" for key in ODD)
    assert set(_texts(document, "eventOutcome")) == {"success"}
    assert _texts(document, "agentVersion") == [version("fixity-platform")]
    types = document.iterfind(".//p:eventType", NAMES)
    assert {each.get("valueURI") for each in types} == {
        "http://id.loc.gov/vocabulary/preservation/eventType/fix"
    }


def test_damage_fails_a_read_that_failed_is_a_warning_and_both_say_why(bucket: Rolling) -> None:
    bucket.roll()
    first = bucket.time
    bucket.store.damage("plain")
    bucket.store.unreadable = {"folder//twice"}
    bucket.time += timedelta(days=91)
    bucket.roll()
    later = _printed(bucket, since=first + timedelta(days=1))
    assert sorted(_texts(later, "eventOutcome")) == ["fail", "success", "success", "success", "warning"]
    notes = dict(zip(_texts(later, "eventOutcome"), _texts(later, "eventOutcomeDetailNote"), strict=True))
    assert notes["warning"].startswith("failed: ReadError: <a> & ?? broken ? disk")
    assert notes["fail"].startswith("differs from the baseline; actual sha256:")
    assert "expected sha256:" in notes["fail"] and "(first_seen 2026-01-01T00:00:00.000000Z)" in notes["fail"]
    outcomes = _texts(_printed(bucket, key="plain"), "eventOutcome")
    assert sorted(outcomes) == ["fail", "success"]


def test_identifiers_are_uuids_of_the_check_itself_and_a_second_export_has_the_same(bucket: Rolling) -> None:
    bucket.roll()
    exported = export_events(bucket.lake, *_catalog(bucket), "e1", now=bucket.now)
    assert (exported.events, exported.ledger_files) == (len(ODD), 1)
    assert exported.xml is not None and exported.parquet is not None
    SCHEMA.assertValid(etree.parse(str(bucket.folder / exported.xml)))
    rows = pq.read_table(bucket.folder / exported.parquet).to_pylist()
    for row in rows:
        parts = ["b", row["key"], "", row["etag"], "SHA256", row["run_id"]]
        moment = str(round(row["event_datetime"].timestamp() * 1_000_000))
        assert row["event_id"] == str(uuid.uuid5(NAMESPACE, "\n".join([*parts, moment])))
    identifiers = set(_texts(_printed(bucket), "eventIdentifierValue"))
    assert identifiers == {row["event_id"] for row in rows}
    assert export_events(bucket.lake, *_catalog(bucket), "e2", now=bucket.now).events == 0
    bucket.time += timedelta(days=91)
    bucket.take_inventory()
    bucket.roll(2)
    again = export_events(bucket.lake, *_catalog(bucket), "e3", now=bucket.now)
    assert (again.events, again.ledger_files) == (2, 1)
    assert identifiers < set(_texts(_printed(bucket), "eventIdentifierValue"))
