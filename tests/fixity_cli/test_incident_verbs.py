"""The verbs of incidents: list, show, close and dismiss, with the status that the UI's check has."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fixity.clock import utc_now
from fixity.incidents.closing import close_right
from fixity.incidents.opening import record_damage
from fixity.incidents.state import incidents_now
from fixity.lake import Lake, LocalLake
from fixity.ledger.damage import Damage
from fixity_cli.main import app
from fixity_cli.user import user_name
from tests.fixity.incidents.test_opening import checked
from tests.fixity_cli.test_rolling_verbs import fixity


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}}\n")
    return LocalLake(tmp_path / "lake")


def run(lake: Lake, *words: str) -> Result:
    """Run a verb in this process."""
    catalog = Path(lake.location("")).parent / "fixity.yaml"
    return CliRunner().invoke(app, [*words, "--catalog", str(catalog)])


def opened(lake: Lake, bucket: str, key: str, run_id: str) -> str:
    """The id of a new incident."""
    now = utc_now()
    record_damage(lake, bucket, [Damage(key, None, "SHA256", "good", "bad", None, now, now, 2)], run_id)
    return incidents_now(lake)[-1].id


def test_incidents_are_listed_for_people_and_as_json_and_the_status_says_whether_one_is_open(
    lake: Lake,
) -> None:
    none = run(lake, "incidents", "--open")
    assert (none.exit_code, none.stdout) == (0, "no incidents\n")
    first, second = opened(lake, "a", "k\x1b[31m", "3f2a9c1b-1"), opened(lake, "b", "k", "77777777-2")
    both = run(lake, "incidents")
    assert both.exit_code == 1 and [line.split()[0] for line in both.stdout.splitlines()] == [first, second]
    assert "1 object of b, opened 20" in both.stdout
    of_b = run(lake, "incidents", "--bucket", "b", "--json")
    (said,) = json.loads(of_b.stdout)["rows"]
    assert of_b.exit_code == 1 and (said["incident"], said["state"], said["buckets"]) == (second, "open", "b")
    shown = run(lake, "incident", first)
    assert shown.exit_code == 1 and "k\\x1b[31m of a: open; not known when it was last right" in shown.stdout
    assert (
        "opened by run 3f2a9c1b-1" in shown.stdout
        and shown.stdout == run(lake, "incident", "show", first).stdout
    )
    assert run(lake, "incidents", "--bucket", "c").exit_code == 2
    wrong = run(lake, "incident", first[:-1] + "0")
    assert wrong.exit_code == 2


def test_an_object_that_was_found_right_since_is_shown_so(lake: Lake, tmp_path: Path) -> None:
    incident = opened(lake, "a", "k", "3f2a9c1b-1")
    close_right(lake, "a", checked(tmp_path, "k", "good", utc_now()), "run-2")
    shown = run(lake, "incident", incident)
    assert shown.exit_code == 1 and "k of a: open; since then found right at 20" in shown.stdout
    assert " UTC by the checksum that was expected; not known when it was last right" in shown.stdout


def test_a_person_closes_or_dismisses_an_incident_with_a_reason_and_the_ui_says_the_same(
    lake: Lake, tmp_path: Path
) -> None:
    first, second = opened(lake, "a", "k", "3f2a9c1b-1"), opened(lake, "b", "k", "77777777-2")
    assert run(lake, "incident", "close", first).exit_code == 2  # no reason
    near = fixity(tmp_path, "incident", "close", first.replace("3f", "3e"), "--reason", "x")
    assert near.returncode == 2 and f"Did you mean {first}" in near.stderr and "Traceback" not in near.stderr
    closed = fixity(tmp_path, "incident", "close", first, "--reason", "copied back", "--by", "Ann")
    assert (closed.returncode, closed.stdout) == (0, f"{first} is closed\n"), closed.stderr
    assert "closed by Ann: copied back" in run(lake, "incident", first).stdout
    assert run(lake, "incidents", "--bucket", "a").exit_code == 0
    again = run(lake, "incident", "dismiss", first, "--reason", "y")
    assert again.exit_code == 2
    dismissed = fixity(tmp_path, "incident", "dismiss", second, "--reason", "a test")
    assert dismissed.returncode == 0, dismissed.stderr
    assert run(lake, "incidents", "--open").stdout == "no incidents\n"
    asked = run(
        lake, "sql", "select event, reason from incidents where reason is not null order by happened_at"
    )
    assert asked.stdout == "event,reason\nclosed,copied back\ndismissed,a test\n"


def test_a_user_of_the_system_who_has_no_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert user_name() == f"user {os.getuid()}"
