"""Sensors: what wakes the platform. Each module one; how a run does its work does not belong here."""

from __future__ import annotations

import dagster as dg

from fixity.catalog import Catalog
from sensors.batch_completion import batch_completion_sensor
from sensors.batch_reconciliation import batch_reconciliation_sensor
from sensors.both_sides import both_sides_sensor
from sensors.new_objects import new_objects_sensor
from sensors.restore_completion import restore_completion_sensor


def report_sensors(catalog: Catalog) -> list[dg.SensorDefinition]:
    """All sensors of a catalog."""
    return [both_sides_sensor(catalog)] if catalog.pairs else []


def batch_sensors(catalog: Catalog) -> list[dg.SensorDefinition]:
    """The sensors of buckets whose checksums S3 computes."""
    if not catalog.checked_by_s3:
        return []
    queue = catalog.queues.batch_completion
    completion = [batch_completion_sensor(catalog, queue)] if queue else []
    return [*completion, batch_reconciliation_sensor(catalog)]


def ingest_sensors(catalog: Catalog) -> list[dg.SensorDefinition]:
    """The sensors of ingest fixity that a catalog has use for."""
    sensors = []
    if any(bucket.archived == "restore" for bucket in catalog.buckets.values()):
        sensors.append(restore_completion_sensor(catalog))
    if catalog.queues.new_objects is not None:
        sensors.append(new_objects_sensor(catalog, catalog.queues.new_objects))
    return sensors
