"""Which damage opens an incident, which belongs to one, and what ends it: over a lake in a directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.errors import WrongUsage
from fixity.incidents.closing import NoIncident, close_right, end_by_person, note_same
from fixity.incidents.events import CLOSED, DISMISSED, OPENED, REPAIRED, append, read_events
from fixity.incidents.opening import record_damage, record_findings
from fixity.incidents.state import Incident, fold, incidents_now
from fixity.incidents.summary import note
from fixity.lake import LocalLake
from fixity.lake.csv_files import csv_line
from fixity.lake.paths import INCIDENTS
from fixity.ledger.damage import Damage
from fixity.reports.columns import COLUMNS, SUSPECTS
from fixity.tables import CHECKSUMS, FINDINGS

PAIR = Pair(name="p", source="a", replica="b", match="version")


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path / "lake")


def damage(key: str = "k", actual: str = "bad", reads: int = 2, version_id: str | None = None) -> Damage:
    now = utc_now()
    return Damage(key, version_id, "SHA256", "good", actual, None, now, now, reads)


def row(key: str = "k", status: str = "mismatch", **more: object) -> dict[str, Any]:
    """A row of a report that was looked at twice."""
    said: dict[str, Any] = {
        "key": key, "version_id": None, "status": status, "checksum_algorithm": "SHA256",
        "checksum_source": "good", "checksum_replication": "bad", "source_version_id": None,
        "replica_version_id": None, "source_checked_at": utc_now(), "replica_checked_at": utc_now(),
        "looked": True, "note": None, "diagnosis": "replica_damaged", "damaged": ["b"],
        "diagnosis_rests_on": "the source's bytes match its manifest (SHA256)",
    }  # fmt: skip
    return said | more


def record_rows(lake: LocalLake, rows: list[dict[str, Any]], run_id: str) -> None:
    suspects, findings = (
        pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
        for schema in (SUSPECTS, FINDINGS)
    )
    record_findings(lake, PAIR, suspects, findings, run_id)


def events_of(lake: LocalLake) -> list[tuple[str, str]]:
    return sorted((event.incident_id, event.event) for event in read_events(lake)[0])


def only(lake: LocalLake) -> Incident:
    (incident,) = incidents_now(lake)
    return incident


def checked(tmp_path: Path, key: str, checksum: str, at: datetime, **more: object) -> Path:
    """A run's file of the ledger with one check."""
    values: dict[str, Any] = {field.name: None for field in CHECKSUMS} | {
        "key": key, "size": 1, "algorithm": "SHA256", "checksum": checksum, "status": "succeeded",
        "bytes_read": 1,
        "checked_at": at, "run_id": "check", "is_latest": True, "verdict": "registered", **more,
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([values], CHECKSUMS), tmp_path / "checks.parquet")
    return tmp_path / "checks.parquet"


def test_a_lake_without_damage_gets_no_file(lake: LocalLake) -> None:
    record_damage(lake, "b", [], "run-1")
    record_rows(lake, [row(status="failed_source"), row(status="ok")], "run-1")
    assert close_right(lake, "b", None, "run-1") == [] and lake.list("") == []


def test_damage_of_a_thousand_objects_of_one_run_is_one_incident_and_found_again_the_same_one(
    lake: LocalLake,
) -> None:
    damaged = [damage(f"{number:04d}") for number in range(1000)]
    for run_id in ("3f2a9c1b-1111", "99999999-2222"):
        record_damage(lake, "b", damaged, run_id)
    incident = only(lake)
    assert incident.id.endswith("-3f2a9c1b") and len(incident.objects) == 1000
    assert all(each.confirmed and each.found == {"SHA256:bad"} for each in incident.objects)
    assert len(lake.list(INCIDENTS)) == 1
    record_damage(lake, "b", [*damaged, damage("new")], "99999999-2222")
    assert [len(each.objects) for each in incidents_now(lake)] == [1000, 1]


