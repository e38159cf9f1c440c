"""The key `alerts`: its defaults, its hours, and what is refused without showing a secret."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fixity.catalog import WHAT
from tests.fixity.catalog.conftest import Load, Problems, with_bucket


def test_a_target_is_the_name_of_a_variable_and_is_told_everything(load: Load) -> None:
    alerts = load(with_bucket("") + "alerts: {targets: {staff: ALERTS_MAIL}}\n").alerts
    assert alerts and alerts.targets["staff"].url_from == "ALERTS_MAIL"
    assert alerts.targets["staff"].what == WHAT and alerts.digest_at == "08:00"
    assert load(with_bucket("")).alerts is None


def test_quiet_hours_pass_midnight_in_their_timezone(load: Load) -> None:
    text = 'alerts: {heartbeat: H, quiet_hours: "22:00-07:00", timezone: Europe/Berlin}\n'
    alerts = load(with_bucket("") + text).alerts
    assert alerts
    quiet = [hour for hour in range(24) if alerts.is_quiet(datetime(2026, 7, 1, hour, tzinfo=UTC))]
    assert quiet == [0, 1, 2, 3, 4, 20, 21, 22, 23]


@pytest.mark.parametrize("keys", ["targets: {a: '%s'}", "targets: {a: {url_from: '%s'}}", "heartbeat: '%s'"])
@pytest.mark.parametrize("url", ["slack://hunter2/b/c", "hunter2-token"])
def test_a_url_or_a_token_in_the_file_is_refused_and_not_shown(
    problems: Problems, keys: str, url: str
) -> None:
    (found,) = problems(with_bucket("") + f"alerts: {{{keys % url}}}\n")
    assert "environment variable" in found and "hunter2" not in found
    assert ("a URL holds a password" in found) == ("://" in url)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("", "has nobody to tell"),
        ("heartbeat: H, quiet_hours: '22:00'", "such as 22:00-07:00"),
        ("heartbeat: H, quiet_hours: '07:00-07:00'", "such as 22:00-07:00"),
        ("heartbeat: H, digest_at: 18:00", "put it in quotes"),
        ("heartbeat: H, digest_at: '24:00'", "from 00:00 to 23:59"),
        ("heartbeat: H, timezone: Mars/Olympus", "such as Europe/Berlin"),
        ("heartbeat: H, timezone: ../etc", "such as Europe/Berlin"),
        ("targets: {a: {url_from: A, what: [all]}}", "one of incident_opened"),
        ("targets: {a: {url_from: A, what: []}}", "give one at least"),
    ],
)
def test_what_cannot_be_meant_is_refused(problems: Problems, keys: str, why: str) -> None:
    found, *_ = problems(with_bucket("") + f"alerts: {{{keys}}}\n")
    assert "alerts" in found and why in found
