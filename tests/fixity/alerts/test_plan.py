"""What is said, and when: each thing once, nothing in quiet hours, one message an hour, nothing lost."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fixity.alerts import plan
from fixity.alerts.plan import INTERVAL, Known, State, Wrong, delivered, due, failed, noticed
from fixity.catalog import Alerts

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = Alerts.model_validate(
    {
        "targets": {"a": "A", "b": {"url_from": "B", "what": ["check_red", "check_green"]}},
        "quiet_hours": "22:00-07:00",
        "timezone": "Europe/Berlin",
    }
)
SUBJECTS = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 1), max_size=3)
LOOKS = st.lists(
    st.tuples(SUBJECTS, st.integers(1, 400), st.frozensets(st.sampled_from("ab"))), min_size=1, max_size=40
)
"""Of each look: what is wrong, how often it became so; minutes since the last look; which targets are up."""


def wrong(subject: str, time: int = 0) -> Wrong:
    return Wrong(subject, f"{subject} {time}", "check_red", "check_green", f"{subject} is wrong")


def over(subject: str, _: Known) -> str:
    return f"{subject} is right"


def look(state: State, *subjects: str) -> State:
    return noticed(state, RULES, map(wrong, subjects), over)


@given(LOOKS)
def test_each_thing_is_told_once_never_in_quiet_hours_nor_twice_an_hour_and_nothing_is_lost(
    looks: list[tuple[dict[str, int], int, frozenset[str]]],
) -> None:
    state, now = State(), START
    told: dict[str, list[str]] = {"a": [], "b": []}
    times: dict[str, list[datetime]] = {"a": [], "b": []}
    digests: list[datetime] = []
    happened: list[str] = []
    before: dict[str, int] = {}

    def send(up: frozenset[str]) -> None:
        nonlocal state
        for name in ("a", "b"):
            if message := due(state, RULES, name, now):
                assert 7 <= RULES.local(now).hour < 22
                if name not in up:
                    state = failed(state, name, "down", now)
                    continue
                told[name] += [each.key for each in message.alerts]
                times[name].append(now)
                digests.extend([now] if message.has_digest else [])
                state = delivered(state, name, message, now)

    for subjects, minutes, up in looks:
        now += timedelta(minutes=minutes)
        happened += [f"{each} {before[each]} over" for each in before if each not in subjects]
        happened += [f"{each} {n}" for each, n in subjects.items() if before.get(each) != n]
        before = subjects
        state = noticed(state, RULES, [wrong(*each) for each in subjects.items()], over)
        send(up)
    now += timedelta(days=1)
    now = now.replace(hour=12)
    send(frozenset("ab"))
    for name in ("a", "b"):
        # The same key twice before it could be sent is one thing: it is the same failure.
        assert set(told[name]) == set(happened)
        assert not Counter(told[name]) - Counter(happened)
        assert all(later - one >= INTERVAL for one, later in zip(times[name], times[name][1:], strict=False))
    days = [RULES.local(each).date() for each in digests]
    assert days and len(days) == len(set(days))
    assert not state.targets["a"].waiting and state.targets["a"].down_since is None


def test_of_very_many_alerts_for_a_target_that_is_down_the_newest_are_kept_and_all_are_counted() -> None:
    state = look(State(), *(str(number) for number in range(plan.MOST_WAITING + 7)))
    message = due(state, RULES, "b", START)
    assert message and len(message.alerts) == plan.MOST_WAITING and message.left_out == 7
    after = delivered(state, "b", message, START)
    assert after.targets["b"].left_out == 0 and due(after, RULES, "b", START + INTERVAL) is None


def test_what_a_target_does_not_want_to_know_it_is_not_told() -> None:
    incident = Wrong("i", "i", "incident_opened", "incident_closed", "an incident")
    state = noticed(State(), RULES, [incident], over)
    assert due(state, RULES, "b", START) is None
    message = due(state, RULES, "a", START)
    assert message and [each.text for each in message.alerts] == ["an incident"]


def test_the_same_state_makes_the_same_keys_so_a_receiver_knows_a_repetition() -> None:
    state = look(State(), "x")
    assert due(state, RULES, "b", START) == due(look(State(), "x"), RULES, "b", START)
    assert due(look(state, "x"), RULES, "b", START) == due(state, RULES, "b", START)


def test_what_the_catalog_no_longer_has_ends_without_a_word() -> None:
    state = look(State(), "x")
    message = due(state, RULES, "b", START)
    assert message
    state = noticed(delivered(state, "b", message, START), RULES, [], lambda *_: None)
    assert not state.targets["b"].waiting and not state.known
