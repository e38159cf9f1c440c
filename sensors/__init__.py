"""Sensors: what starts runs without a person. One module a sensor; what a run does does not belong here."""

from __future__ import annotations

import dagster as dg

from fixity.catalog import Catalog
from sensors.alerts import alerts_sensor
from sensors.batch_completion import batch_completion_sensor
from sensors.batch_reconciliation import batch_reconciliation_sensor
from sensors.both_sides import both_sides_sensor
from sensors.due_by_policy import due_by_policy_sensors
from sensors.event_reconciliation import event_reconciliation_sensor
from sensors.failed_runs import failed_runs_sensor
from sensors.fixity_status import fixity_status_sensor
from sensors.new_objects import new_objects_sensor
from sensors.provided_lists import provided_lists_sensor
from sensors.restore_completion import restore_completion_sensor
from sensors.results_manifest import map_results_sensors


def all_sensors(catalog: Catalog) -> list[dg.SensorDefinition]:
    """The sensors that a catalog needs."""
    queues = catalog.queues
    sensors = [failed_runs_sensor(), fixity_status_sensor(), alerts_sensor(catalog)]
    if catalog.pairs:
        sensors.append(both_sides_sensor(catalog))
    if any(bucket.has_lists for bucket in catalog.buckets.values()):
        sensors.append(provided_lists_sensor(catalog))
    if catalog.checked_by_s3 or catalog.copied_by_s3:
        sensors.append(batch_reconciliation_sensor(catalog))
        if queues.batch_completion:
            sensors.append(batch_completion_sensor(catalog, queues.batch_completion))
    if catalog.restoring:
        sensors.append(restore_completion_sensor(catalog))
    if queues.new_objects:
        sensors.append(new_objects_sensor(catalog, queues.new_objects))
    if queues.new_objects or queues.restore_completion:
        sensors.append(event_reconciliation_sensor(catalog))
    return [*sensors, *due_by_policy_sensors(catalog), *map_results_sensors(catalog)]
