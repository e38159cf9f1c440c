"""Writes messages in plain English. What is in them does not belong here."""

from __future__ import annotations

import hashlib

from fixity.alerts.plan import Alert, Message
from fixity.humanize import printable
from fixity.status import VERIFIED, Status
from fixity.status.advice import finding_text

_LONGEST = 3_000  # characters: what chats still take
_LONGEST_ALERT = 800
_ROWS = 10
_ORDER = (
    "incident_opened",
    "check_red",
    "run_failed",
    "silence",
    "coverage",
    "incident_closed",
    "check_green",
)


def title_and_body(message: Message, status: Status) -> tuple[str, str]:
    """A message's title and text."""
    alerts = sorted(message.alerts, key=lambda each: _ORDER.index(each.what))
    lines: list[str] = []
    told = 0
    for each in alerts:
        line = f"{printable(each.text, _LONGEST_ALERT)} [{short_key(each)}]"
        if sum(map(len, lines)) + len(line) > _LONGEST:
            break
        lines += [line, ""]
        told += 1
    more = len(alerts) - told + message.left_out
    lines += [f"… and {more:,} more. To do: fixity status", ""] if more else []
    if message.has_digest:
        lines += _digest(status)
    return _title(message, alerts, status), "\n".join(lines).strip()


def short_key(alert: Alert) -> str:
    """A short form of an alert's key, by which a receiver knows one that is told again."""
    return hashlib.sha256(alert.key.encode(errors="backslashreplace")).hexdigest()[:12]


def _title(message: Message, alerts: list[Alert], status: Status) -> str:
    count = len(alerts) + message.left_out
    if not count:
        return f"fixity: daily digest, {_counts(status)}"
    names = {"incident_opened": "opened", "incident_closed": "ended"}
    parts = [
        f"{number:,} {'incident' if number == 1 else 'incidents'} {text}"
        for what, text in names.items()
        if (number := sum(each.what == what for each in alerts))
    ]
    others = count - sum(each.what in names for each in alerts)
    parts += [f"{others:,} other {'thing' if others == 1 else 'things'}" if parts else _other(others)]
    return f"fixity: {', '.join(part for part in parts if not part.startswith('0 '))}"


def _other(count: int) -> str:
    return "1 thing to know" if count == 1 else f"{count:,} things to know"


def _digest(status: Status) -> list[str]:
    lines = [f"Daily digest: {_counts(status)}."]
    rows = [row for row in status.rows if row.state != VERIFIED]
    for row in rows[:_ROWS]:
        why = next(iter([*(each.text or each.check for each in (*row.red, *row.warnings)), *row.unknown]), "")
        lines.append(f"- {row.kind} {row.name}: {row.state}{f': {printable(why, 150)}' if why else ''}")
    lines += [f"- … and {len(rows) - _ROWS:,} more"] if len(rows) > _ROWS else []
    lines += [f"- {text}" for text in (*map(finding_text, status.platform), *status.notes)]
    incidents = {each for row in status.rows for each in row.open_incidents}
    next_step = "nothing" if status.state == VERIFIED else "fixity status"
    next_step = "fixity incidents" if incidents else next_step
    lines.append(f"Open incidents: {len(incidents):,}. To do: {next_step}")
    return lines


def _counts(status: Status) -> str:
    return ", ".join(f"{len(rows):,} {state}" for state, rows in status.by_state().items() if rows)
