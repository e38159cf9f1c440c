"""The fold of incidents' events: in any order, doubled, opened twice at once, with rotten files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fixity.incidents.events import (
    CLOSED,
    CONFIRMED,
    DIAGNOSED,
    DISMISSED,
    EVENTS,
    OPENED,
    REPAIRED,
    VERIFIED,
    Event,
    UnreadableEvents,
)
from fixity.incidents.state import Incident, fold

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_ENDINGS = (CLOSED, DISMISSED)
_PLACES: list[dict[str, str | None]] = [
    {"bucket": "b"},
    *(
        {"pair": "p", "bucket": bucket, "diagnosis": word}
        for bucket in ("a", "b")
        for word in ("damaged", None)
    ),
    {"pair": "p", "bucket": None},
]
"""Where an event's object is: in a bucket, by a check or by a report of a pair; or in a pair."""


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def event(kind: str, minutes: int, key: str | None = "k", incident: str = "x", **more: str | None) -> Event:
    return Event(incident, kind, at(minutes), **({"bucket": "b", "key": key} | more))


def by_person(kind: str, minutes: int, incident: str = "x") -> Event:
    return Event(incident, kind, at(minutes), person="ann", reason="seen")


def states(events: Sequence[Event], *rotten: UnreadableEvents) -> dict[str, str]:
    return {incident.id: incident.state for incident in fold(events, rotten)}


