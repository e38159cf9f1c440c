"""From object events to runs over just these objects: which bucket they are in, once for each message."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import dagster as dg

from fixity.catalog import Catalog
from fixity.lake import Lake
from fixity.ledger.inventory import Wanted
from fixity.ledger.selection import below_prefix, keep_selection
from jobs.names import INGEST_SELECTED_JOB, SELECTION
from resources.queues import Message
from sensors.events import Event, ObjectEvent, ObjectEventKind
from sensors.messages import Inbox

EVENTS = "fixity/events"
"""The tag of runs over objects that events named: `new` or `restored`."""


@dataclass
class EventBatch:
    """The objects that one tick's messages name, by bucket of the catalog; `bodies` make the run key."""

    objects: dict[str, list[Wanted]] = field(default_factory=dict)
    bodies: set[str] = field(default_factory=set)

    def requests(self, lake: Lake, purpose: Literal["new", "restored"]) -> list[dg.RunRequest]:
        """A run for each bucket. A message that is delivered twice starts one run.

        Raises LakeError.
        """
        message = hashlib.sha256("\n".join(sorted(self.bodies)).encode(errors="surrogatepass")).hexdigest()[
            :40
        ]
        return [
            dg.RunRequest(
                run_key=f"{purpose}:{bucket}:{message}",
                job_name=INGEST_SELECTED_JOB,
                partition_key=bucket,
                tags={SELECTION: keep_selection(lake, bucket, wanted), EVENTS: purpose},
            )
            for bucket, wanted in self.objects.items()
        ]


def take_batch(
    catalog: Catalog,
    inbox: Inbox,
    kind: ObjectEventKind,
    wanted: Callable[[str], bool] = lambda bucket: True,
) -> EventBatch:
    """The objects that the events of one kind name, among a tick's messages.

    Arguments: `wanted`, of which buckets of the catalog; the inbox logs what is left out, and why.
    """
    batch = EventBatch()

    def add(event: Event, message: Message) -> bool:
        if (
            isinstance(event, ObjectEvent)
            and event.kind == kind
            and _add(catalog, batch, event, inbox.log, wanted)
        ):
            batch.bodies.add(message.body)
        return True

    inbox.each_event(add)
    return batch


def _add(
    catalog: Catalog,
    batch: EventBatch,
    event: ObjectEvent,
    log: Callable[[str], object],
    wanted: Callable[[str], bool],
) -> bool:
    found = left = False
    for bucket in catalog.buckets.values():
        if bucket.is_local or bucket.real_name != event.bucket:
            continue
        key = below_prefix(bucket, event.key)
        if key is not None and not wanted(bucket.name):
            log(f"{event.key} of {event.bucket}: events do not start runs for {bucket.name}, skipped")
            left = True
        elif key is not None:
            version = event.version_id if bucket.versions == "all" else None
            batch.objects.setdefault(bucket.name, []).append((key, version))
            found = True
    if not found and not left:
        log(f"{event.key} of {event.bucket} is in no bucket of the catalog")
    return found
