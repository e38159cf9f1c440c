"""How old the evidence is, with the statistics of the file and without."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.reports.ages import Evidence, oldest_in
from fixity.tables import CHECKSUMS
from tests.fixity.support import NOON

CHECKED = CHECKSUMS.field("checked_at")


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize(
    ("minutes", "oldest", "newest"),
    [([], None, None), ([None, None], None, None), ([3], 3, 3), ([None, 5, 2, None, None, None, 4], 2, 5)],
)
def test_the_oldest_and_the_newest_check_are_found_in_any_row_group(
    tmp_path: Path, statistics: bool, minutes: list[int | None], oldest: int | None, newest: int | None
) -> None:
    def at(minute: int | None) -> object:
        return None if minute is None else NOON + timedelta(minutes=minute, microseconds=1)

    table = pa.table([pa.array(map(at, minutes), CHECKED.type)], schema=pa.schema([CHECKED]))
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2, write_statistics=statistics)
    found = Evidence.of(tmp_path / "t.parquet", NOON)
    assert (found.listed_at, found.oldest_check, found.newest_check) == (NOON, at(oldest), at(newest))
    assert oldest_in(tmp_path / "t.parquet") == at(oldest)
