"""Decides what each target is told now, from what was told before and what is wrong now.

Nothing here reads a lake, a clock or the network: `noticed` takes note of what is new, `due` says what to
send, `delivered` and `failed` note whether it was. What is noted for a target stays until it was delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fixity.catalog import Alerts, What

INTERVAL = timedelta(hours=1)
"""How long after a message a target gets no other one."""
MOST_WAITING = 500
"""How many alerts wait for a target; of older ones only the number is kept."""


@dataclass(frozen=True)
class Wrong:
    """Something that is wrong now.

    subject: what it is about; the same while it is wrong. key: another one each time that it becomes wrong.
    opened, over: what a target must want to know, to be told that it is wrong, and that it no longer is. row:
    the kind and the name of its row of the status, or ('', '').
    """

    subject: str
    key: str
    opened: What
    over: What
    text: str
    row: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Known:
    """What was noticed of a `Wrong` while it lasts."""

    key: str
    over: What
    row: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Alert:
    """One thing to say. key: always the same for the same thing, so that a receiver knows a repetition."""

    key: str
    what: What
    text: str


@dataclass(frozen=True)
class Target:
    """What a target waits for, when it was last told something (UTC), and since when it is down, and why.

    left_out: how many older alerts waited too, and are no longer kept.
    """

    waiting: tuple[Alert, ...] = ()
    left_out: int = 0
    sent_at: datetime | None = None
    digest_at: datetime | None = None
    down_since: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class State:
    """What was noticed and told until now. looked_at: when somebody last looked (UTC)."""

    known: Mapping[str, Known] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    heartbeat: Target = Target()
    looked_at: datetime | None = None


@dataclass(frozen=True)
class Message:
    """What to send to a target now: these alerts, the number of older ones, and whether the digest too."""

    alerts: tuple[Alert, ...]
    left_out: int
    has_digest: bool


def noticed(
    state: State,
    rules: Alerts,
    wrong: Iterable[Wrong],
    over: Callable[[str, Known], str | None],
    passed: Iterable[Alert] = (),
) -> State:
    """The state after a look at what is wrong now.

    Arguments: `over` says of something that is no longer wrong what to tell; None tells nothing. `passed` are
    alerts about what came and went since the last look.
    """
    now = {each.subject: each for each in wrong}
    before = state.known
    alerts = [
        Alert(f"{known.key} over", known.over, text)
        for subject, known in before.items()
        if subject not in now and (text := over(subject, known)) is not None
    ]
    alerts += [
        Alert(each.key, each.opened, each.text)
        for subject, each in now.items()
        if subject not in before or before[subject].key != each.key
    ]
    alerts += passed
    targets = {}
    for name, target in rules.targets.items():
        was = state.targets.get(name, Target())
        waiting = {each.key: each for each in (*was.waiting, *(a for a in alerts if a.what in target.what))}
        kept = tuple(waiting.values())[-MOST_WAITING:]
        targets[name] = replace(was, waiting=kept, left_out=was.left_out + len(waiting) - len(kept))
    known = {subject: Known(each.key, each.over, each.row) for subject, each in now.items()}
    return replace(state, known=known, targets=targets)


def due(state: State, rules: Alerts, name: str, now: datetime) -> Message | None:
    """What to send to a target at a time (UTC); None for nothing."""
    target = state.targets[name]
    if rules.is_quiet(now):
        return None
    if target.sent_at is not None and timedelta(0) <= now - target.sent_at < INTERVAL:
        return None
    has_digest = "daily_digest" in rules.targets[name].what and rules.digest_is_due(target.digest_at, now)
    if not (target.waiting or target.left_out or has_digest):
        return None
    return Message(target.waiting, target.left_out, has_digest)


def delivered(state: State, name: str, message: Message, now: datetime) -> State:
    """The state after a target got a message."""
    was = state.targets[name]
    keys = {each.key for each in message.alerts}
    target = replace(
        was,
        waiting=tuple(each for each in was.waiting if each.key not in keys),
        left_out=was.left_out - message.left_out,
        sent_at=now,
        digest_at=now if message.has_digest else was.digest_at,
        down_since=None,
        why="",
    )
    return replace(state, targets={**state.targets, name: target})


def failed(state: State, name: str, why: str, now: datetime) -> State:
    """The state after a target could not be reached; what it waits for stays."""
    target = down(state.targets[name], why, now)
    return replace(state, targets={**state.targets, name: target})


def down(target: Target, why: str, now: datetime) -> Target:
    """A target that could not be reached; with '' as `why`, one that could."""
    return replace(target, down_since=(target.down_since or now) if why else None, why=why)