def test_what_nobody_looked_at_twice_is_opened_and_confirmed_later(lake: LocalLake) -> None:
    record_damage(lake, "b", [damage(reads=1)], "run-1")
    assert [event for _, event in events_of(lake)] == ["opened"] and not only(lake).objects[0].confirmed
    record_damage(lake, "b", [damage()], "run-2")
    assert [event for _, event in events_of(lake)] == ["confirmed", "opened"]


def test_other_wrong_bytes_of_an_open_object_belong_to_its_incident(lake: LocalLake) -> None:
    record_damage(lake, "b", [damage()], "run-1")
    record_damage(lake, "b", [damage(actual="worse")], "run-2")
    assert only(lake).objects[0].found == {"SHA256:bad", "SHA256:worse"}


def test_damage_after_an_incident_was_closed_opens_a_new_one_and_what_was_known_before_does_not(
    lake: LocalLake,
) -> None:
    record_damage(lake, "b", [damage()], "run-1")
    known_before = [damage()]
    end_by_person(lake, only(lake).id, CLOSED, "ann", "copied back")
    record_damage(lake, "b", known_before, "run-2")
    assert only(lake).state == "closed"
    record_damage(lake, "b", [damage()], "run-3")
    assert [each.state for each in incidents_now(lake)] == ["closed", "open"]


def test_dismissed_damage_is_accepted_until_the_bytes_change_again(lake: LocalLake) -> None:
    record_damage(lake, "b", [damage()], "run-1")
    end_by_person(lake, only(lake).id, DISMISSED, "ann", "never mind")
    record_damage(lake, "b", [damage()], "run-2")
    assert only(lake).state == "dismissed"
    record_damage(lake, "b", [damage(actual="worse")], "run-3")
    assert [each.state for each in incidents_now(lake)] == ["dismissed", "open"]


def test_a_row_of_a_pair_and_a_check_of_its_bucket_are_one_incident_whichever_comes_first(
    tmp_path: Path,
) -> None:
    for number, first_row in enumerate((row(), row(diagnosis="cannot_tell", damaged=[]))):
        before, after = LocalLake(tmp_path / f"before{number}"), LocalLake(tmp_path / f"after{number}")
        record_damage(before, "b", [damage()], "run-1", ["p"])
        record_rows(before, [first_row], "run-2")
        record_rows(after, [first_row], "run-1")
        record_damage(after, "b", [damage()], "run-2", ["p"])
        for lake in (before, after):
            incident = only(lake)
            assert len(incident.objects) == 1 and incident.concerns("b", ["p"])
            assert incident.diagnoses == {first_row["diagnosis"]: 1}
        record_rows(after, [row()], "run-3")
        (known,) = only(after).objects
        assert (known.bucket, known.diagnosis, known.pair) == ("b", "replica_damaged", "p")
        assert known.rests_on == "the source's bytes match its manifest (SHA256)"


def test_versions_of_both_sides_are_told_apart_where_a_pair_is_matched_by_key(lake: LocalLake) -> None:
    record_damage(lake, "b", [damage(version_id="replica-1")], "run-1", ["p"])
    by_key = row(version_id="source-1", source_version_id="source-1", replica_version_id="replica-1")
    record_rows(lake, [by_key], "run-2")
    assert [each.version_id for each in only(lake).objects] == ["replica-1"]
    record_rows(lake, [by_key | {"replica_version_id": "replica-2"}], "run-3")
    assert len(incidents_now(lake)) == 2


def test_a_missing_object_is_bad_where_it_is_missing_and_one_that_changed_meanwhile_is_none(
    lake: LocalLake,
) -> None:
    missing = row("gone", "missing_replica", checksum_replication=None, diagnosis="deleted", damaged=[])
    changed = row("busy", diagnosis="changed_meanwhile", damaged=[])
    for run_id in ("run-1", "run-2"):
        record_rows(lake, [missing | {"version_id": "v1"}, changed], run_id)
    (known,) = only(lake).objects
    assert (known.key, known.bucket, known.found, known.expected) == ("gone", "b", {None}, "SHA256:good")


