"""PREMIS events: valid, true to each check, and the same however often they are exported."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from threading import Event as Signal
from typing import Any
from urllib.parse import quote, unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lxml import etree

from fixity.buckets import ListedObject
from fixity.catalog import Pair
from fixity.incidents.events import Event, append
from fixity.lake.database import open_database
from fixity.ledger import by_key, usable_files
from fixity.ledger.files import ledger_files
from fixity.ledger.views import NowByKey
from fixity.reports.premis import baselines, event_tables, export_events
from fixity.reports.premis.baselines import BASELINE, Baselines
from fixity.reports.premis.columns import NAMESPACE
from fixity.reports.premis.export import EventsNotWhole
from fixity.reports.premis.of_incidents import of_incidents
from fixity.tables import Provenance, TableUnreadable
from tests.fixity.reports.premis.support import (
    NAMES,
    ODD,
    events_of,
    of_catalog,
    printed,
    texts,
    valid,
)
from tests.fixity.rolling.support import Rolling, keep_ingest
from tests.fixity.support import inventory_and_checks, keep_table, sha256


def test_each_check_is_an_event_that_names_the_object_whatever_its_key(bucket: Rolling) -> None:
    bucket.roll()
    document = printed(bucket)
    places = texts(document, "linkingObjectIdentifierValue")
    assert sorted(unquote(place) for place in places) == sorted(f"s3://real/pre fix/{key}" for key in ODD)
    assert set(texts(document, "eventOutcome")) == {"success"}
    assert texts(document, "agentVersion") == [version("fixity-platform")]
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
    later = printed(bucket, since=first + timedelta(days=1))
    assert sorted(texts(later, "eventOutcome")) == ["fail", "success", "success", "success", "warning"]
    notes = dict(zip(texts(later, "eventOutcome"), texts(later, "eventOutcomeDetailNote"), strict=True))
    assert notes["warning"].startswith(r"failed: ReadError: <a> & \x00\x0b broken \ufffe disk")
    assert notes["fail"].startswith("differs from the baseline; actual sha256:")
    assert "expected sha256:" in notes["fail"] and "(first_seen 2026-01-01T00:00:00.000000Z)" in notes["fail"]
    outcomes = texts(printed(bucket, key="plain"), "eventOutcome")
    assert sorted(outcomes) == ["fail", "success"]


def test_identifiers_are_uuids_of_the_check_itself_and_a_second_export_has_the_same(bucket: Rolling) -> None:
    bucket.roll()
    exported = export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert (exported.events, exported.ledger_files) == (len(ODD), 1)
    assert exported.xml == ("premis/b/e1.xml",) and exported.parquet is not None
    valid(etree.parse(str(bucket.folder / "premis/b/e1.xml")).getroot())
    rows = pq.read_table(bucket.folder / exported.parquet).to_pylist()
    for row in rows:
        parts = ["b", row["key"], "", row["etag"], "SHA256", row["run_id"]]
        moment = str(round(row["event_datetime"].timestamp() * 1_000_000))
        assert row["event_id"] == str(uuid.uuid5(NAMESPACE, "\n".join([*parts, moment])))
    identifiers = set(texts(printed(bucket), "eventIdentifierValue"))
    assert identifiers == {row["event_id"] for row in rows}
    assert export_events(bucket.lake, of_catalog(), "e2", now=bucket.now).events == 0
    bucket.time += timedelta(days=91)
    bucket.take_inventory()
    bucket.roll(2)
    again = export_events(bucket.lake, of_catalog(), "e3", now=bucket.now)
    assert (again.events, again.ledger_files) == (2, 1)
    assert identifiers < set(texts(printed(bucket), "eventIdentifierValue"))


def _new_events(bucket: Rolling, folder: Path) -> list[dict[str, Any]]:
    (table,) = event_tables(bucket.lake, of_catalog(), folder, now=bucket.now)
    return sorted(pq.read_table(table).to_pylist(), key=lambda event: str(event["event_id"]))


@pytest.mark.parametrize("limit", ["_RANGE_ROWS", "_MOST_ROWS"], ids=["many ranges", "sorted into one table"])
def test_events_are_the_same_however_the_checks_are_read(
    bucket: Rolling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    bucket.roll()
    bucket.store.damage("plain")
    for key in ODD:
        bucket.time += timedelta(days=1)
        bucket.roll(keys=[key])
    at_once = _new_events(bucket, tmp_path / "at-once")
    monkeypatch.setattr(by_key, limit, 1)
    ranges = list[tuple[str, str | None]]()

    def noted(tables: Sequence[by_key.ByKey]) -> list[tuple[str, str | None]]:
        ranges[:] = by_key.ranges_of(tables)
        return ranges

    monkeypatch.setattr(baselines, "ranges_of", noted)
    assert _new_events(bucket, tmp_path / "again") == at_once
    assert len(at_once) == 2 * len(ODD)
    assert len(ranges) > 1 or (tmp_path / "again" / "checks-sorted.parquet").exists()


def test_a_check_has_the_same_baseline_from_arrow_as_from_sql(
    bucket: Rolling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version_id in ("v1", "v2"):
        item = ListedObject("two", version_id, version_id == "v2", 2, version_id, bucket.time, "STANDARD")
        bucket.store.objects["two", version_id] = item, version_id.encode()
    bucket.take_inventory()
    bucket.roll(keys=["plain", "folder//twice", ODD[3], "two"])
    bucket.store.damage(ODD[3])
    bucket.store.rewrite("plain", b"another", bucket.time + timedelta(days=1))
    del bucket.store.objects["folder//twice", None]
    bucket.time += timedelta(days=91)
    bucket.take_inventory()
    bucket.roll(keys=["plain", ODD[3], "two"])
    bucket.lake.remove("standing/")  # so that the snapshot is folded from all of it
    bucket.roll(keys=[ODD[1]])  # and this gives an object its baseline since
    plain = Baselines._plain
    found: dict[bool, set[str]] = {}

    def compared(self: Baselines, checks: pa.Table, objects: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
        known, is_plain = plain(self, checks, objects)
        from_sql = self._joined(checks.filter(is_plain), objects)
        order = [("key", "ascending"), ("checked_at", "ascending")]
        assert known.filter(is_plain).sort_by(order).to_pylist() == from_sql.sort_by(order).to_pylist()
        of_another = checks.set_column(2, "size", pc.add(checks["size"], 1))
        assert not pc.any(plain(self, of_another, objects)[1]).as_py()
        found.update(
            {each: set(checks.filter(pc.equal(is_plain, each))["key"].to_pylist()) for each in (True, False)}
        )
        return known, is_plain

    monkeypatch.setattr(Baselines, "_plain", compared)
    assert len(_new_events(bucket, tmp_path)) == 10 + 1  # one is gone
    assert found == {True: {"folder//twice", ODD[3]}, False: {"plain", "two", ODD[1]}}


def test_an_export_in_which_a_check_would_lose_its_event_fails_and_is_not_kept(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.roll()
    rows = by_key.ByKey.rows

    def without_the_last(self: by_key.ByKey, lower: str, upper: str | None) -> pa.Table:
        read = rows(self, lower, upper)
        return read.slice(0, read.num_rows - 1) if "filename" in read.column_names else read

    monkeypatch.setattr(by_key.ByKey, "rows", without_the_last)
    with pytest.raises(
        EventsNotWhole, match="4 events were made of the 5 new checks of 'b', and none is kept"
    ):
        export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert bucket.lake.list("premis/") == []


def test_checks_are_read_no_further_ahead_than_memory_has_room_for(
    bucket: Rolling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ODD:
        bucket.roll(keys=[key])
    monkeypatch.setattr(by_key, "_RANGE_ROWS", 1)
    rows, begun = by_key.ByKey.rows, list[str]()

    def noted(self: by_key.ByKey, lower: str, upper: str | None) -> pa.Table:
        if "filename" in self._schema.names:
            begun.append(lower)
        return rows(self, lower, upper)

    monkeypatch.setattr(by_key.ByKey, "rows", noted)
    files, _ = usable_files(bucket.lake, "b", ledger_files(bucket.lake, "b"), tmp_path)
    known = Baselines(NowByKey(bucket.lake, bucket.snapshot(), BASELINE, tmp_path), files, tmp_path)
    with known.stream() as stream, open_database(tmp_path) as database:
        database.register("known", stream)
        assert len(database.execute("FROM known LIMIT 1").fetchall()) == 1
        assert len(begun) <= 3  # the one that is read, the next, and one that is made


@pytest.mark.all_processors  # one of DuckDB's threads fails while another one waits for checks
def test_where_the_database_fails_its_error_is_told_and_nothing_is_read_any_more(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ODD:
        bucket.roll(keys=[key])
    monkeypatch.setattr(by_key, "_RANGE_ROWS", 1)
    rows, at_work = by_key.ByKey.rows, list[str]()

    def slowly(self: by_key.ByKey, lower: str, upper: str | None) -> pa.Table:
        at_work.append(lower)
        Signal().wait(0.3 if lower else 0)
        read = rows(self, lower, upper)
        at_work.remove(lower)
        return read

    monkeypatch.setattr(by_key.ByKey, "rows", slowly)
    export = import_module("fixity.reports.premis.export")
    monkeypatch.setattr(export, "_MACROS", export._MACROS.replace("place ||", "name::INTEGER ||"))
    with pytest.raises(duckdb.ConversionException, match="Could not convert"):
        export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert at_work == []
    assert bucket.lake.list("premis/") == []


def test_a_table_that_is_found_to_be_damaged_while_events_are_made_is_named(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.roll()

    def unreadable(*arguments: object, **others: object) -> None:
        raise TableUnreadable(Path("objects.parquet"), ValueError("page"))

    monkeypatch.setattr(NowByKey, "view", unreadable)
    with pytest.raises(TableUnreadable, match=r"objects\.parquet"):
        export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert bucket.lake.list("premis/") == []


def test_an_event_says_of_which_record_its_expectation_is(bucket: Rolling) -> None:
    recorded = sha256(b"as deposited")
    keep_ingest(bucket, "ingest", plain=recorded)
    bucket.time += timedelta(days=1)
    bucket.roll(keys=["plain"])
    (note,) = texts(printed(bucket, key="plain"), "eventOutcomeDetailNote")
    assert note.startswith("differs from the baseline; actual sha256:")
    assert note.endswith(f"expected sha256:{recorded} (manifest 2026-01-01T00:00:00.000000Z)")
    assert texts(printed(bucket, key="plain"), "eventOutcome") == ["fail"]


def test_a_record_of_another_algorithm_is_named_with_it(bucket: Rolling) -> None:
    recorded = hashlib.md5(b"as deposited").hexdigest()
    keep_ingest(bucket, "ingest", "MD5", plain=recorded)
    bucket.time += timedelta(days=1)
    bucket.roll(keys=["plain"])
    (note,) = texts(printed(bucket, key="plain"), "eventOutcomeDetailNote")
    actual = hashlib.md5(b"plain").hexdigest()
    assert note == f"differs from the baseline; actual md5:{actual}; expected md5:{recorded} (manifest)"
    assert texts(printed(bucket, key="plain"), "eventOutcome") == ["fail"]


def test_checks_of_earlier_versions_have_the_same_events_by_the_baseline(bucket: Rolling) -> None:
    bucket.store.unreadable = {"folder//twice"}
    files = [bucket.roll().file]
    bucket.store.damage("plain")
    bucket.time += timedelta(days=91)
    files.append(bucket.roll().file)
    events = events_of(bucket)
    for file in files:
        path = bucket.folder / str(file)
        without = ["expected", "expected_algorithm", "expected_from", "verdict", "other_checksums"]
        keep_table(bucket.lake, str(file), pq.read_table(path).drop_columns(without))
    bucket.lake.remove("standing/")
    assert events_of(bucket) == events and len(events) == 2 * len(ODD)


def test_what_a_run_registered_that_did_not_know_of_the_first_is_held_against_that(bucket: Rolling) -> None:
    bucket.roll(keys=["plain"])
    bucket.store.damage("plain")
    bucket.time += timedelta(days=91)
    second = bucket.roll(keys=["plain"])
    path = bucket.folder / str(second.file)
    table = pq.read_table(path)
    (row,) = table.to_pylist()
    row |= {"expected": None, "expected_algorithm": None, "expected_from": None, "verdict": "registered"}
    keep_table(bucket.lake, str(second.file), pa.Table.from_pylist([row], table.schema))
    bucket.lake.remove("standing/")
    assert sorted(texts(printed(bucket), "eventOutcome")) == ["fail", "success"]


def test_a_copy_that_a_comparison_finds_to_be_bad_has_an_event_of_its_own(bucket: Rolling) -> None:
    """The check of a copy without a baseline has none to tell that it differs from the other copy."""
    bucket.rolled()
    before = {event.findtext(".//p:eventIdentifierValue", None, NAMES) for event in _of_checks(bucket)}
    place: dict[str, Any] = {"incident_id": "20260101-ab", "pair": "b", "key": ODD[1], "run_id": "report"}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    opened = Event(
        event="opened", happened_at=at, bucket="b", found="SHA256:bb", expected="SHA256:aa", **place
    )
    why = "the replica's bytes & those of the source's manifest differ"
    diagnosed = Event(
        event="diagnosed", happened_at=at, bucket="b", diagnosis="source_damaged", detail=why, **place
    )
    nobody_knows = replace(diagnosed, bucket=None, diagnosis="cannot_tell")
    elsewhere = replace(diagnosed, bucket="c", diagnosis="replica_damaged")
    append(bucket.lake, [opened, diagnosed, nobody_knows, elsewhere])
    found = _of_checks(bucket)
    (event,) = [each for each in found if each.findtext(".//p:eventOutcome", None, NAMES) == "fail"]
    assert event.findtext(".//p:eventOutcomeDetailNote", None, NAMES) == (
        f"source_damaged: {why}; incident 20260101-ab; actual sha256:bb; expected sha256:aa (other-copy)"
    )
    assert event.findtext(".//p:eventType", None, NAMES) == "fixity check"
    assert str(event.findtext(".//p:linkingObjectIdentifierValue", None, NAMES)).endswith(quote(ODD[1]))
    assert len(found) == len(before) + 1
    assert before < {each.findtext(".//p:eventIdentifierValue", None, NAMES) for each in found}


def test_where_nobody_can_tell_which_copy_is_bad_both_buckets_have_a_warning(bucket: Rolling) -> None:
    bucket.rolled()
    place: dict[str, Any] = {"incident_id": "20260101-ab", "pair": "p", "key": "plain", "version_id": "v1"}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    append(
        bucket.lake,
        [
            Event(event="opened", happened_at=at, found="SHA256:aa,SHA256:bb", **place),
            Event(event="diagnosed", happened_at=at, diagnosis="cannot_tell", detail="no record", **place),
        ],
    )
    found = {}
    for pair in (
        Pair(name="p", source="b", replica="c"),
        Pair(name="p", source="c", replica="b", match="key"),
    ):
        (event,) = of_incidents(bucket.lake, "b", [pair], [], {"b": "s3://b/"}).to_pylist()
        assert (event["outcome"], event["bucket"], event["expected"]) == ("warning", "b", None)
        found[pair.source] = event["actual"], event["object_uri"]
    assert found == {"b": ("aa", "s3://b/plain?versionId=v1"), "c": ("bb", "s3://b/plain")}
    assert of_incidents(bucket.lake, "b", [], [], {"b": "s3://b/"}).num_rows == 0
    told = texts(printed(bucket, pair, key="plain"), "eventOutcomeDetailNote")
    assert "cannot_tell: no record; incident 20260101-ab; actual sha256:bb" in told


def test_the_event_of_a_comparison_is_exported_once(bucket: Rolling) -> None:
    bucket.rolled()
    place: dict[str, Any] = {"incident_id": "20260101-ab", "pair": "b", "bucket": "b", "key": "plain"}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    append(bucket.lake, [Event(event="diagnosed", happened_at=at, diagnosis="replica_stale", **place)])
    first = export_events(bucket.lake, of_catalog(), "export-1")
    assert first.events == len(ODD) + 1
    assert export_events(bucket.lake, of_catalog(), "export-2").events == 0
    assert len(_of_checks(bucket)) == len(ODD) + 1


def _of_checks(bucket: Rolling) -> list[etree._Element]:
    return printed(bucket).findall("p:event", NAMES)


def test_the_agent_is_the_version_that_checked_whichever_version_exports(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr("fixity.tables.VERSION", "0.0.7")
        bucket.roll(keys=["plain"])
        inventory_and_checks(bucket.store, bucket.lake, "whole")
    bucket.roll(keys=["plain"])
    document = printed(bucket)
    assert texts(document, "agentVersion") == ["0.0.7", version("fixity-platform")]
    agents = texts(document, "linkingAgentIdentifierValue")
    assert agents.count("fixity-platform 0.0.7") == 1 + len(ODD)
    assert agents.count(f"fixity-platform {version('fixity-platform')}") == 1
    assert set(agents) == set(texts(document, "agentIdentifierValue"))


def test_what_a_killed_run_checked_names_its_version_though_a_newer_one_keeps_it(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as older, pytest.raises(KeyboardInterrupt):
        older.setattr("fixity.tables.VERSION", "0.0.7")
        older.setattr(import_module("fixity.rolling.roll"), "finish", killed)
        bucket.roll(keys=["plain"])
    bucket.time += timedelta(hours=1)
    bucket.roll(keys=["folder//twice"])
    assert texts(printed(bucket, key="plain"), "agentVersion") == ["0.0.7"]


def test_a_file_of_the_ledger_that_does_not_say_its_version_has_events_that_say_so(bucket: Rolling) -> None:
    rolled = bucket.roll()
    file = bucket.folder / str(rolled.file)
    table = pq.read_table(file)
    said = json.loads(table.schema.metadata[b"fixity"])
    del said["software"]
    table = table.replace_schema_metadata({b"fixity": json.dumps(said).encode()})
    keep_table(bucket.lake, str(rolled.file), table)
    assert Provenance.read(file).software is None
    document = printed(bucket)
    agents = {"fixity-platform, version not recorded"}
    assert set(texts(document, "linkingAgentIdentifierValue")) == agents
    assert texts(document, "agentIdentifierValue") == [*agents]
    assert texts(document, "agentVersion") == []


def test_an_event_is_the_same_whatever_is_checked_and_found_later(bucket: Rolling) -> None:
    bucket.store.unreadable = {"plain"}
    bucket.roll()
    printed = events_of(bucket)
    export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    exported = events_of(bucket)
    bucket.store.unreadable = set()
    for _ in range(2):
        bucket.time += timedelta(days=91)
        bucket.roll()
        bucket.store.damage("folder//twice")
    now = events_of(bucket)
    assert len(now) == 3 * len(ODD)
    assert exported == printed == {name: now[name] for name in printed}


def test_an_exported_event_stays_though_the_ledger_says_otherwise_by_now(bucket: Rolling) -> None:
    first = bucket.roll(keys=["plain"])
    kept = (bucket.folder / str(first.file)).read_bytes()
    bucket.store.damage("plain")
    bucket.time += timedelta(days=91)
    (bucket.folder / str(first.file)).unlink()
    bucket.lake.remove("standing/")
    bucket.roll(keys=["plain"])  # as the ledger is now, the first check of it
    export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    exported = events_of(bucket)
    (bucket.folder / str(first.file)).write_bytes(kept)
    bucket.lake.remove("standing/")
    assert len(bucket.damaged()) == 1
    assert exported.items() < events_of(bucket).items()
    export_events(bucket.lake, of_catalog(), "e2", now=bucket.now)
    assert exported.items() < events_of(bucket).items()


def test_two_exports_at_once_keep_each_event_once(bucket: Rolling, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.roll()
    export = import_module("fixity.reports.premis.export")
    usable = export.usable_files

    def while_another_exports(*given: object, **more: object) -> object:
        monkeypatch.setattr(export, "usable_files", usable)
        assert export_events(bucket.lake, of_catalog(), "other", now=bucket.now).events
        return usable(*given, **more)

    monkeypatch.setattr(export, "usable_files", while_another_exports)
    assert export_events(bucket.lake, of_catalog(), "mine", now=bucket.now).events == 0
    kept = sorted(file.name for file in (bucket.folder / "premis/b").iterdir())
    assert kept == ["EXPORTED.json", "other.parquet", "other.xml"]
    identifiers = texts(printed(bucket), "eventIdentifierValue")
    assert len(identifiers) == len(set(identifiers)) > 0


@pytest.mark.parametrize("killed_at", ["xml", "EXPORTED.json"])
def test_an_export_that_is_killed_has_each_event_once(
    bucket: Rolling, killed_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.roll()
    put = type(bucket.lake).put

    def killed(lake: object, name: str, file: Path, replace: bool = False, keep: bool = False) -> None:
        if name.startswith("premis/") and name.endswith(killed_at):
            raise KeyboardInterrupt
        put(bucket.lake, name, file, replace, keep)

    with monkeypatch.context() as killing, pytest.raises(KeyboardInterrupt):
        killing.setattr(type(bucket.lake), "put", killed)
        export_events(bucket.lake, of_catalog(), "e1", now=bucket.now)
    assert export_events(bucket.lake, of_catalog(), "e2", now=bucket.now).events == 0
    bucket.time += timedelta(days=91)
    bucket.roll()
    assert export_events(bucket.lake, of_catalog(), "e3", now=bucket.now).events == len(ODD)
    folder = bucket.folder / "premis/b"
    assert {file.name for file in folder.iterdir()} == {
        "e1.parquet", "e1.xml", "e3.parquet", "e3.xml", "EXPORTED.json"
    }  # fmt: skip
    documents = [etree.parse(str(file)).getroot() for file in folder.glob("*.xml")]
    names = [name for document in documents for name in texts(document, "eventIdentifierValue")]
    assert len(names) == len(set(names)) == 2 * len(ODD)
