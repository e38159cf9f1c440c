"""Incidents through the real jobs on a real server: opened once, found again, closed after a repair."""

from __future__ import annotations

import dagster as dg
import pytest

import fixity_assets.incidents
from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.clock import utc_now
from fixity.errors import FixityError
from fixity.incidents.closing import end_by_person
from fixity.incidents.events import CLOSED, DISMISSED, REPAIRED, append
from fixity.incidents.state import Incident, incidents_now
from fixity.lake import open_lake
from fixity.lake.paths import INCIDENTS
from jobs.names import CHECKSUMS_JOB, INCIDENTS_JOB, ROLL_JOB
from tests.platform import PAIR, Platform


def _check(result: dg.ExecuteInProcessResult, bucket: str = PAIR) -> tuple[bool, str]:
    """The result of `no_open_incidents` of a bucket."""
    (found,) = [
        each
        for each in result.get_asset_check_evaluations()
        if each.check_name == "no_open_incidents" and each.partition == bucket
    ]
    assert found.asset_key == dg.AssetKey("incidents") and found.severity == dg.AssetCheckSeverity.ERROR
    return found.passed, found.description or ""


def _incidents(platform: Platform) -> list[Incident]:
    return incidents_now(open_lake(platform.catalog))


def test_damage_is_one_incident_however_often_it_is_found_and_new_damage_after_its_end_another(
    platform: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    lake = open_lake(platform.catalog)
    for number in range(12):
        platform.put(f"key-{number:02d}", b"content %d" % number)
    assert _check(platform.run(instance, CHECKSUMS_JOB, PAIR)) == (True, "")
    assert lake.list(INCIDENTS) == []
    for number in range(10):
        corrupt_object(seaweedfs, platform.source, f"key-{number:02d}")
    for _ in range(2):
        passed, text = _check(platform.run(instance, CHECKSUMS_JOB, PAIR))
        assert not passed and f"10 objects of {PAIR}, opened" in text
    (incident,) = _incidents(platform)
    assert len(incident.objects) == 10 and incident.state == "open"
    for bucket, passed in ((PAIR, False), (f"{PAIR}-repl", True)):
        listed = platform.run(instance, INCIDENTS_JOB, bucket)
        assert _check(listed, bucket)[0] == passed
        (event,) = listed.get_asset_materialization_events()
        table = event.step_materialization_data.materialization.metadata["incidents"]
        assert [row.data["incident"] for row in table.records] == ([] if passed else [incident.id])  # type: ignore[attr-defined]
    end_by_person(lake, incident.id, DISMISSED, "ann", "known")
    assert _check(platform.run(instance, CHECKSUMS_JOB, PAIR)) == (True, "")
    corrupt_object(seaweedfs, platform.source, "key-10")
    assert "1 object of" in _check(platform.run(instance, CHECKSUMS_JOB, PAIR))[1]
    end_by_person(lake, _incidents(platform)[-1].id, CLOSED, "ann", "copied back")
    assert not _check(platform.run(instance, CHECKSUMS_JOB, PAIR))[0]  # it was not
    assert [each.state for each in _incidents(platform)] == ["dismissed", "closed", "open"]


def test_right_bytes_close_an_incident_only_after_a_repair(
    platform: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    platform.bucket_settings["fixity_every"] = "90d"
    platform.put("a")
    platform.run(instance, CHECKSUMS_JOB, PAIR)
    corrupt_object(seaweedfs, platform.source, "a")
    assert not _check(platform.run(instance, CHECKSUMS_JOB, PAIR))[0]
    corrupt_object(seaweedfs, platform.source, "a")  # the same bit again: the bytes are right
    assert not _check(platform.run(instance, CHECKSUMS_JOB, PAIR))[0]
    (incident,) = _incidents(platform)
    assert incident.state == "open" and incident.objects[0].right_since is not None
    repaired = incident.objects[0].event(REPAIRED, incident.next_at(utc_now()), run_id="repair")
    append(open_lake(platform.catalog), [repaired])
    nothing_due = platform.run(instance, ROLL_JOB, PAIR)
    assert not _check(nothing_due)[0] and _incidents(platform)[0].state == "repaired"
    assert _check(platform.run(instance, CHECKSUMS_JOB, PAIR)) == (True, "")
    assert _incidents(platform)[0].state == "closed"


def test_a_run_that_dies_after_its_checks_are_kept_leaves_the_incident_to_the_next_one(
    platform: Platform,
    instance: dg.DagsterInstance,
    seaweedfs: SeaweedFS,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform.put("a")
    platform.run(instance, CHECKSUMS_JOB, PAIR)
    corrupt_object(seaweedfs, platform.source, "a")

    def die(*_: object) -> None:
        raise FixityError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(fixity_assets.incidents, "record_damage", die)
        killed = platform.run(instance, CHECKSUMS_JOB, PAIR)
    assert not killed.success and not _incidents(platform)
    assert len(list((platform.folder / "lake/checksums" / PAIR).glob("*.parquet"))) == 2
    corrupt_object(seaweedfs, platform.replica, "a")
    assert not _check(platform.run(instance, CHECKSUMS_JOB, PAIR))[0]
    (incident,) = _incidents(platform)
    assert [each.key for each in incident.objects] == ["a"]


def test_a_pair_s_confirmed_rows_are_one_incident_of_both_buckets_with_the_copies_that_are_bad(
    platform: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    for key in ("fine", "rotten", "gone"):
        platform.put(key, key.encode())
    platform.put("other", b"one", replica=b"two")
    platform.s3.delete_object(Bucket=platform.replica, Key="gone")
    first = platform.verify(instance)
    assert not _check(first)[0] and not _check(first, f"{PAIR}-repl")[0]
    (incident,) = _incidents(platform)
    objects = {each.key: each for each in incident.objects}
    assert {key: (each.bucket, each.confirmed) for key, each in objects.items()} == {
        "gone": (f"{PAIR}-repl", True),
        "other": (None, True),
    }
    assert objects["other"].diagnosis == "cannot_tell"
    corrupt_object(seaweedfs, platform.replica, "rotten")
    for _ in range(2):
        platform.verify(instance)
    rows, damage = _incidents(platform)
    assert rows.id == incident.id and len(rows.objects) == 2
    (rotten,) = damage.objects  # found by the replica's own check, and diagnosed by the report
    assert (rotten.bucket, rotten.pair) == (f"{PAIR}-repl", PAIR)
    assert (rotten.confirmed, rotten.diagnosis) == (True, "replica_damaged")
    platform.s3.put_object(Bucket=platform.replica, Key="gone", Body=b"gone")
    platform.verify(instance)
    gone = {each.key: each for each in _incidents(platform)[0].objects}["gone"]
    assert gone.state == "open" and gone.right_since is not None  # nobody repaired it here
