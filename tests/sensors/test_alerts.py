"""Alerts through the sensor, the lake and an HTTP target: one of a thousand objects, no repetition."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo
from typer.testing import CliRunner

import sensors.alerts
from fixity.catalog import Catalog, load_catalog
from fixity.incidents.events import DISMISSED, OPENED, Event, append
from fixity.lake import Lake, open_lake
from fixity.lake.paths import ALERTS_FILE
from fixity.status import Check, Failure, Result, keep_failure, keep_result, status_of
from fixity.status.coverage import ALIVE, WITHIN_TERM
from fixity_assets.definitions import build_definitions
from fixity_cli.main import app
from resources import CatalogResource, LakeResource
from sensors.alerts import alerts_sensor, is_final, late_sensors

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_SECRET = "hunter2"


class Sink(HTTPServer):
    """A target and a heartbeat's URL: takes posts and gets, and answers with `answer`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = 200
        self.posts: list[dict[str, Any]] = []
        self.gets: list[str] = []

    def take(self) -> list[dict[str, Any]]:
        """The messages since the last call."""
        taken, self.posts = self.posts, []
        return taken


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.answer == 200:
            self.server.posts.append(json.loads(body))
        self._answer()

    def do_GET(self) -> None:
        self.server.gets.append(self.path)
        self._answer()

    def _answer(self) -> None:
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """A sink that the variables STAFF and BEAT name."""
    with Sink() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("STAFF", f"json://me:{_SECRET}@127.0.0.1:{server.server_port}/in")
        monkeypatch.setenv("BEAT", f"http://127.0.0.1:{server.server_port}/{_SECRET}")
        monkeypatch.setenv("OTHER", "json://127.0.0.1:1/nobody")
        yield server
        server.shutdown()
        thread.join()


