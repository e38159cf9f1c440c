"""Whether the lake can be listed, written, read and cleaned, and whether its conditional writes decide.

Small files below `scratch/` are put and removed again. What is kept in the lake is not looked at; that is
done by `fixity status` and `fixity log verify`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

from fixity.doctor.finding import OK, WARNING, WRONG, Finding, clock_finding, finding_of_refusal
from fixity.humanize import printable
from fixity.lake import Lake, LakeError

_TEXT = "fixity doctor puts this file and removes it\n"


def look_at_lake(lake: Lake, now: Callable[[], datetime]) -> Iterator[Finding]:
    """What is right and wrong with the lake. Arguments: `now`, the time (UTC) of this machine."""
    folder = f"scratch/doctor-{uuid.uuid4()}/"
    place = lake.location("")
    read: list[str] = []
    appeared: list[datetime] = []
    decides: list[bool] = []
    steps: list[tuple[str, Callable[[], object]]] = [
        ("s3:ListBucket", lambda: lake.list(folder)),
        ("s3:PutObject", lambda: lake.put_text(f"{folder}probe", _TEXT)),
        ("s3:GetObject", lambda: read.append(lake.read_text(f"{folder}probe"))),
        ("s3:ListBucket", lambda: appeared.extend(file.appeared for file in lake.list(folder))),
        ("s3:DeleteObject", lambda: lake.remove(folder)),
        ("s3:PutObject", lambda: decides.append(lake.decides)),
    ]
    before = now()
    for number, (action, step) in enumerate(steps, 1):
        try:
            step()
        except (LakeError, OSError) as error:
            yield _refused(error, action, place)
            if number > 2:  # it may be there, and the right to remove it may be another one
                yield from _remove(lake, folder)
            return
    if read != [_TEXT]:
        yield Finding("lake", WRONG, f"{place} gave other bytes than were put", "use another store")
        return
    yield Finding("lake", OK, f"{place} can be listed, written, read and cleaned")
    if decides == [True]:
        yield Finding("lake", OK, "of several who write a file at once, one wins (conditional writes)")
    else:
        yield Finding(
            "lake",
            WARNING,
            "the store knows no conditional writes: two workers that begin at once may both give up",
            "nothing on one machine; with several, keep the lake on a store that knows If-None-Match",
        )
    for time in appeared:
        yield clock_finding("clock of the lake", before, time)


def _remove(lake: Lake, folder: str) -> Iterator[Finding]:
    try:
        lake.remove(folder)
    except (LakeError, OSError):
        yield Finding("lake", WRONG, f"{lake.location(folder)} could not be removed", "remove it by hand")


def _refused(error: LakeError | OSError, action: str, place: str) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    cause = error.__cause__
    if isinstance(cause, ClientError | BotoCoreError):
        return finding_of_refusal("lake", cause, action, place)
    return Finding("lake", WRONG, printable(error), f"let this user list, write and remove files in {place}")
