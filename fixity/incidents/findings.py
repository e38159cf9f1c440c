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
    suspects: pa.Table,
    workspace: Path,
    now: Callable[[], datetime] = utc_now,
) -> pa.Table:
    """What is known of the suspect rows of a pair, in their order, as FINDINGS.

    Arguments: `suspects`, rows (SUSPECTS) that were looked at twice.
    Raises LakeError; a store that does not answer is no error.
    """
    table = suspects.select(NEEDED)
    rows, gathered = _Rows(table), Gathered(lake, catalog, pair, table, now(), workspace)
    found = _diagnoses(gathered, rows, *alike(table, gathered.facts()))
    not_told = (place for place, diagnosis in enumerate(found) if diagnosis.word == "cannot_tell")
    undecided = {
        (row["key"], row["version_id"]): place
        for place, row in ((place, rows.at(place)) for place in not_told)
        if row["status"] == "mismatch"
        and has_parts(row, gathered.buckets)
        # These reads are no checks of the ledger, by which a budget of egress is counted.
        and not any(egress_budgets(catalog, bucket) for bucket in gathered.buckets.values())
    }
    of_parts = part_digests(catalog, gathered.buckets, map(rows.at, undecided.values()))
    for row, digests in of_parts:
        found[undecided[row["key"], row["version_id"]]] = diagnose(gathered.evidence(row, digests))
    columns = {
        "key": table["key"],
        "version_id": table["version_id"],
        "looked": pa.repeat(True, table.num_rows),
        "note": pa.nulls(table.num_rows, pa.string()),
        "diagnosis": [each.word for each in found],
        "diagnosis_rests_on": [each.rests_on or None for each in found],
        "last_agreed_at": [each.last_agreed_at for each in found],
        "damaged": [each.damaged for each in found],
    }
    return pa.table(columns, FINDINGS)


class _Rows:
    """The rows of a table as Python has them, which takes long: some, or once one more is asked for, all."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._rows: dict[int, Row] = {}

    def have(self, places: Sequence[int]) -> None:
        """Have the rows at some places at hand."""
        columns = columns_of(self._table.take(pa.array(places, pa.int64())))
        for place, *row in zip(places, *columns, strict=True):
            self._rows[place] = dict(zip(self._table.column_names, row, strict=True))

    def at(self, place: int) -> Row:
        """The row at a place."""
        if place not in self._rows:
            self.have(range(self._table.num_rows))
        return self._rows[place]


def _diagnoses(
    gathered: Gathered, rows: _Rows, first_alike: Sequence[int], times: Sequence[Any]
) -> list[Diagnosis]:
    """The diagnosis of each row. It is found once for all rows that are alike. Arguments: as from `alike`."""
    firsts = sorted(set(first_alike))
    rows.have(firsts)
    gathered.choose({rows.at(first)["key"] for first in firsts})
    shared = {first for number, first in enumerate(first_alike) if first != number}
    found: list[Diagnosis] = []
    agreed: dict[int, int | None] = {}
    for number, first in enumerate(first_alike):
        if first in agreed:
            diagnosis, place = found[first], agreed[first]
            if place is not None:
                at = EPOCH + timedelta(microseconds=times[place][number].as_py())
                diagnosis = replace(diagnosis, last_agreed_at=at)
        else:
            evidence = gathered.evidence(rows.at(number))
            diagnosis = diagnose(evidence)
            names_version = evidence.older is not None and evidence.older.version_id is not None
            if first in shared and not names_version:
                moment = diagnosis.last_agreed_at
                since = moment and (moment - EPOCH) // timedelta(microseconds=1)
                of_row = (each[number].as_py() for each in times)
                agreed[number] = None if since is None else list(of_row).index(since)
        found.append(diagnosis)
    return found
