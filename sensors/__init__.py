"""Sensors: what wakes the platform. Each module one; how a run does its work does not belong here."""

from __future__ import annotations

import dagster as dg

from fixity.catalog import Catalog
from sensors.both_sides import both_sides_sensor
from sensors.new_objects import new_objects_sensor
from sensors.restore_completion import restore_completion_sensor


def report_sensors(catalog: Catalog) -> list[dg.SensorDefinition]:
    """All sensors of a catalog."""
    return [both_sides_sensor(catalog)] if catalog.pairs else []


def ingest_sensors(catalog: Catalog) -> list[dg.SensorDefinition]:
    """The sensors of ingest fixity that a catalog has use for."""
    sensors = []
    if any(bucket.archived == "restore" for bucket in catalog.buckets.values()):
        sensors.append(restore_completion_sensor(catalog))
    if catalog.queues.new_objects is not None:
        sensors.append(new_objects_sensor(catalog, catalog.queues.new_objects))
    return sensors
