"""PREMIS events: one for each check ever made, as XML and as Parquet, with identifiers that never change."""

from __future__ import annotations

from fixity.reports.premis.export import Choice, export_events, print_events

__all__ = ["Choice", "export_events", "print_events"]
