"""PREMIS events: of checks, deletions, repairs and replications, as valid XML and as Parquet, each once."""

from __future__ import annotations

from fixity.reports.premis.documents import Choice
from fixity.reports.premis.export import Subject, event_tables, export_events, print_events

__all__ = ["Choice", "Subject", "event_tables", "export_events", "print_events"]
