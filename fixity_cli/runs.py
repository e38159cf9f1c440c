"""Runs of the platform's jobs inside this process, recorded in the instance, so that the UI shows them."""

from __future__ import annotations

import gc
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fixity.catalog import Catalog
from fixity.errors import plain_words
from fixity.lake import open_lake
from fixity_assets.definitions import build_definitions
from fixity_cli.instance import prepare_home, runs_belong_to_the_location
from fixity_cli.interrupts import interrupts
from fixity_cli.lines import ProgressLines
from fixity_cli.output import output
from fixity_cli.run_process import PROCESS_TAG, executing, process_file
from fixity_cli.storage import keep_open, opened_at_once, remember_materializations
from fixity_cli.turns import wait_for_turn
from fixity_cli.user import user_name
from jobs import names
from jobs.runs import failure_text, is_wrong_usage
from resources import ProgressResource

_NO_COMPUTE_LOGS = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
_COLLECTIONS = (50_000, 10, 10)  # a run makes many objects that stay: of 10,000 it looks through each in vain
_OVER = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED)
_PARTS_ARE_KEPT = (
    "what was read of {partition} is kept in parts of 2,000 objects or 4 GiB; to read the rest, type the "
    "command again, or re-execute the run {run_id} from failure in the UI (fixity dev)"
)
_FINISHED = "what was finished is kept; to go on, type the command again"
_FINISHED_OF = "what was finished of {partitions} is kept; to go on, type the command again"
_KEPT = {
    names.INVENTORY_JOB: "nothing was changed; to list {partition}, type the command again",
    names.CHECKSUMS_JOB: _PARTS_ARE_KEPT,
    names.INGEST_BUCKET_JOB: _PARTS_ARE_KEPT,
    names.INGEST_SELECTED_JOB: _PARTS_ARE_KEPT,
    names.REPORT_JOB: "the checks of both buckets are as they were; to compare them, type fixity report "
    "{partition}",
    names.ROLL_JOB: "the checks that were made of {partition} are kept; to go on, type the command again",
    names.REQUEST_JOB: "requests that were made are kept (see fixity jobs); to go on, type the command again",
    names.REPAIR_JOB: "copies that were repaired are kept; to go on, type the command again",
    names.DRILL_JOB: "a drill that was not begun in full is none; to begin one, type the command again",
    names.RESTORE_JOB: "restores that were requested go on; to request the others, type the command again",
}
"""What is kept of a run that was interrupted or failed, and how to go on, by its job."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    metadata: of each asset that it materialized or observed. failed_checks: the red ones, with their reasons.
    errors: for people, when it failed. wrong_usage: whether the user must change the catalog or the request.
    kept: what is kept of it where it failed, and how to go on. damaged: the first of the damaged objects.
    """

    run_id: str
    success: bool
    metadata: dict[str, dict[str, Any]]
    failed_checks: list[str]
    errors: list[str]
    wrong_usage: bool
    kept: str
    damaged: list[dict[str, Any]]


