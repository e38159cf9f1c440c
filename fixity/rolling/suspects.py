"""What is expected of the objects of a rolling batch, to hold back checks that differ until a second look.

How objects are read a second time is in `fixity.engines.stream.second_look`, and how all checks of the run
are judged in `finish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fixity.buckets import listed_objects
from fixity.catalog import Algorithm
from fixity.engines.stream.engine import Check
from fixity.engines.stream.second_look import Suspect
from fixity.ledger.expected import expectations_of
from fixity.ledger.judge import is_differing
from fixity.tables import SUCCEEDED


class Expected:
    """What a snapshot expects of the objects of a batch.

    Arguments: `rows` of the snapshot; `first`, the position of the first one; `algorithm`, the bucket's.
    """

    def __init__(self, rows: pa.Table, first: int, algorithm: Algorithm) -> None:
        self._rows = rows
        self._first = first
        self._algorithm = algorithm
        names = ("baseline_algorithm", "baseline", "record_algorithm", "record")
        self._known: list[list[tuple[Algorithm, str]]] = [
            [each for each in ((by, baseline), (by_record, record)) if None not in each]
            for by, baseline, by_record, record in zip(
                *(rows.column(name).to_pylist() for name in names), strict=True
            )
        ]

    def algorithms(self, position: int) -> set[Algorithm]:
        """The algorithms of what is expected of an object."""
        return {algorithm for algorithm, _ in self._known[position - self._first]}

    def is_contradicted(self, check: Check) -> bool:
        """Whether anything that is expected is not what was found. Then it may differ."""
        found = check.checksums(self._algorithm)
        return check.status == SUCCEEDED and any(
            found.get(algorithm, checksum) != checksum
            for algorithm, checksum in self._known[check.position - self._first]
        )

    def split(self, checks: Sequence[Check], workspace: Path) -> tuple[list[Suspect], list[Check]]:
        """The checks that differ from what is expected, and the others."""
        rows = self._rows.take(pa.array([check.position - self._first for check in checks], pa.int64()))
        suspects, others = [], []
        expected = expectations_of(rows, workspace).to_pylist()
        for item, check, expectations in zip(listed_objects(rows), checks, expected, strict=True):
            if is_differing(expectations, check.checksums(self._algorithm)):
                suspects.append(Suspect(item, check, expectations))
            else:
                others.append(check)
        return suspects, others
