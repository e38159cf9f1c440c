"""Baselines: checksums that were recorded earlier, where each was recorded, and which comes first.

A record is a claim from the deposit or later: given by hand, in a BagIt manifest or an OCFL inventory, in the
object's tags or metadata, or stored by S3 at upload. Nothing here is computed from an object's bytes.
Comparing records with computed checksums belongs to `fixity.ledger.judge`.
"""

from __future__ import annotations

from fixity.ingest.records.by_hand import GivenWrong, keep_given, read_given
from fixity.ingest.records.collect import (
    Baselines,
    Gathering,
    Objects,
    gather_own,
    take_baselines,
    whole_looks,
)
from fixity.ingest.records.parts import PART_OBJECTS
from fixity.ingest.records.record import SOURCES, Record, Source

__all__ = [
    "PART_OBJECTS",
    "SOURCES",
    "Baselines",
    "Gathering",
    "GivenWrong",
    "Objects",
    "Record",
    "Source",
    "gather_own",
    "keep_given",
    "read_given",
    "take_baselines",
    "whole_looks",
]
