"""What a seal binds: the records of files, runs, catalogs and withdrawals.

A file of evidence has its record from `fixity.lake.proof`. Here are the other records of the log, which bind
what belongs together: `log/runs/<run id>.json` says who started a run, with which software and catalog, and
which files it kept; `log/withdrawn/….json` says why files are gone. How they are sealed does not belong here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from fixity.lake import Lake, LakeFile
from fixity.lake.paths import records_folder
from fixity.lake.proof import is_evidence, proved_file, sealed
from fixity.lake.withdrawn import WITHDRAWN

RUNS, CATALOGS, STAMPS = "log/runs/", "log/catalogs/", "log/stamps/"

FOLDERS = (
    "baselines/",
    "checksums/",
    "drills/",
    "expected/",
    "incidents/",
    "ingest/",
    "inventory/",
    "metadata/",
    "premis/",
    "repairs/",
    "reports/",
    "restored/",
    "tags/",
)
"""The folders of the lake with files that are evidence."""


@dataclass(frozen=True)
class Run:
    """A run, or a command, as it is known outside of the lake: to Dagster's event log, or to a person.

    started_by: a person, a schedule or a sensor. Times are ISO, in UTC; ended_at: None while it goes on.
    status: Dagster's; a run that did not succeed may have been killed before it put a file. catalog: the
    SHA-256 of the catalog that was in force; "" where nobody knows.
    """

    run_id: str
    job: str
    started_by: str
    began_at: str | None
    ended_at: str | None
    status: str
    software: str
    catalog: str

    @property
    def goes_on(self) -> bool:
        """Whether it may still replace what it kept."""
        return self.ended_at is None

    @property
    def succeeded(self) -> bool:
        """Whether it put all the files that it noted."""
        return self.status == "SUCCESS"


Kept = tuple[str, str]
"""The name of a file, and its SHA-256."""

Trust = Callable[[Sequence[Kept]], Mapping[Kept, Run]]
"""Asks a second store, apart from the lake, which run kept each of these files. A file that it does not know
with this SHA-256 is left out."""


@dataclass(frozen=True)
class Bound:
    """A file that a run's record binds."""

    name: str
    size: int
    sha256: str


def run_record(run: Run, files: Iterable[Bound]) -> str:
    """The text of a run's record."""
    ordered = sorted(files, key=lambda each: each.name)
    return sealed({**asdict(run), "files": [asdict(each) for each in ordered]})


def withdrawal(files: Mapping[str, str], reason: str, person: str) -> tuple[str, str]:
    """The name and the text of the record that files were withdrawn. Its seal says when.

    Arguments: `files`, SHA-256 by name.
    """
    listed = [{"name": name, "sha256": sha256} for name, sha256 in sorted(files.items())]
    text = sealed({"person": person, "reason": reason, "files": listed})
    return f"{WITHDRAWN}{sha256_of(text.encode())[:40]}.json", text


def catalog_file(sha256: str) -> str:
    """The name under which a catalog is kept."""
    return f"{CATALOGS}{sha256}.yaml"


def sha256_of(text: bytes) -> str:
    """The SHA-256 of a text, in hex."""
    return hashlib.sha256(text).hexdigest()


def is_old_report(name: str, today: str) -> bool:
    """Whether this is a report of a day before `today` (ISO), by the name that later ones are copied to.

    In a lake of before, there is nothing else of it.
    """
    day = re.match(r"(?:reports|metadata)/(\d{4}-\d\d-\d\d)/", name)
    return bool(day and "0000-00-00" < day[1] < today and not is_evidence(name))


def evidence_in(lake: Lake) -> dict[str, LakeFile]:
    """All files of the lake that are evidence, by name. Raises LakeError."""
    return {file.name: file for folder in FOLDERS for file in lake.list(folder) if is_evidence(file.name)}


def recorded_in(names: Iterable[str]) -> set[str]:
    """The files of evidence whose records are among the names of files of the log."""
    found = (proved_file(name) for name in names if name.startswith(records_folder("")))
    return {name for name in found if name and is_evidence(name)}