def test_an_incident_closes_by_itself_only_when_a_check_after_a_repair_found_the_right_bytes(
    lake: LocalLake, tmp_path: Path
) -> None:
    record_damage(lake, "b", [damage()], "run-1")
    opened = utc_now()
    right_before = checked(tmp_path, "k", "good", opened - timedelta(hours=1))
    assert close_right(lake, "b", right_before, "run-2")[0].objects[0].right_since is None
    right = checked(tmp_path, "k", "good", utc_now())
    (incident,) = close_right(lake, "b", right, "run-2")
    assert incident.state == "open" and incident.objects[0].right_since is not None
    files = len(lake.list(INCIDENTS))
    close_right(lake, "b", right, "run-3")  # known already
    assert len(lake.list(INCIDENTS)) == files
    append(lake, [incident.objects[0].event(REPAIRED, incident.next_at(utc_now()), run_id="repair")])
    assert close_right(lake, "b", right, "run-4")[0].state == "repaired"  # read before the repair
    wrong = checked(tmp_path, "k", "bad", utc_now())
    assert close_right(lake, "b", wrong, "run-4")[0].state == "repaired"
    elsewhere = checked(tmp_path, "k", "good", utc_now())
    assert close_right(lake, "a", elsewhere, "run-4")[0].state == "repaired"
    (incident,) = close_right(lake, "b", elsewhere, "run-5")
    assert incident.state == "closed" and incident.events[-1].run_id == "run-5"


def test_damage_that_a_record_takes_back_is_told_with_the_record_and_a_person_closes_it(
    lake: LocalLake, tmp_path: Path
) -> None:
    """Its first checksum was of a wrong read: what was called damage are the right bytes."""
    record_damage(lake, "b", [damage(actual="the right ones")], "run-1")

    def found(source: str) -> Incident:
        matched = {"verdict": "matched", "expected_algorithm": "SHA256", "expected": "the right ones"}
        file = checked(tmp_path, "k", "the right ones", utc_now(), **matched, expected_from=source)
        return close_right(lake, "b", file, "run-2")[0]

    for source in ("first_seen", "object-etag"):  # they hold for any bytes that are written there
        assert found(source).objects[0].right_since is None
    incident = found("manifest")
    (taken_back,) = incident.objects
    assert (incident.state, taken_back.right_by) == ("open", "manifest")
    assert note(incident) == (
        f"since then found right at {taken_back.right_since:%Y-%m-%d %H:%M} UTC by manifest, and nobody "
        f"repaired them here; if that is enough: fixity incident close {incident.id} --reason WHY"
    )
    end_by_person(lake, incident.id, DISMISSED, "ann", "a wrong read")
    with pytest.raises(NoIncident, match="dismissed already"):
        end_by_person(lake, incident.id, DISMISSED, "bob", "so say I")
    assert [event.person for event in only(lake).events if event.event == DISMISSED] == ["ann"]


def test_an_object_of_which_nobody_knew_the_bad_copy_is_told_to_be_the_same_on_both_sides_now(
    lake: LocalLake, tmp_path: Path
) -> None:
    undecided: dict[str, Any] = {"diagnosis": "cannot_tell", "damaged": []}
    record_rows(lake, [row("k", **undecided), row("l", version_id="v", **undecided)], "run-1")
    for name, status in (("1.csv", "mismatch"), ("2.csv", "ok")):
        known = [
            {"key": "k", "status": status},
            {"key": "l", "version_id": "another", "status": "ok"},
        ]
        text = [csv_line(COLUMNS), *(csv_line(each.get(name) for name in COLUMNS) for each in known)]
        (tmp_path / name).write_text("".join(text))
        lake.put(f"reports/{name}", tmp_path / name)
        note_same(lake, "p", f"reports/{name}", "run-2")
        right = {each.key: each.right_since is not None for each in only(lake).objects}
        assert right == {"k": status == "ok", "l": False}
    assert only(lake).state == "open"


