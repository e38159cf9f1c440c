"""Finds out about the suspect rows of a pair's report which copy is bad, and what says so.

What is known of a row is gathered in `evidence`; what follows from it is in `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Catalog, Pair
from fixity.clock import EPOCH, utc_now
from fixity.incidents.asking import Row, has_parts, part_digests
from fixity.incidents.diagnosis import Diagnosis, diagnose
from fixity.incidents.evidence import NEEDED, Gathered
from fixity.incidents.patterns import alike
from fixity.lake import Lake
from fixity.rolling.egress import egress_budgets
from fixity.tables import FINDINGS, columns_of


def findings(
    lake: Lake,
    catalog: Catalog,
    pair: Pair,
    suspects: Path,
    workspace: Path,
    now: Callable[[], datetime] = utc_now,
) -> pa.Table:
    """What is known of the suspect rows of a pair, in their order, as FINDINGS.

    Arguments: `suspects`, a local table (SUSPECTS) of rows that were looked at twice; all are in memory.
    Raises LakeError; a store that does not answer is no error.
    """
    table = pq.read_table(suspects, columns=NEEDED)
    rows = [dict(zip(NEEDED, row, strict=True)) for row in zip(*columns_of(table), strict=True)]
    gathered = Gathered(lake, catalog, pair, rows, now(), workspace)
    found = _diagnoses(gathered, rows, *alike(table, gathered.facts()))
    undecided = {
        (row["key"], row["version_id"]): place
        for place, (row, diagnosis) in enumerate(zip(rows, found, strict=True))
        if diagnosis.word == "cannot_tell"
        and row["status"] == "mismatch"
        and has_parts(row, gathered.buckets)
        # These reads are no checks of the ledger, by which a budget of egress is counted.
        and not any(egress_budgets(catalog, bucket) for bucket in gathered.buckets.values())
    }
    of_parts = part_digests(catalog, gathered.buckets, (rows[place] for place in undecided.values()))
    for row, digests in of_parts:
        found[undecided[row["key"], row["version_id"]]] = diagnose(gathered.evidence(row, digests))
    columns = {
        "key": table["key"],
        "version_id": table["version_id"],
        "looked": pa.repeat(True, len(rows)),
        "note": pa.nulls(len(rows), pa.string()),
        "diagnosis": [each.word for each in found],
        "diagnosis_rests_on": [each.rests_on or None for each in found],
        "last_agreed_at": [each.last_agreed_at for each in found],
        "damaged": [each.damaged for each in found],
    }
    return pa.table(columns, FINDINGS)


def _diagnoses(
    gathered: Gathered, rows: Sequence[Row], first_alike: Sequence[int], times: Sequence[Any]
) -> list[Diagnosis]:
    """The diagnosis of each row. It is found once for all rows that are alike. Arguments: as from `alike`."""
    gathered.choose({rows[first]["key"] for first in first_alike})
    shared = {first for number, first in enumerate(first_alike) if first != number}
    found: list[Diagnosis] = []
    agreed: dict[int, int | None] = {}
    for number, (row, first) in enumerate(zip(rows, first_alike, strict=True)):
        if first in agreed:
            diagnosis, place = found[first], agreed[first]
            if place is not None:
                at = EPOCH + timedelta(microseconds=times[place][number].as_py())
                diagnosis = replace(diagnosis, last_agreed_at=at)
        else:
            evidence = gathered.evidence(row)
            diagnosis = diagnose(evidence)
            names_version = evidence.older is not None and evidence.older.version_id is not None
            if first in shared and not names_version:
                moment = diagnosis.last_agreed_at
                since = moment and (moment - EPOCH) // timedelta(microseconds=1)
                of_row = (each[number].as_py() for each in times)
                agreed[number] = None if since is None else list(of_row).index(since)
        found.append(diagnosis)
    return found
