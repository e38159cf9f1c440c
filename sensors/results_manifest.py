"""Gathers the results of a map run when its manifest appears, once for each manifest.

Every 30 seconds it reads the queue `results_manifest`, if the catalog has one, for S3's `Object Created`
events (from EventBridge, or classic notifications, directly or through SNS). Every 15 minutes it also
lists the manifests of the last two weeks, to find those that no event named. It starts
`gather_map_results` for each new manifest that exists. A failed run is started again after a listing, up
to three runs in all, unless the results were refused.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg
from pydantic import AwareDatetime, TypeAdapter

from fixity.catalog import Catalog, MapResults
from fixity.clock import utc_now
from fixity.engines.step_functions import MapRun, ResultsRefused
from fixity.engines.step_functions.keep import runs_among
from fixity.engines.step_functions.map_run import MANIFEST
from fixity.engines.step_functions.results_bucket import StoredObject
from jobs.names import MAP_RESULTS_ASSET, MAP_RESULTS_JOB, MAP_RUNS, REFUSED
from jobs.runs import UNSUCCESSFUL
from resources import LakeResource, QueuesResource
from resources.map_results import MapResultsResource
from resources.queues import Message
from sensors.cursors import read_cursor
from sensors.events import Event, ObjectEvent
from sensors.messages import Inbox

_LIST_EVERY = timedelta(minutes=15)
_LOOK_BACK = timedelta(days=14)  # as long as SQS can keep a message: what is older is history
_ATTEMPTS = 3  # runs that a manifest gets, where each fails for a passing reason
_RUN_KEY = "dagster/run_key"
_PAGES = 20  # of a listing in one tick: the next one goes on


@dataclass(frozen=True)
class _Cursor:
    """receipts: of messages to delete. listed_at: when the last listing began (UTC). after: the key that
    it goes on from; None where it is done."""

    receipts: list[str] = field(default_factory=list)
    listed_at: AwareDatetime | None = None
    after: str | None = None


def map_results_sensors(
    catalog: Catalog, now: Callable[[], datetime] = utc_now, pages: int = _PAGES
) -> list[dg.SensorDefinition]:
    """The sensor `results_manifest`, where the catalog has `map_results`."""
    if catalog.map_results is None:
        return []
    settings, queue = catalog.map_results, catalog.queues.results_manifest

    @dg.sensor(
        name="results_manifest",
        description=__doc__,
        job_name=MAP_RESULTS_JOB,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def results_manifest(
        context: dg.SensorEvaluationContext,
        map_results: MapResultsResource,
        queues: QueuesResource,
        lake: LakeResource,
    ) -> dg.SensorResult:
        before = read_cursor(context.cursor, _Cursor, _Cursor())
        bucket = map_results.open()
        found: dict[str, tuple[MapRun, StoredObject]] = {}
        receipts: list[str] = []
        if queue is not None:
            inbox = Inbox(queues.open(queue), json.dumps(before.receipts), lake.open(), context.log.info)

            def look(event: Event, _: Message) -> bool:
                run = _announced(settings, event, inbox.log)
                head = bucket.head(run.manifest) if run else None
                if run and head:
                    found[run.manifest] = run, head
                elif run:
                    inbox.log(f"an event names a manifest that does not exist: {run.url}")
                return True

            inbox.each_event(look)
            receipts = json.loads(inbox.cursor)
        listed_at, after = before.listed_at, before.after
        if after is None and (listed_at is None or now() - listed_at >= _LIST_EVERY):
            listed_at, after = now(), ""
        if listed_at is not None and after is not None:
            heads = [head for page in bucket.list(settings.prefix, after, pages) for head in page]
            after = heads[-1].key if len(heads) == pages * 1000 else None
            gathered = context.instance.get_materialized_partitions(dg.AssetKey(MAP_RESULTS_ASSET))
            for run, head in runs_among(settings, heads):
                if head.last_modified >= listed_at - _LOOK_BACK and run.name not in gathered:
                    found.setdefault(run.manifest, (run, head))
        names = {run.name for run, _ in found.values()}
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=_run_key(
                        context.instance, f"{MAP_RESULTS_ASSET}:{run.bucket}/{run.manifest}:{head.etag}"
                    ),
                    partition_key=run.name,
                )
                for run, head in found.values()
            ],
            dynamic_partitions_requests=[MAP_RUNS.build_add_request(sorted(names))] if names else [],
            cursor=TypeAdapter(_Cursor).dump_json(_Cursor(receipts, listed_at, after)).decode(),
            skip_reason=None if found else "no new manifests",
        )

    return [results_manifest]


def _run_key(instance: dg.DagsterInstance, manifest: str) -> str:
    """The key of the run that a manifest needs: a new key only if all earlier runs failed and another
    attempt may succeed."""
    for attempt in range(1, _ATTEMPTS + 1):
        key = manifest if attempt == 1 else f"{manifest}:{attempt}"
        runs = instance.get_runs(dg.RunsFilter(tags={_RUN_KEY: key}))
        if not runs or any(run.status not in UNSUCCESSFUL or REFUSED in run.tags for run in runs):
            break
    return key


def _announced(settings: MapResults, event: Event, log: Callable[[str], object]) -> MapRun | None:
    """The map run whose manifest was created, according to an event."""
    if (
        isinstance(event, ObjectEvent)
        and event.kind == "created"
        and event.bucket == settings.bucket
        and event.key.startswith(settings.prefix)
        and event.key.endswith(MANIFEST)
    ):
        try:
            return MapRun.of(event.bucket, event.key, settings.prefix, settings.results_key)
        except ResultsRefused as refused:
            log(f"ignored: {refused}")
    return None