def test_a_diagnosis_that_turns_round_is_of_the_same_object(lake: LocalLake) -> None:
    record_rows(lake, [row()], "run-1")
    turned = row(diagnosis="source_damaged", damaged=["a"])
    for run_id in ("run-2", "run-3"):
        record_rows(lake, [turned], run_id)
        (found,) = only(lake).objects
        assert (found.bucket, found.diagnosis) == ("a", "source_damaged")
        assert (found.found, found.expected) == ({"SHA256:good"}, "SHA256:bad")
    assert len(lake.list(INCIDENTS)) == 2
    record_damage(lake, "b", [damage()], "run-4", ["p"])  # of the other bucket's own
    assert [each.buckets for each in incidents_now(lake)] == [["a"], ["b"]]


def test_a_diagnosis_of_one_version_turns_no_other_version_round(lake: LocalLake) -> None:
    versions = {"source_version_id": "v1", "replica_version_id": "v1", "version_id": "v1"}
    record_rows(lake, [row(**versions)], "run-1")
    other = row(**dict.fromkeys(versions, "v2"), diagnosis="source_damaged", damaged=["a"])
    record_rows(lake, [other], "run-2")
    assert [each.buckets for each in incidents_now(lake)] == [["b"], ["a"]]


def test_two_bad_copies_are_two_objects_of_one_incident(lake: LocalLake) -> None:
    record_rows(lake, [row(diagnosis="cannot_tell", damaged=[])], "run-1")
    both = row(diagnosis="both_damaged", damaged=["a", "b"])
    for run_id in ("run-2", "run-3"):
        record_rows(lake, [both], run_id)
    objects = [each for incident in incidents_now(lake) for each in incident.objects]
    assert [(each.bucket, each.diagnosis, each.expected) for each in objects] == [
        ("a", "both_damaged", None),
        ("b", "both_damaged", None),
    ]


def test_of_two_bad_copies_the_one_that_is_right_again_is_told_and_the_other_has_its_own_diagnosis(
    lake: LocalLake, tmp_path: Path
) -> None:
    record_rows(lake, [row(diagnosis="both_damaged", damaged=["a", "b"], checksum_source="rot")], "run-1")
    by_manifest = {"verdict": "matched", "expected_algorithm": "SHA256", "expected": "good"}
    restored = checked(tmp_path, "k", "good", utc_now(), **by_manifest, expected_from="manifest")
    close_right(lake, "a", restored, "run-2")
    record_rows(lake, [row()], "run-3")
    incident = only(lake)
    assert {each.bucket: (each.state, each.right_since is not None) for each in incident.objects} == {
        "a": ("open", True),
        "b": ("open", False),
    }
    assert incident.diagnoses == {"replica_damaged": 1}
    assert note(incident).startswith("1 of 2 objects were found right at 2")
    (bad,) = (each for each in incident.objects if each.bucket == "b")
    append(lake, [bad.event(REPAIRED, incident.next_at(utc_now()), expected="SHA256:good")])
    incident, *_ = close_right(
        lake, "b", checked(tmp_path, "k", "good", only(lake).next_at(utc_now())), "run-4"
    )
    assert incident.state == "open"  # nobody knows here how the source's copy became right
    assert "if that is enough: fixity incident close" in note(incident)


def test_a_file_of_events_that_is_gone_is_named_and_turns_nothing_green(lake: LocalLake) -> None:
    record_damage(lake, "b", [damage()], "run-1")
    (name,) = [file.name for file in lake.list(INCIDENTS)]
    Path(lake.location(name)).unlink()
    assert read_events(lake) == ([], [])  # a run may be about to put it
    events, (lost,) = read_events(lake, lambda: utc_now() + timedelta(hours=1))
    assert (lost.name, lost.why) == (name, "is gone, and only its record is left")
    (incident,) = fold(events, [lost])
    assert incident.state == "open" and incident.concerns("b", []) and name in note(incident)


