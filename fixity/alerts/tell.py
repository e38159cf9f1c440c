"""Looks once at what is wrong, tells the targets, and keeps in the lake what was told: `status/alerts.json`.

The state is put after each message, so that a process that is killed repeats one message at most. It stands
in the lake, not in a cursor of Dagster: a daemon that was set up anew says nothing twice. Of two who tell at
once, one goes on. If the state is lost, all that is wrong now is told again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from fixity.alerts.plan import State, delivered, down, due, failed, noticed
from fixity.alerts.words import title_and_body
from fixity.alerts.wrong import IsFinal, over_now, passed_since, wrong_now
from fixity.catalog import Alerts, Catalog
from fixity.incidents.state import incidents_now
from fixity.lake import Lake
from fixity.lake.base import Seen
from fixity.lake.paths import ALERTS_FILE, DAEMON_FILE
from fixity.lake.proof import sealed, unsealed
from fixity.status import status_of

_STATE = TypeAdapter(State)
_AT_ONCE = 16  # targets

Send = Callable[[str, str, str], str]
"""Sends a message: the variable, a title, a text. Returns why not, or ''."""


@dataclass(frozen=True)
class Told:
    """What became of one look: targets that got a message, and targets that are down, each with its reason.

    on_time: whether batches and coverage are on time, and no target is down.
    """

    sent: tuple[str, ...]
    down: dict[str, str]
    on_time: bool


def note_tick(lake: Lake, now: datetime) -> None:
    """Keep that the daemon ticks. Raises LakeError."""
    lake.put_text(DAEMON_FILE, sealed({"ticked_at": now.isoformat()}), replace=True)


def tell(lake: Lake, catalog: Catalog, now: datetime, send: Send, is_final: IsFinal = lambda _: True) -> Told:
    """Tell the targets what they were not told yet, at a time (UTC).

    Raises LakeError. A target that cannot be reached is tried again the next time; the others are told.
    """
    rules = catalog.alerts
    assert rules is not None
    seen = lake.see(ALERTS_FILE)
    before = _state(seen)
    status, incidents = status_of(lake, catalog, now), incidents_now(lake)
    wrong = wrong_now(status, incidents, catalog, is_final)
    passed = passed_since(incidents, before.looked_at, before.known)
    state = replace(noticed(before, rules, wrong, over_now(status, incidents), passed), looked_at=now)
    keeping = _Keeping(lake, seen)
    sent: list[str] = []
    if not keeping.put(state):
        return Told((), {}, False)
    messages = {name: message for name in rules.targets if (message := due(state, rules, name, now))}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tried = {
            pool.submit(send, rules.targets[name].url_from, *title_and_body(message, status)): name
            for name, message in messages.items()
        }
        for future in as_completed(tried):
            name, why = tried[future], future.result()
            state = failed(state, name, why, now) if why else delivered(state, name, messages[name], now)
            keeping.put(state)
            sent += [] if why else [name]
    is_down = {name: target.why for name, target in state.targets.items() if target.down_since}
    silent = any(each.opened == "silence" for each in wrong)
    return Told(tuple(sent), is_down, not (silent or is_down))


def note_heartbeat(lake: Lake, why: str, now: datetime) -> None:
    """Keep why the heartbeat's URL could not be asked; '' if it was. Raises LakeError."""
    seen = lake.see(ALERTS_FILE)
    state = _state(seen)
    after = replace(state, heartbeat=down(state.heartbeat, why, now))
    if after != state:
        _Keeping(lake, seen).put(after)


def targets_of(lake: Lake, rules: Alerts) -> State:
    """What was told until now, with all targets of the catalog. Raises LakeError."""
    return noticed(_state(lake.see(ALERTS_FILE)), rules, (), lambda *_: None)


def _state(seen: Seen | None) -> State:
    try:
        return State() if seen is None else _STATE.validate_python(unsealed(seen.text))
    except ValueError:
        return State()


class _Keeping:
    """Puts the state until somebody else does."""

    def __init__(self, lake: Lake, seen: Seen | None) -> None:
        self._lake, self._seen = lake, seen
        self._is_ours = True

    def put(self, state: State) -> bool:
        """Put a state; returns whether it was put."""
        text = sealed(_STATE.dump_python(state, mode="json"))
        self._is_ours = self._is_ours and self._lake.put_if(ALERTS_FILE, text, self._seen)
        self._seen = self._lake.see(ALERTS_FILE)
        return self._is_ours
