"""Sensors: what wakes the platform. Each module one; how a run does its work does not belong here."""

from __future__ import annotations

import dagster as dg

from fixity.catalog import Catalog
from sensors.both_sides import both_sides_sensor


def report_sensors(catalog: Catalog) -> list[dg.SensorDefinition]:
    """All sensors of a catalog."""
    return [both_sides_sensor(catalog)] if catalog.pairs else []