class Runner:
    """Runs jobs of one catalog on one instance."""

    def __init__(
        self,
        catalog: Catalog,
        progress: ProgressResource,
        instance: dg.DagsterInstance,
        log_level: str = "CRITICAL",
    ) -> None:
        self._catalog = catalog
        self._progress = progress
        self._definitions: dict[str, dg.Definitions] = {}  # what each job needs
        self._instance = instance
        self._log_level = log_level
        self._starting = threading.Lock()
        self._going_on: dict[str, tuple[str, str]] = {}  # job and partition of each run

    def run(
        self,
        job: str,
        partition: str | None,
        config: dict[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run a job, for a partition if it has any, and wait for its end. `config`: of its assets, as Dagster
        writes it.

        It starts when no other run on the partition is in progress. What is odd about a bucket's listing, and
        how many checks are of interrupted runs, is printed on stderr.
        """
        of = partition or job
        if partition is not None:
            wait_for_turn(self._instance, partition, output.note)
        run_id = str(uuid.uuid4())
        file = process_file(self._instance.root_directory, run_id)
        with self._starting:
            definition = self._definitions_of(job).resolve_job_def(job)
            self._going_on[run_id] = job, of
            output.interrupted = self._kept()
        with executing(file), self._canceled_when_interrupted(run_id, of):
            result = definition.execute_in_process(
                instance=self._instance,
                partition_key=partition,
                # A person typed the command, and types it again: no daemon goes on with it by itself.
                tags={
                    **(tags or {}),
                    PROCESS_TAG: str(file),
                    "dagster/max_retries": "0",
                    "user": user_name(),
                },
                raise_on_error=False,
                run_config={
                    **(config or {}),
                    "loggers": {"console": {"config": {"log_level": self._log_level}}},
                },
                run_id=run_id,
            )
        with self._starting:
            del self._going_on[run_id]
            output.interrupted = self._kept()
        if not result.success:
            self._keep_failure(run_id)
        output.add("runs", job=job, partition=partition, run_id=run_id, success=result.success)
        failures = result.filter_events(lambda event: event.is_step_failure)
        metadata = _metadata(result)
        for note in metadata.get("inventory", {}).get("notes", ()):
            output.warn(f"{of}: {note}")
        for evaluation in result.get_asset_check_evaluations():
            # Of a pair, the report says each count.
            is_of_bucket = evaluation.asset_key.to_user_string() == "checksums"
            if is_of_bucket and not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.WARN:
                output.warn(_check_text(evaluation, of))
        if taken := metadata.get("checksums", {}).get(names.TAKEN_OVER):
            output.note(f"{of}: {taken:,} objects were checked by interrupted runs; those checks count")
        return Ended(
            run_id=result.run_id,
            success=result.success,
            metadata=metadata,
            failed_checks=[
                _check_text(evaluation, of)
                for evaluation in result.get_asset_check_evaluations()
                if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR
            ],
            errors=[failure_text(event) for event in failures],
            wrong_usage=any(map(is_wrong_usage, failures)),
            kept=_kept_of(job, of, run_id),
            damaged=_damaged(result),
        )

    def _definitions_of(self, job: str) -> dg.Definitions:
        if job not in self._definitions:
            self._definitions[job] = build_definitions(
                self._catalog, {"progress": self._progress}, "in_process", job
            )
            gc.freeze()  # what is loaded stays: Python need not look through it for garbage
            gc.set_threshold(*_COLLECTIONS)
        return self._definitions[job]

    def _kept(self) -> str:
        """What is kept if the command is interrupted now, and how to go on."""
        if len(self._going_on) > 1:
            runs = sorted({partition for _, partition in self._going_on.values()})
            return _FINISHED_OF.format(partitions=", ".join(runs))
        for run_id, (job, partition) in self._going_on.items():
            return _kept_of(job, partition, run_id)
        return _FINISHED

    def _keep_failure(self, run_id: str) -> None:
        """Keep for the status that a run failed. Where the lake cannot be written, the run says so too."""
        from sensors.failed_runs import (
            keep_failed_run,
        )  # with all sensors, which a run that succeeds needs not

        try:
            record = self._instance.get_run_record_by_id(run_id)
            assert record is not None  # it has just run
            keep_failed_run(self._instance, record, open_lake(self._catalog))
        except Exception as error:
            if not (text := plain_words(error)):
                raise
            output.warn(f"fixity status does not know that this run failed: {text}")

    @contextmanager
    def _canceled_when_interrupted(self, run_id: str, partition: str) -> Iterator[None]:
        """Cancel a run at Ctrl-C and SIGTERM, and say what it waits for. Raises KeyboardInterrupt.

        Dagster would retry the interrupted step, or call the run failed.
        """
        canceling = threading.RLock()  # its event comes back to `look`
        own = threading.current_thread()

        def cancel() -> None:
            with canceling:
                run = self._instance.get_run_by_id(run_id)
                if run is not None and run.status not in _OVER:
                    self._instance.report_run_canceled(run, "The command was interrupted.")

        def look(entry: dg.EventLogEntry) -> None:
            event = entry.dagster_event
            if event is not None and event.is_step_up_for_retry:
                output.note(f"{partition}: {_retry(event)}")
            if interrupts.received and threading.current_thread() is own:
                cancel()
                raise KeyboardInterrupt

        interrupts.cancel.add(cancel)
        self._instance.add_event_listener(run_id, look)
        try:
            yield
        finally:
            if interrupts.received:
                cancel()
                raise KeyboardInterrupt
            interrupts.cancel.discard(cancel)


def _kept_of(job: str, of: str, run_id: str) -> str:
    """What is kept of a run that did not end well, and how to go on. Arguments: `of`, its partition."""
    return _KEPT.get(job, _FINISHED).format(partition=of, run_id=run_id)


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    said: list[dg.AssetMaterialization | dg.AssetObservation] = [
        event.asset_observation_data.asset_observation
        for event in result.filter_events(lambda event: event.is_asset_observation)
    ]
    said += [
        event.step_materialization_data.materialization for event in result.get_asset_materialization_events()
    ]
    for each in said:
        found[each.asset_key.to_user_string()] = {key: value.value for key, value in each.metadata.items()}
    return found


def _check_text(evaluation: dg.AssetCheckEvaluation, of: str) -> str:
    """A check that is not passed, with its reason. Arguments: `of`, the run's partition."""
    asset = evaluation.asset_key.to_user_string()
    return (
        f"{evaluation.check_name} of {asset}[{evaluation.partition or of}]: "
        f"{evaluation.description or 'see the run'}"
    )


def _damaged(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    tables = [
        evaluation.metadata["objects"]
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == "no_damage"
    ]
    return [
        dict(record.data)
        for table in tables
        if isinstance(table, dg.TableMetadataValue)
        for record in table.records
    ]


def _retry(event: dg.DagsterEvent) -> str:
    """Why a step is tried again, and when."""
    error, seconds = event.step_retry_data.error, event.step_retry_data.seconds_to_wait
    why = (error.cause or error).message.strip().partition(": ")[2] if error else "it failed"
    return f"{why}: tried again in {seconds or 0:.0f} s"


def _progress(pairs: Mapping[str, Sequence[str]]) -> AbstractContextManager[ProgressResource]:
    if output.quiet or not sys.stderr.isatty():
        return nullcontext(ProgressLines())
    from fixity_cli.bar import ProgressBars

    return ProgressBars(pairs).shown()


@contextmanager
def runner(
    catalog: Catalog, verbose: bool, pairs: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Runner]:
    """A runner over the instance, with progress on the terminal for the length of the block.

    Arguments: `pairs`, the buckets of each by its name: they have one bar.
    """
    home = prepare_home(catalog.file)
    # The public way to override a setting. To keep the output of a run, Dagster starts four processes, which
    # Ctrl-C would reach too.
    with opened_at_once():
        instance_of_home = dg.DagsterInstance.local_temp(str(home), {"compute_logs": _NO_COMPUTE_LOGS})
    with instance_of_home as instance, _progress(pairs or {}) as progress:
        keep_open(instance)
        remember_materializations(instance)
        runs_belong_to_the_location(instance)
        # Dagster configures logging anew for each run: that closes the handlers of runs in other threads, and
        # the threads wait for each other for ever.
        handlers = instance.get_yaml_python_handlers()
        instance.get_yaml_python_handlers = lambda: handlers  # type: ignore[method-assign]  # as above
        yield Runner(catalog, progress, instance, "INFO" if verbose else "CRITICAL")
