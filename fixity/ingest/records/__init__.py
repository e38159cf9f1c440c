"""Baselines: checksums that were recorded before, with where they stand and in which order they count.

A record is a claim, made when an object was deposited or later: given by hand, in a BagIt manifest or
an OCFL inventory, in the object's tags or metadata, or stored by S3 at upload. Nothing here is computed
from an object's bytes; holding records against what is computed belongs to `fixity.ingest`.
"""

from __future__ import annotations

from fixity.ingest.records.by_hand import GivenWrong, keep_given, read_given
from fixity.ingest.records.collect import Baselines, take_baselines
from fixity.ingest.records.record import SOURCES, Record, Source

__all__ = [
    "SOURCES",
    "Baselines",
    "GivenWrong",
    "Record",
    "Source",
    "keep_given",
    "read_given",
    "take_baselines",
]
