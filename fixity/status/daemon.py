"""What the daemon keeps beside results: when it last ticked, and which targets of alerts are down.

Sending alerts does not belong here; that is in `fixity.alerts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from fixity.catalog import Catalog
from fixity.lake import Lake
from fixity.lake.paths import ALERTS_FILE, DAEMON_FILE
from fixity.lake.proof import unsealed

SILENT_AFTER = timedelta(minutes=20)
"""How long the daemon may be silent: it says every five minutes that it ticks."""


@dataclass(frozen=True)
class _Target:
    down_since: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class _Alerts:
    targets: Mapping[str, _Target] = field(default_factory=dict)
    heartbeat: _Target = _Target()


def daemon_notes(lake: Lake, catalog: Catalog, now: datetime) -> Iterator[str]:
    """What is to be said of the daemon and the targets of alerts, at a time (UTC). Raises LakeError."""
    alerts = catalog.alerts
    if alerts is not None:
        told = TypeAdapter(_Alerts).validate_python(_values(lake, ALERTS_FILE))
        down = {f"the target of alerts {name}": told.targets.get(name, _Target()) for name in alerts.targets}
        if alerts.heartbeat is not None:
            down["the URL of the heartbeat"] = told.heartbeat
        for name, target in down.items():
            if target.down_since is not None:
                yield f"{name} is down since {_time(target.down_since)}: {target.why}. It is tried again"
    if alerts is None and not any(bucket.fixity_every for bucket in catalog.buckets.values()):
        return  # nobody needs the daemon
    ticked = _values(lake, DAEMON_FILE).get("ticked_at")
    if ticked is None and alerts is not None:
        yield "no daemon has ticked yet, so no alert is sent: start it (fixity dev)"
    if ticked is not None and abs(now - (at := datetime.fromisoformat(ticked))) > SILENT_AFTER:
        yield f"the daemon has not ticked since {_time(at)}: start it (fixity dev)"


def _values(lake: Lake, name: str) -> Mapping[str, str]:
    seen = lake.see(name)
    try:
        return unsealed(seen.text) if seen else {}
    except ValueError:
        return {}  # the next tick writes it anew


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