def test_the_files_of_events_are_proved_and_a_rotten_one_is_named_and_closes_nothing(lake: LocalLake) -> None:
    for key, run_id in (("k", "run-1"), ("other", "run-2")):
        record_damage(lake, "b", [damage(key)], run_id)
    first, _ = incidents_now(lake)
    end_by_person(lake, first.id, CLOSED, "ann", "copied back")
    (closed,) = [file.name for file in lake.list(INCIDENTS) if "-closed-" in file.name]
    file = Path(lake.location(closed))
    whole = file.read_bytes()
    file.write_bytes(whole[:-200] + bytes([whole[-200] ^ 1]) + whole[-199:])
    rotten, fine = incidents_now(lake)
    assert (rotten.id, rotten.state, fine.state) == (first.id, "open", "open")
    assert [each.name for each in rotten.unreadable] == [closed] and "SHA-256" in rotten.unreadable[0].why
    record_damage(lake, "b", [damage("other"), damage("third")], "run-3")  # nothing is blocked
    assert len(incidents_now(lake)) == 3
    file.write_bytes(whole)
    assert incidents_now(lake)[0].state == "closed"
    Path(lake.location(f"log/records/{closed}.json")).unlink()
    (unproved, *_) = incidents_now(LocalLake(Path(lake.location(""))))  # this one has not proved it before
    assert unproved.state == "open" and "is lost" in unproved.unreadable[0].why


@pytest.mark.parametrize("junk", [b"", b"no table", b"PAR1"])
def test_a_file_that_is_no_table_of_events_blocks_nothing(lake: LocalLake, junk: bytes) -> None:
    record_damage(lake, "b", [damage()], "run-1")
    (name,) = [file.name for file in lake.list(INCIDENTS)]
    Path(lake.location(name)).with_name("junk.parquet").write_bytes(junk)
    incident = only(lake)
    assert len(incident.objects) == 1 and len(incident.unreadable) == 1


def test_an_event_comes_after_those_that_a_clock_ahead_of_ours_wrote(lake: LocalLake) -> None:
    record_damage(lake, "b", [damage()], "run-1", now=lambda: utc_now() + timedelta(hours=1))
    end_by_person(lake, only(lake).id, CLOSED, "ann", "copied back")
    assert only(lake).state == "closed"


def test_only_a_person_with_a_reason_ends_an_incident_once_and_a_wrong_id_gets_a_suggestion(
    lake: LocalLake,
) -> None:
    record_damage(lake, "b", [damage()], "3f2a9c1b-1111")
    name = only(lake).id
    for by, reason in (("", "why"), ("ann", " ")):
        with pytest.raises(WrongUsage, match="reason"):
            end_by_person(lake, name, CLOSED, by, reason)
    with pytest.raises(NoIncident, match=f"Did you mean {name}"):
        end_by_person(lake, name.replace("3f2a", "3f2b"), CLOSED, "ann", "why")
    end_by_person(lake, name, CLOSED, "ann", "why")
    with pytest.raises(NoIncident, match="closed already"):
        end_by_person(lake, name, DISMISSED, "ann", "why")
    assert (only(lake).events[-1].person, only(lake).events[-1].reason) == ("ann", "why")


def test_two_runs_that_record_the_same_damage_at_once_make_one_incident(lake: LocalLake) -> None:
    record_damage(lake, "b", [damage()], "run-1")
    (opened, confirmed) = sorted(read_events(lake)[0], key=lambda event: event.event == "confirmed")
    assert opened.event == OPENED
    later = [
        replace(each, incident_id="later", happened_at=each.happened_at + timedelta(seconds=1))
        for each in (opened, confirmed)
    ]
    append(lake, later)
    assert only(lake).id == opened.incident_id
    _assert_held_once(incidents_now(lake))


def _assert_held_once(incidents: Sequence[Incident]) -> None:
    held = [each.identity for incident in incidents for each in incident.objects if not each.is_over]
    assert len(held) == len(set(held)) == 1
