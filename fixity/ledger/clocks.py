"""Refuses to go on where a bucket's tables are from a clock that is ahead of this one.

Of several checks of an object that with the latest time counts, so a check made now would lose against an
earlier one with a later date, and damage would not be seen. How a table's newest time is found is in
`fixity.lake.latest`, what times count as that are known to be wrong in `fixity.lake.times`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from fixity.clock import CLOCKS_AGREE, reached
from fixity.errors import FixityError
from fixity.humanize import seconds_text
from fixity.lake import Lake
from fixity.lake.footer import newest_time
from fixity.lake.latest import forget_dated, newest_dated, tables_of
from fixity.lake.paths import checksums_folder, inventory_folder, snapshot_folder
from fixity.lake.times import count_as, counted_as, put_back
from fixity.tables import TableUnreadable


class ClockWrong(FixityError):
    """A table is dated after this machine's time. The text says which, and what to do."""


def refuse_wrong_clock(lake: Lake, bucket: str, now: datetime | None = None) -> None:
    """Raise ClockWrong if a table of a bucket is dated after now.

    Arguments: `now` in UTC, by the clock that the work goes by, if that is another than this machine's.
    Ask before anything is listed or read, and before it is kept. Raises LakeError.
    """
    now = reached(now)
    for folder in (inventory_folder(bucket), checksums_folder(bucket)):
        dated = newest_dated(lake, folder)
        if dated is not None and dated.at > now + CLOCKS_AGREE:
            name = f"{folder}{dated.table}.parquet"
            raise ClockWrong(
                f"{lake.location(name)} is of {_time(dated.at)} by the clock of {dated.by}, and here it is "
                f"{_time(now)}, {seconds_text((dated.at - now).total_seconds())} earlier: one of the clocks "
                f"is wrong, and a check made now could be taken for an older one. Nothing more is checked in "
                f"'{bucket}'. Compare this machine's clock with the stores': fixity doctor. If it is this "
                "one, set it and run this again. If it was the other, set that, then: fixity lake redate "
                f"{bucket}"
            )


def refuse_times_ahead(name: str, newest: datetime, now: datetime | None = None) -> None:
    """Raise ClockWrong if checks that are to be kept are dated after now.

    Arguments: `name`, of their table; `newest`, the newest of their times (UTC); `now` as above.
    """
    now = reached(now)
    if newest > now + CLOCKS_AGREE:
        raise ClockWrong(
            f"checks for {name} are of {_time(newest)} by the clock of whoever made them, and here it is "
            f"{_time(now)}: they are not kept. Set the clock that is wrong (fixity doctor compares this "
            "machine's with the stores'), and run this again"
        )


def redate(
    lake: Lake, bucket: str, now: datetime, log: Callable[[str], None] = lambda text: None
) -> Iterator[tuple[str, datetime]]:
    """Have times of a bucket's tables that are after now (UTC) count as now, in the order of the tables.

    A person says by this that the clock here is right, and was wrong where these tables were made. They stay
    as they are; the snapshot, which was made from them, is removed. A note of before that is lost or damaged
    is written anew from its copy first, and `log` is told.
    Yields the name of each, and its newest time. Raises LakeError.
    """
    for folder in (inventory_folder(bucket), checksums_folder(bucket)):
        if put_back(lake, folder):
            log(f"{lake.location(folder)}: the note of what was dated ahead before is written anew")
        counted, ahead, tables = counted_as(lake, folder), [], tables_of(lake, folder)
        for name in tables:
            try:
                at = newest_time(lake, name)
            except TableUnreadable:  # whoever reads it reports it
                continue
            if at > now and PurePosixPath(name).stem not in counted:
                ahead.append((at, name))
        if ahead:
            first = now - timedelta(microseconds=len(ahead))
            times = {
                PurePosixPath(name).stem: first + timedelta(microseconds=number)
                for number, (_, name) in enumerate(sorted(ahead), 1)
            }
            count_as(lake, folder, times)
        forget_dated(lake, folder, now, tables)
        yield from ((name, at) for at, name in sorted(ahead))
    lake.remove(snapshot_folder(bucket))


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