class Tool:
    """A catalog of one bucket with alerts, its lake, and ticks of the sensor at times."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, patch: pytest.MonkeyPatch) -> None:
        self.file, self._instance, self._patch = folder / "fixity.yaml", instance, patch
        self.now, self.cursor = NOON, None
        self.set("targets: {staff: {url_from: STAFF, what: [incident_opened, incident_closed, check_red]}}")

    cursor: str | None

    def set(self, alerts: str, more: str = "") -> None:
        """Write the catalog. Arguments: `more` keys of the bucket."""
        self.file.write_text(f"lake: ./lake\nbuckets: {{a: {{path: a{more}}}}}\nalerts: {{{alerts}}}\n")

    @property
    def catalog(self) -> Catalog:
        return load_catalog(self.file)

    @property
    def lake(self) -> Lake:
        return open_lake(self.catalog)

    def tick(self, **later: int) -> str:
        """Tick after a time, with the stored cursor; returns what the tick says."""
        self.now += timedelta(**later)
        self._patch.setattr(sensors.alerts, "utc_now", lambda: self.now)
        resources = {"lake": LakeResource(catalog=CatalogResource(file=str(self.file)))}
        with dg.build_sensor_context(
            instance=self._instance, cursor=self.cursor, resources=resources
        ) as context:
            result = alerts_sensor(self.catalog)(context)
        assert isinstance(result, dg.SensorResult) and result.skip_reason
        self.cursor = result.cursor
        return result.skip_reason.skip_message or ""

    def check(self, *checks: Check) -> None:
        place = self.catalog.place_of(self.catalog.buckets["a"])
        keep_result(
            self.lake, Result("checksums", "a", "run", self.now, checks, place=place, oldest=self.now)
        )

    def damage(self, count: int, incident: str = "fire") -> None:
        """What a run keeps that found so many objects damaged: an incident, and a red check."""
        keys = [f"{number:04}\x1b[31m" for number in range(count)]
        append(self.lake, [Event(incident, OPENED, self.now, "run", bucket="a", key=key) for key in keys])
        self.check(Check("no_damage", False, "ERROR", f"{count} damaged"), Check("all_read", True, "ERROR"))

    def dismiss(self, incident: str = "fire") -> None:
        append(self.lake, [Event(incident, DISMISSED, self.now, person="ann", reason="a test")])
        self.check(Check("no_damage", True, "ERROR"), Check("all_read", True, "ERROR"))


@pytest.fixture
def tool(tmp_path: Path, instance: dg.DagsterInstance, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Tool:
    return Tool(tmp_path, instance, monkeypatch)


def test_a_thousand_damaged_objects_are_one_message_and_none_after_a_restart(tool: Tool, sink: Sink) -> None:
    tool.tick()
    assert not sink.take()
    tool.damage(1000)
    assert tool.tick(minutes=1) == "told staff"
    (message,) = sink.take()
    assert message["title"] == "fixity: 1 incident opened"
    for part in (
        "the incident fire",
        "1,000 objects of a",
        r"'0000\\x1b[31m'",
        "and 997 more",
        "fixity incident fire",
    ):
        assert part in message["message"], part
    assert "\x1b" not in message["message"] and "no_damage" not in message["message"]
    assert tool.tick(minutes=1) == "nothing was added"
    tool.cursor = None  # the daemon was set up anew
    tool.tick(hours=2)
    assert not sink.take()
    tool.dismiss()
    tool.tick(minutes=1)
    (ended,) = sink.take()
    assert "The incident fire was dismissed by ann: a test" in ended["message"]


def test_after_a_kill_the_same_is_told_again_with_the_same_key(tool: Tool, sink: Sink) -> None:
    tool.tick()
    state = (tool.file.parent / "lake" / ALERTS_FILE).read_text()
    tool.damage(3)
    tool.tick(minutes=1)
    (tool.file.parent / "lake" / ALERTS_FILE).write_text(state)  # killed before it could put that it was sent
    tool.cursor = None
    tool.tick(minutes=1)
    first, again = sink.take()
    assert first["message"] == again["message"] and first["message"].endswith("]")


def test_a_target_that_is_down_is_told_in_the_status_and_gets_all_when_it_is_up(
    tool: Tool, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    what = "what: [incident_opened, incident_closed]"
    tool.set(f"targets: {{staff: {{url_from: STAFF, {what}}}, other: {{url_from: OTHER, {what}}}}}")
    tool.tick()
    sink.answer = 500
    tool.damage(2)
    said = tool.tick(minutes=1)
    assert "staff is down: the answer was 500" in said and "other is down: no connection" in said
    tool.tick(minutes=10)
    notes = status_of(tool.lake, tool.catalog, tool.now).notes
    assert "target of alerts staff is down since 2026-03-01 12:01 UTC: the answer was 500" in notes[0]
    sink.answer = 200
    assert tool.tick(minutes=10).startswith("told staff; other is down")
    (message,) = sink.take()
    assert "the incident fire" in message["message"]
    (note,) = status_of(tool.lake, tool.catalog, tool.now).notes
    assert "other" in note
    kept = (tool.file.parent / "lake" / ALERTS_FILE).read_text()
    assert _SECRET not in said + caplog.text + kept + "".join(notes)


def test_in_quiet_hours_nothing_is_sent_and_afterwards_one_message_has_all(tool: Tool, sink: Sink) -> None:
    tool.set("targets: {staff: {url_from: STAFF, what: [incident_opened]}}, quiet_hours: '12:00-14:00'")
    tool.damage(1, "one")
    tool.tick(minutes=1)
    tool.damage(1, "two")
    tool.tick(minutes=30)
    assert not sink.take()
    tool.tick(hours=2)
    (message,) = sink.take()
    # The same object belongs to the first incident that is open.
    assert "the incident one" in message["message"] and "the incident two" not in message["message"]


def test_a_red_check_without_an_incident_a_failed_run_and_what_ended_between_two_looks_are_told(
    tool: Tool, sink: Sink
) -> None:
    tool.set(
        "targets: {staff: {url_from: STAFF, what: [incident_closed, check_red, check_green, run_failed]}}"
    )
    tool.tick()
    tool.check(Check("all_read", False, "ERROR", "2 not read"), Check("reads_stable", False, "WARN", "1"))
    keep_failure(tool.lake, "inventory", "a", Failure("r1", tool.now, "the run r1 failed: AccessDenied"))
    append(tool.lake, [Event("short", OPENED, tool.now + timedelta(seconds=9), "run", bucket="a", key="k")])
    append(
        tool.lake,
        [Event("short", DISMISSED, tool.now + timedelta(seconds=10), person="ann", reason="known")],
    )
    tool.tick(minutes=1)
    text = sink.take()[0]["message"]
    assert "all_read of checksums of the bucket a is red: 2 not read" in text and "reads_stable" not in text
    assert "A run of the bucket a failed: the run r1 failed: AccessDenied" in text
    assert "The incident short was dismissed by ann: known" in text
    tool.check(Check("all_read", True, "ERROR"))
    tool.tick(hours=2)
    assert "all_read of checksums of the bucket a. Its status is now: problem" in sink.take()[0]["message"]


def test_a_bucket_that_is_late_and_a_schedule_that_is_silent_are_told_once_and_so_is_their_end(
    tool: Tool, sink: Sink
) -> None:
    late = "staff: {url_from: STAFF, what: [coverage]}"
    silent = "night: {url_from: STAFF, what: [silence]}, checks: {url_from: STAFF, what: [check_red]}"
    tool.set(f"targets: {{{late}, {silent}}}", ", fixity_every: 90d")
    tool.check(Check("no_damage", True, "ERROR"))

    def count(overdue: str = "", silence: str = "") -> None:
        checks = [
            Check(WITHIN_TERM, not overdue, "ERROR", overdue),
            Check(ALIVE, not silence, "ERROR", silence),
        ]
        counts = {"objects": 4, "within_term": 2 if overdue else 4}
        keep_result(tool.lake, Result("coverage", "a", "count", tool.now, tuple(checks), counts))

    count()
    tool.tick()
    assert not sink.take()
    count("2 objects overdue", "no rolling run has ended for 5 hours")
    tool.tick(minutes=1)
    told = sorted(each["message"] for each in sink.take())
    assert len(told) == 2 and "[" in told[0]
    assert told[0].startswith(
        "The check schedule_runs of coverage of the bucket a is red: no rolling run has"
    )
    assert told[1].startswith("The check within_term of coverage of the bucket a is red: 2 objects overdue.")
    tool.tick(hours=2)
    assert not sink.take()
    count()
    tool.tick(minutes=1)
    assert sorted(each["message"].partition(" of ")[0] for each in sink.take()) == [
        "No longer wrong: schedule_runs",
        "No longer wrong: within_term",
    ]
    tool.tick(hours=25)
    (nobody,) = sink.take()
    assert nobody["message"].startswith("Nobody counted in the last day how much of a was checked.")
    count()
    tool.tick(hours=2)
    assert sink.take()[0]["message"].startswith("No longer wrong: coverage is not counted.")


def test_the_digest_comes_once_a_day_and_says_how_all_stands(tool: Tool, sink: Sink) -> None:
    tool.set("targets: {staff: {url_from: STAFF, what: [daily_digest]}}")
    tool.check(Check("no_damage", True, "ERROR"))
    for _ in range(30):
        tool.tick(hours=1)
    first, second = sink.take()
    assert first["title"] == "fixity: daily digest, 1 verified"
    assert "Open incidents: 0. To do: nothing" in second["message"]
    tool.check(Check("all_read", False, "ERROR", "2 not read"))
    tool.tick(hours=24)
    (third,) = sink.take()
    assert "bucket a: problem: 2 not read\nOpen incidents: 0. To do: fixity status" in third["message"]


def test_the_heartbeat_is_asked_only_while_all_targets_work(tool: Tool, sink: Sink) -> None:
    tool.set("heartbeat: BEAT, targets: {staff: {url_from: STAFF, what: [incident_opened]}}")
    assert tool.tick() == "heartbeat" and sink.gets == [f"/{_SECRET}"]
    sink.answer = 500
    assert tool.tick(minutes=6) == "the heartbeat's URL was not asked: the answer was 500"
    assert "heartbeat is down" in status_of(tool.lake, tool.catalog, tool.now).notes[0]
    tool.damage(1)
    sink.gets.clear()
    assert "staff is down" in tool.tick(minutes=6) and not sink.gets
    sink.answer = 200
    assert tool.tick(minutes=6) == "told staff; heartbeat"
    assert status_of(tool.lake, tool.catalog, tool.now).notes == ()


def test_the_status_says_when_the_daemon_does_not_tick(tool: Tool) -> None:
    (never,) = status_of(tool.lake, tool.catalog, NOON).notes
    assert never == "no daemon has ticked yet, so no alert is sent: start it (fixity dev)"
    tool.tick()
    assert status_of(tool.lake, tool.catalog, NOON + timedelta(minutes=10)).notes == ()
    (note,) = status_of(tool.lake, tool.catalog, NOON + timedelta(hours=1)).notes
    assert note == "the daemon has not ticked since 2026-03-01 12:00 UTC: start it (fixity dev)"


def test_a_state_that_is_lost_or_damaged_loses_nothing(tool: Tool, sink: Sink) -> None:
    tool.damage(1)
    tool.tick()
    sink.take()
    (tool.file.parent / "lake" / ALERTS_FILE).write_text("{}")
    tool.tick(minutes=10)
    assert "the incident fire" in sink.take()[0]["message"]
    shutil.rmtree(tool.file.parent / "lake" / "status")


def test_a_run_that_dagster_tries_again_has_not_failed_for_good(instance: dg.DagsterInstance) -> None:
    @dg.job
    def job() -> None: ...

    def add(run_id: str, status: dg.DagsterRunStatus, **tags: str) -> None:
        told = {f"dagster/{name}": value for name, value in tags.items()}
        instance.add_run(dg.DagsterRun(job.name, run_id, status=status, tags=told))

    add("r1", dg.DagsterRunStatus.FAILURE, will_retry="true", auto_retry_run_id="r2")
    add("r2", dg.DagsterRunStatus.STARTED)
    add("r3", dg.DagsterRunStatus.FAILURE, will_retry="true", auto_retry_run_id="r4")
    add("r4", dg.DagsterRunStatus.FAILURE)
    finals = {run_id: is_final(instance, run_id, NOON) for run_id in ("r1", "r3", "r4", "gone", "")}
    assert finals == {"r1": False, "r3": True, "r4": True, "gone": True, "": True}


def test_the_command_sends_a_test_and_says_which_target_is_down_without_its_url(
    tool: Tool, sink: Sink
) -> None:
    def alert(*given: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["alert", *given, "--catalog", str(tool.file)])
        assert _SECRET not in done.output
        return done.exit_code, done.stdout

    assert alert("--test") == (0, "staff: the test was sent\n")
    assert sink.take()[0]["title"] == "fixity: a test of 'fixity.yaml'"
    tool.set("targets: {staff: STAFF, other: OTHER, unset: NO_SUCH}, quiet_hours: '00:00-23:59'")
    status, said = alert("--test")
    assert status == 3 and len(sink.take()) == 1
    assert said.splitlines()[1:] == [
        "other: no connection",
        "unset: the environment variable NO_SUCH is not set",
    ]
    assert alert("staff") == (0, "staff: 0 waiting\n")
    tool.damage(1)
    tool.set("targets: {other: OTHER}")
    tool.tick()
    assert alert() == (3, "other: 1 waiting; no connection\n") and alert("stuff")[0] == 2


def test_a_sensor_whose_ticks_fail_or_stopped_long_ago_is_late(tool: Tool, tmp_path: Path) -> None:
    definitions = build_definitions(tool.catalog)
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as stored,
        dg.build_sensor_context(instance=stored, definitions=definitions) as context,
    ):
        assert context.repository_def is not None
        repository = context.repository_def.name

        def tick(name: str, status: TickStatus, at: datetime) -> None:
            origin = RemoteInstigatorOrigin(
                RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), repository), name
            )
            kind, told = InstigatorType.SENSOR, SensorInstigatorData()
            chosen = origin.get_selector().get_id()
            if stored.get_instigator_state(origin.get_id(), chosen) is None:
                running = InstigatorStatus.DECLARED_IN_CODE
                stored.add_instigator_state(InstigatorState(origin, kind, running, told))
            more: dict[str, Any] = {"run_ids": [], "run_keys": []} if status is TickStatus.SUCCESS else {}
            if status is TickStatus.FAILURE:
                more["error"] = SerializableErrorInfo("no lake", [], None)
            ticked = TickData(origin.get_id(), name, kind, status, at.timestamp(), selector_id=chosen, **more)
            stored.create_tick(ticked)

        assert late_sensors(context, NOON) == []  # none has ticked yet
        tick("failed_runs", TickStatus.SUCCESS, NOON - timedelta(minutes=1))
        tick("status_when_results_change", TickStatus.SKIPPED, NOON - timedelta(minutes=1))
        tick("of_another_location", TickStatus.FAILURE, NOON)
        assert late_sensors(context, NOON) == []
        assert len(late_sensors(context, NOON + timedelta(hours=1))) == 2
        tick("failed_runs", TickStatus.FAILURE, NOON)
        assert late_sensors(context, NOON) == ["failed_runs"]
