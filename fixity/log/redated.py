"""What seals say of the notes `TIMES.json`, by which the times of tables count as earlier ones.

Such a note is replaced where more is said, so it is no file that a seal could bind. Each seal has what the
notes said that no seal before had: a note that is lost with its copy, or says otherwise, is missed. What a
note means is in `fixity.lake.times`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import PurePosixPath

from fixity.lake import Lake
from fixity.lake.paths import records_folder
from fixity.lake.times import TimesUnknown, counted_as, folder_of_copy, note_of
from fixity.log.manifest import Seal

REDATED = "redated"
"""A note of a seal: a table, and the moment that its later times count as."""

Times = dict[str, dict[str, tuple[datetime, int]]]
"""By folder and run: the moment (UTC), and the number of the seal that says so."""


def sealed_times(seals: Mapping[int, Seal]) -> Times:
    """What the seals say. Of several, the first one counts."""
    found: Times = {}
    for number in sorted(seals):
        for said in seals[number].notes.get(REDATED, ()):
            name, _, at = said.rpartition(" ")
            path = PurePosixPath(name)
            of_folder = found.setdefault(f"{path.parent}/", {})
            of_folder.setdefault(path.stem, (datetime.fromisoformat(at), number))
    return found


def not_sealed(lake: Lake, of_log: Iterable[str], seals: Mapping[int, Seal]) -> Iterator[tuple[str, str]]:
    """What the notes say and no seal has, as notes of the next seal.

    Arguments: `of_log`, the names of all files of the log. A note that is lost or damaged is left out:
    verifying tells it. Raises LakeError.
    """
    sealed = sealed_times(seals)
    for folder in sorted(filter(None, map(folder_of_copy, of_log))):
        try:
            said = counted_as(lake, folder)
        except TimesUnknown:
            continue
        for run, at in said.items():
            if run not in sealed.get(folder, {}):
                yield REDATED, f"{folder}{run}.parquet {at.isoformat()}"


def changed(lake: Lake, seals: Mapping[int, Seal]) -> Iterator[tuple[str, str, str, int]]:
    """The notes that do not say any more what a seal has: name, what and why, for people, and the seal.

    Raises LakeError.
    """
    for folder, sealed in sealed_times(seals).items():
        first = min(number for _, number in sealed.values())
        try:
            said = counted_as(lake, folder)
        except TimesUnknown as error:
            yield note_of(folder), "deleted" if error.is_gone else "edited", str(error), first
            continue
        wrong = sorted(run for run, (at, _) in sealed.items() if said.get(run) != at)
        if wrong:
            name = f"{folder}{wrong[0]}.parquet"
            what = "edited" if said else "deleted"
            of_copy = f"its copy in {records_folder(folder)}"
            text = (
                f"a wrong clock dated {name}, which neither it nor {of_copy} says any more as it was sealed"
            )
            yield note_of(folder), what, text, sealed[wrong[0]][1]
