"""The status as metrics for Prometheus: a group of numbers for each bucket and pair, and for the log.

All stands in the lake; no object is read and nothing is counted anew. A number that is not known has no
sample. What the status says does not belong here; that is in `fixity.status`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fixity.status import STATES, LogStatus, Status, StatusRow

_WAITING = ("due", "never", "overdue", "failing", "pending", "not_checked")
_OF_ROWS: dict[str, tuple[str, Callable[[StatusRow], float | None]]] = {
    "fixity_objects": (
        "Objects that were listed in a bucket, or compared in a pair.",
        lambda row: row.counts.get("total_objects", row.counts.get("objects")),
    ),
    "fixity_bytes": ("Bytes of the objects that were listed.", lambda row: row.counts.get("bytes")),
    "fixity_read_bytes": ("Bytes that the newest run read.", lambda row: row.counts.get("bytes_read")),
    "fixity_coverage_ratio": (
        "Which part of the objects was checked within the term, from 0 to 1.",
        lambda row: row.coverage,
    ),
    "fixity_checked_timestamp_seconds": (
        "When the newest result was made.",
        lambda row: _time(row.checked_at),
    ),
    "fixity_oldest_evidence_timestamp_seconds": (
        "The time of the oldest check that the row rests on.",
        lambda row: _time(row.oldest_evidence),
    ),
    "fixity_open_incidents": ("Incidents that are open.", lambda row: len(row.open_incidents)),
    "fixity_red_checks": ("Checks that are red.", lambda row: len(row.red)),
    "fixity_warning_checks": ("Checks that warn.", lambda row: len(row.warnings)),
}
_OF_LOG = {
    "fixity_log_sealed_timestamp_seconds": "When the log was last sealed.",
    "fixity_log_stamped_timestamp_seconds": "The time of the newest time stamp from outside.",
    "fixity_log_copied_timestamp_seconds": "When a seal was last copied to the witness.",
    "fixity_log_waiting_files": "Files that were not sealed then.",
}
_Samples = Iterable[tuple[list[str], float]]


def metrics_text(status: Status, runs: Mapping[str, int] | None = None) -> str:
    """The metrics in Prometheus's text format. Arguments: `runs` of Dagster, by their status, if known."""
    return generate_latest(_registry(status, runs)).decode()


def write_metrics(file: Path, status: Status, runs: Mapping[str, int] | None = None) -> None:
    """Write the metrics to a file, which appears whole. Arguments: as `metrics_text`. Raises OSError."""
    write_to_textfile(str(file), _registry(status, runs))


def _registry(status: Status, runs: Mapping[str, int] | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Gauges([*_of_status(status), *_of_log(status.log), *_of_runs(runs)]))
    return registry


class _Gauges(Collector):
    def __init__(self, gauges: list[Metric]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        return self._gauges


def _gauge(name: str, about: str, labels: list[str], samples: _Samples) -> Iterator[Metric]:
    found = list(samples)
    if found:
        gauge = GaugeMetricFamily(name, about, labels=labels)
        for values, number in found:
            gauge.add_metric(values, number)
        yield gauge


def _of_status(status: Status) -> Iterator[Metric]:
    rows = status.rows
    of_row = ["kind", "name"]
    states = [([row.kind, row.name, state], row.state == state) for row in rows for state in STATES]
    yield from _gauge("fixity_state", "1 for the state that it has.", [*of_row, "state"], states)
    for name, (about, value_of) in _OF_ROWS.items():
        values = ((row, value_of(row)) for row in rows)
        samples = [([row.kind, row.name], value) for row, value in values if value is not None]
        yield from _gauge(name, about, of_row, samples)
    waiting = [
        ([row.kind, row.name, reason], row.counts[reason])
        for row in rows
        for reason in _WAITING
        if reason in row.counts
    ]
    yield from _gauge("fixity_waiting_objects", "Objects to be checked.", [*of_row, "reason"], waiting)
    found: _Samples = [([], len(status.platform))]
    yield from _gauge("fixity_platform_problems", "What is wrong with the platform itself.", [], found)
    made: _Samples = [([], status.at.timestamp())]
    yield from _gauge("fixity_made_timestamp_seconds", "When these metrics were made.", [], made)


def _of_log(log: LogStatus | None) -> Iterator[Metric]:
    if log is None:
        return
    values = (_time(log.sealed_at), _time(log.stamped_at), _time(log.copied_at), log.waiting)
    for (name, about), value in zip(_OF_LOG.items(), values, strict=True):
        yield from _gauge(name, about, [], [] if value is None else [([], value)])
    states = [([state], log.state == state) for state in STATES]
    yield from _gauge("fixity_log_state", "1 for the state that the log has.", ["state"], states)


def _of_runs(runs: Mapping[str, int] | None) -> Iterator[Metric]:
    samples = [([status], count) for status, count in (runs or {}).items()]
    yield from _gauge("fixity_runs", "Runs of Dagster that have not ended.", ["status"], samples)


def _time(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