def rotten(lost: Event) -> UnreadableEvents:
    return UnreadableEvents(
        f"incidents/{lost.incident_id}/file", lost.incident_id, lost.happened_at, "its bytes changed"
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of three incidents over three objects; a person ends each incident at most once."""
    minutes = st.integers(0, 20)
    names = st.sampled_from(["x", "y", "z"])
    found = st.sampled_from([None, "SHA256:aa", "SHA256:bb"])
    events = draw(
        st.lists(
            st.builds(
                lambda kind, minute, key, incident, of, wrong: event(
                    kind, minute, key, incident, **of, found=wrong
                ),
                st.sampled_from([kind for kind in EVENTS if kind != DISMISSED]),
                minutes,
                st.sampled_from(["i", "j", "k"]),
                names,
                st.sampled_from(_PLACES),
                found,
            ),
            max_size=25,
        )
    )
    for incident in draw(st.sets(names)):
        events.append(by_person(draw(st.sampled_from(_ENDINGS)), draw(minutes), incident))
    return events


@given(histories(), st.randoms(use_true_random=False))
def test_events_in_any_order_and_as_often_as_they_come_say_the_same(
    events: list[Event], chance: random.Random
) -> None:
    shuffled = [*events, *chance.sample(events, len(events) // 2)]
    chance.shuffle(shuffled)
    assert fold(shuffled) == fold(events)


@given(histories(), st.data())
def test_no_rotten_file_of_events_turns_a_bucket_green(events: list[Event], data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.sampled_from(events))) if events else set()
    left = [each for each in events if each not in lost]

    def is_red(incidents: Sequence[Incident]) -> bool:
        return any(incident.concerns("b", []) for incident in incidents)

    assert is_red(fold(left, [rotten(each) for each in lost])) or not is_red(fold(events))


@given(histories())
def test_an_object_is_open_in_one_incident_at_a_time_and_over_only_by_a_person_or_by_a_check_after_a_repair(
    events: list[Event],
) -> None:
    objects = [each for incident in fold(events) for each in incident.objects]
    held = [(each.key, each.bucket) for each in objects if not each.is_over]
    assert len(held) == len(set(held))  # both copies may be bad, each is an object then
    ended_by_person = {(one.incident_id, one.happened_at) for one in events if one.person}
    for each in objects:
        if each.is_over and (each.incident_id, each.since) not in ended_by_person:
            assert each.state == CLOSED and each.repaired and each.right_since is not None


def test_of_two_runs_that_open_an_incident_for_one_object_at_once_the_earlier_counts() -> None:
    events = [event(OPENED, 1, incident="late"), event(OPENED, 0, incident="early")]
    events += [event(OPENED, 1, key="other", incident="late"), event(CONFIRMED, 1, incident="late")]
    early, late = fold(events)
    assert (early.id, [each.key for each in early.objects]) == ("early", ["k"])
    assert early.objects[0].confirmed  # what the later run knows of it is not lost
    assert (late.id, [each.key for each in late.objects]) == ("late", ["other"])
    assert [incident.id for incident in fold(events[:2])] == ["early"]


def test_a_run_closes_only_what_was_repaired_and_then_found_right() -> None:
    opened, repaired, verified, closed = (
        event(kind, minutes) for minutes, kind in enumerate((OPENED, REPAIRED, VERIFIED, CLOSED))
    )
    assert states([opened, closed]) == {"x": "open"}
    assert states([opened, verified, closed]) == {"x": "open"}  # right again, but nobody repaired it
    assert states([opened, repaired, closed]) == {"x": "repaired"}
    assert states([opened, repaired, verified]) == {"x": "repaired"}
    assert states([opened, repaired, verified, closed]) == {"x": "closed"}
    (right,) = fold([opened, verified])
    assert right.objects[0].right_since == at(2)


def test_damage_after_the_repair_opens_it_again_and_the_check_before_it_closes_nothing() -> None:
    events = [event(OPENED, 0), event(REPAIRED, 1), event(VERIFIED, 2), event(OPENED, 3), event(CLOSED, 4)]
    (incident,) = fold(events)
    assert incident.state == "open" and incident.objects[0].right_since is None


def test_an_incident_of_a_thousand_objects_is_closed_when_all_are() -> None:
    events = [event(OPENED, 0, f"{number:04d}") for number in range(1000)]
    events += [event(kind, 1, f"{number:04d}") for kind in (REPAIRED, VERIFIED) for number in range(999)]
    ended = Event("x", CLOSED, at(2), run_id="run")
    (incident,) = fold([*events, ended])
    assert incident.state == "open" and sum(each.state == CLOSED for each in incident.objects) == 999
    rest = [event(kind, 3, "0999") for kind in (REPAIRED, VERIFIED)]
    assert states([*events, ended, *rest, Event("x", CLOSED, at(4), run_id="run")]) == {"x": "closed"}


def test_a_person_ends_an_incident_whatever_its_state() -> None:
    for ending in _ENDINGS:
        assert states([event(OPENED, 0), by_person(ending, 1)]) == {"x": ending}
        assert states([event(OPENED, 0), event(REPAIRED, 1), by_person(ending, 2)]) == {"x": ending}
    assert states([event(OPENED, 0), event(DISMISSED, 1)]) == {"x": "open"}  # no run dismisses anything


def test_a_diagnosis_tells_which_bucket_s_copy_of_a_pair_s_object_is_bad() -> None:
    of_pair: dict[str, Any] = {"pair": "p", "bucket": None}
    events = [event(OPENED, 0, **of_pair), event(DIAGNOSED, 0, **of_pair, diagnosis="cannot_tell")]
    (incident,) = fold(events)
    assert incident.concerns("b", ["p"]) and not incident.concerns("b", ["q"]) and incident.buckets == []
    later = [event(DIAGNOSED, 1, pair="p", bucket="b", diagnosis="replica_damaged")]
    later += [event(REPAIRED, 2, pair="p"), event(VERIFIED, 3)]
    (incident,) = fold(events + later)
    assert incident.buckets == ["b"] and incident.diagnoses == {"replica_damaged": 1}
    assert incident.state == "repaired" and incident.objects[0].right_since == at(3)


def test_a_diagnosis_that_turns_round_moves_the_object_to_the_other_bucket() -> None:
    of_pair: dict[str, Any] = {"pair": "p", "found": "SHA256:bad"}
    events = [event(OPENED, 0, **of_pair), event(DIAGNOSED, 0, **of_pair, diagnosis="replica_damaged")]
    events += [event(REPAIRED, 1, pair="p"), event(VERIFIED, 2)]
    turn = event(
        DIAGNOSED, 3, pair="p", bucket="a", diagnosis="source_damaged", found="SHA256:x", expected="y"
    )
    (incident,) = fold([*events, turn])
    (found,) = incident.objects
    assert (found.bucket, found.diagnosis, found.found, found.expected) == (
        "a",
        "source_damaged",
        {"SHA256:x"},
        "y",
    )
    assert (found.state, found.right_since) == ("open", None)
    other = event(OPENED, 4, incident="z", found="SHA256:z")  # of the bucket that it was in
    assert [(each.id, each.buckets) for each in fold([*events, turn, other])] == [("x", ["a"]), ("z", ["b"])]


def test_a_diagnosis_turns_nothing_round_where_several_objects_may_be_meant() -> None:
    events = [
        event(kind, 0, pair="p", version_id=version, diagnosis="replica_damaged")
        for version in ("v1", "v2")
        for kind in (OPENED, DIAGNOSED)
    ]
    turn = event(DIAGNOSED, 1, pair="p", bucket="a", diagnosis="source_damaged", version_id="v3")
    assert [each.bucket for each in fold([*events, turn])[0].objects] == ["b", "b"]
    turned = fold([*events, Event(**(asdict(turn) | {"version_id": "v2"}))])[0].objects
    assert [(each.bucket, each.version_id) for each in turned] == [("b", "v1"), ("a", "v2")]


def test_what_a_rotten_file_may_have_opened_is_open_until_a_person_ends_the_incident_after_it() -> None:
    lost = rotten(event(OPENED, 1))
    assert states([], lost) == {"x": "open"}
    assert states([by_person(CLOSED, 0)], lost) == {"x": "open"}
    assert states([event(OPENED, 0), event(REPAIRED, 2), event(VERIFIED, 3), event(CLOSED, 4)], lost) == {
        "x": "open"
    }
    assert states([by_person(CLOSED, 2)], lost) == {"x": "closed"}
    (incident,) = fold([], [lost])
    assert incident.concerns("any", [])


def test_damage_that_a_state_covers_is_no_news() -> None:
    def accepted(events: list[Event], found: str | None, minutes: int, now: int = 100) -> bool:
        (incident,) = fold(events)
        return incident.objects[0].accepts(found, at(minutes), at(now))

    opened = event(OPENED, 0, found="SHA256:aa")
    assert accepted([opened], "SHA256:aa", 9) and not accepted([opened], "SHA256:bb", 9)
    right = [opened, event(VERIFIED, 5)]
    assert accepted(right, "SHA256:aa", 4) and not accepted(right, "SHA256:aa", 6)
    dismissed = [opened, by_person(DISMISSED, 5)]
    assert accepted(dismissed, "SHA256:aa", 9) and not accepted(dismissed, "SHA256:bb", 9)
    closed = [opened, by_person(CLOSED, 5)]
    assert accepted(closed, "SHA256:aa", 4) and not accepted(closed, "SHA256:aa", 6)
    far = 60 * 24 * 365  # closed by a clock that is a year ahead
    assert not accepted([opened, by_person(CLOSED, far)], "SHA256:aa", 6)
    repaired = [opened, event(REPAIRED, 5)]
    assert accepted(repaired, "SHA256:aa", 4) and not accepted(repaired, "SHA256:aa", 6)
    of_version = [event(kind, minutes, version_id="v1", found="SHA256:aa") for kind, minutes in
                  ((OPENED, 0), (REPAIRED, 1), (VERIFIED, 2), (CLOSED, 3))]  # fmt: skip
    for known in (of_version[:2], of_version):  # the bad version stays under the good one
        assert accepted(known, "SHA256:aa", 9) and not accepted(known, "SHA256:bb", 9)
    by_hand = [of_version[0], event(VERIFIED, 1, version_id="v1"), by_person(CLOSED, 2)]
    assert not accepted(by_hand, "SHA256:aa", 9)
