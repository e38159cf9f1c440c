"""Who keeps evidence in the lake is noted in Dagster's event log, and the sealer of the log asks there.

Whoever forges a file of the lake, and its record, would have to forge Dagster's event log as well. A note is
an observation of the asset `log`, made before the file is put. Sealing does not belong here; that is in
`fixity.log`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from fixity.catalog import Catalog
from fixity.lake import Lake
from fixity.lake.proof import Proof
from fixity.log.chain import Head
from fixity.log.records import Kept, Run, catalog_file, sha256_of
from fixity.tables import this_software

_LOG_ASSET = dg.AssetKey("log")
_PAGE = 1000  # events asked for at a time
_WHO = (
    "user",
    "dagster/schedule_name",
    "dagster/sensor_name",
    "dagster/backfill",
    "dagster/auto_materialize",
)


@dataclass
class EventLogKeeper:
    """A run, or a command, that keeps evidence: the `keeper` of a lake.

    Arguments: `note_down`, writes an observation into the event log; `who`, a person with the command, where
    no run of Dagster keeps it.
    """

    lake: Lake
    catalog: Catalog
    note_down: Callable[[dg.AssetObservation], None]
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    who: str = ""

    def note(self, proof: Proof) -> None:
        """Note a file that is going to be put. Raises LakeError."""
        metadata: dict[str, str | int] = {
            "file": proof.name,
            "sha256": proof.sha256,
            "bytes": proof.size,
            "run_id": self.run_id,
            "software": this_software(),
            "catalog": self._catalog,
            **({"who": self.who} if self.who else {}),
        }
        self.note_down(dg.AssetObservation(_LOG_ASSET, metadata=metadata))

    @cached_property
    def _catalog(self) -> str:
        """The SHA-256 of the catalog in force, which is kept, too."""
        text = self.catalog.file.read_bytes()
        sha256 = sha256_of(text)
        self.lake.put_if(catalog_file(sha256), text.decode(), None)
        return sha256


def keeper_of_step(lake: Lake, catalog: Catalog) -> EventLogKeeper | None:
    """The step that runs now as a keeper; None outside of one, as in a sensor, which keeps no evidence."""
    try:
        context = dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None
    return EventLogKeeper(lake, catalog, context.log_event, context.run.run_id)


def keeper_of_command(lake: Lake, catalog: Catalog, instance: dg.DagsterInstance, who: str) -> EventLogKeeper:
    """A command that keeps evidence without a run. Arguments: `who`, the person and the command."""
    return EventLogKeeper(lake, catalog, instance.report_runless_asset_event, who=who)


@dataclass
class EventLog:
    """What the event log knows of who kept what. It is a `fixity.log.records.Trust` when it is called."""

    instance: dg.DagsterInstance
    _runs: dict[str, dg.RunRecord | None] = field(default_factory=dict)

    def __call__(self, asked: Sequence[Kept]) -> Mapping[Kept, Run]:
        """See Trust. The newest events are read first, and no more than are needed."""
        wanted, found = set(asked), dict[Kept, Run]()
        cursor = None
        while wanted - found.keys():
            page = self.instance.fetch_observations(_LOG_ASSET, _PAGE, cursor)
            for record in page.records:
                observation = record.asset_observation
                said = (
                    {name: value.value for name, value in observation.metadata.items()} if observation else {}
                )
                kept = (str(said.get("file")), str(said.get("sha256")))
                if kept in wanted and kept not in found:
                    found[kept] = self._run(record, said)
            if not page.has_more:
                break
            cursor = page.cursor
        return found

    def _run(self, record: dg.EventLogRecord, said: Mapping[str, object]) -> Run:
        software, catalog = str(said.get("software", "")), str(said.get("catalog", ""))
        noted = datetime.fromtimestamp(record.timestamp, UTC).isoformat()
        run = self._known(record.run_id)
        if run is None:  # a command, or a run that was deleted from Dagster
            who = str(said.get("who", "a run that Dagster does not have any more"))
            return Run(str(said.get("run_id")), "", who, None, _day_of(noted), "noted", software, catalog)
        of, tags = run.dagster_run, run.dagster_run.tags
        who = next((f"{name}: {tags[name]}" for name in _WHO if name in tags), "a person")
        ended = of.status in (
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.FAILURE,
            dg.DagsterRunStatus.CANCELED,
        )
        return Run(
            of.run_id,
            of.job_name,
            who,
            _time(run.start_time),
            _time(run.end_time or record.timestamp) if ended else None,
            of.status.value,
            software,
            catalog,
        )

    def _known(self, run_id: str) -> dg.RunRecord | None:
        if run_id not in self._runs:
            self._runs[run_id] = self.instance.get_run_record_by_id(run_id) if run_id else None
        return self._runs[run_id]


def _day_of(time: str) -> str:
    """Of all notes of one command, the same."""
    return time[:10]


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def heads_in(instance: dg.DagsterInstance) -> list[Head]:
    """The newest seal that the asset `log` told of: the lake must have it still."""
    event = instance.get_latest_materialization_event(_LOG_ASSET)
    materialization = event.asset_materialization if event else None
    said = {name: value.value for name, value in materialization.metadata.items()} if materialization else {}
    number, sha256 = said.get("seals"), said.get("sha256")
    if not isinstance(number, int) or not isinstance(sha256, str):
        return []
    return [Head(number, sha256, "Dagster's event log")]
