"""The raw files of the lake that a package rests on: chosen, proved, and copied under their names.

A file that cannot be used, or is gone, is named with the reason. What is counted from them does not belong
here.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Catalog
from fixity.clock import CLOCKS_DIFFER
from fixity.evidence.order import Order
from fixity.lake import Lake, LakeFile
from fixity.lake.footer import read_footer
from fixity.lake.paths import (
    INCIDENTS,
    checksums_folder,
    drills_folder,
    inventory_folder,
    is_report,
    records_folder,
)
from fixity.lake.proof import BEING_PUT, proof_file
from fixity.lake.times import TimesUnknown, believed, counted_as, note_of
from fixity.lake.withdrawn import WITHDRAWN, withdrawn_in
from fixity.log.chain import Chain
from fixity.log.known import chain_as_known
from fixity.log.manifest import SEALS
from fixity.log.records import recorded_in
from fixity.log.redated import Times, sealed_times
from fixity.log.waiting import WITHOUT_FILE
from fixity.tables import TableUnreadable

_FETCHES = 8  # at a time: a lake on S3 answers each in tens of milliseconds
_RECORDS = records_folder("")
_LEDGER = PurePosixPath(checksums_folder("a-bucket"))
_ONLY_RECORD = "it is gone, and only its record is left"
_ONLY_SEALED = "it is gone, and only a seal has it: nobody withdrew it"
_DAY = timedelta(days=1)


@dataclass
class Raw:
    """Copies files of the lake into the folder `into`. problems: the files that cannot be used, with why;
    withdrawn: those that were removed on purpose, with why. unasked: what outside of the lake could not be
    asked about the log. gone: buckets in the lake that the catalog does not name any more. now: in UTC.
    redated: tables that a wrong clock dated ahead, and the moments (UTC) that their later times count as.
    """

    lake: Lake
    catalog: Catalog
    order: Order
    into: Path
    workspace: Path
    now: datetime
    problems: dict[str, str] = field(default_factory=dict)
    withdrawn: dict[str, str] = field(default_factory=dict)
    unasked: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    redated: dict[str, datetime] = field(default_factory=dict)
    _sealed: dict[str, str] = field(default_factory=dict)  # the SHA-256 that the seals have, by file
    _times: Times = field(default_factory=dict)  # what they have of the notes of what was dated ahead

    def copy_all(self) -> None:
        """Copy the raw files of the order. Raises LakeError."""
        chain, self.unasked = chain_as_known(self.lake, self.catalog)
        for problem in chain.problems:
            self.problems[problem.name] = f"{problem.what}: {problem.text}"
        for seal in chain.seals.values():
            self._sealed |= seal.entries
        self._times = sealed_times(chain.seals)
        files = {file.name: file for file in self.lake.list("log/")}
        of_log = files.keys()
        for name in self._sealed:
            if name.startswith("log/") and name not in files and not name.startswith(SEALS):
                self.problems[name] = _ONLY_SEALED
        recorded = self._recorded(files, chain)
        if set(self.order.buckets) == self.catalog.buckets.keys():
            checked = {
                path.parts[1] for path in map(PurePosixPath, recorded) if path.parts[0] == _LEDGER.parts[0]
            }
            self.gone = sorted(checked - self.catalog.buckets.keys())
        wanted = [
            *(name for bucket in self.order.buckets for name in self._of_bucket(bucket, recorded)),
            *self._incidents(recorded),
            *self._reports(recorded),
        ]
        self._copy(wanted)
        records = [name for name in map(proof_file, wanted) if name in of_log]
        self._copy([*records, *(name for name in of_log if not name.startswith(_RECORDS))])

    def _recorded(self, of_log: Mapping[str, LakeFile], chain: Chain) -> set[str]:
        """The files that should be there: by the seals or by their records, and not withdrawn.

        A record is put before its file, so a new one may wait for it. That of a run that was killed has none,
        which a seal says.
        """
        without = {name for seal in chain.seals.values() for name in seal.notes.get(WITHOUT_FILE, ())}
        for name in of_log:
            if name.startswith(WITHDRAWN):
                try:
                    self.withdrawn |= withdrawn_in(self.lake.read_text(name))
                except ValueError as error:
                    self.problems[name] = str(error)
        by_seals = {name for name in self._sealed if not name.startswith("log/")}
        by_records = {
            name
            for name in recorded_in(of_log) - without
            if name in by_seals or of_log[proof_file(name)].appeared < self.now - BEING_PUT
        }
        return (by_seals | by_records) - self.withdrawn.keys()

    def _copy(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(_FETCHES) as pool:
            list(pool.map(self._copy_one, dict.fromkeys(names)))

    def _copy_one(self, name: str) -> None:
        file = self._fetched(name)
        if file is not None:
            to = self.into / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)
            sealed = self._sealed.get(name)
            # A record that was lost may have been written anew; its file is compared.
            if sealed and not name.startswith(_RECORDS) and _sha256(to) != sealed:
                self.problems[name] = "edited: its SHA-256 is not the one that a seal has"

    def _fetched(self, name: str) -> Path | None:
        """A local copy of a file that its record proves; None, with the reason, where there is none."""
        try:
            return self.lake.fetch(name, self.workspace)
        except FileNotFoundError:
            self.problems[name] = _ONLY_RECORD
        except TableUnreadable as error:
            self.problems[name] = str(error)
        return None

    def _there(self, folder: str, recorded: Iterable[str]) -> list[LakeFile]:
        """The files of a folder. Those of which only the record is left are named."""
        files = self.lake.list(folder)
        there = {file.name for file in files}
        for name in recorded:
            if name.startswith(folder) and name not in there:
                is_record_gone = self.problems.get(proof_file(name)) == _ONLY_SEALED
                self.problems[name] = _ONLY_SEALED if is_record_gone else _ONLY_RECORD
        return files

    def _of_bucket(self, bucket: str, recorded: set[str]) -> Iterator[str]:
        for folder in (checksums_folder(bucket), inventory_folder(bucket)):
            if counted := self._counted(folder):
                self.redated |= {f"{folder}{run}.parquet": at for run, at in counted.items()}
                if note_of(folder) not in self.problems:
                    yield note_of(folder)
        term = self.catalog.buckets[bucket].fixity_every or timedelta(0)
        since = self.order.since - term - CLOCKS_DIFFER
        for file in self._there(checksums_folder(bucket), recorded):
            # Without a term, coverage rests on all checks before.
            is_wanted = not term or file.appeared >= since
            if file.name.endswith(".parquet") and is_wanted and self._begins_in_time(file.name):
                yield file.name
        yield from self._inventories(bucket, recorded)
        for file in self._there(drills_folder(bucket), recorded):
            yield file.name

    def _counted(self, folder: str) -> Mapping[str, datetime]:
        """What the times of a folder's tables count as. A note that is lost or damaged is named."""
        sealed = {run: at for run, (at, _) in self._times.get(folder, {}).items()}
        try:
            said = counted_as(self.lake, folder)
            if sealed.items() <= said.items():
                return said
            problem = "it does not say any more what a seal has of it"
        except TimesUnknown as error:
            said, problem = believed(self.lake, folder), str(error)
        counted = {**said, **sealed}
        rest = "what its copy or a seal has of it" if counted else "the times that these have"
        self.problems[note_of(folder)] = f"{problem}; the figures rest on {rest}"
        return counted

    def _begins_in_time(self, name: str) -> bool:
        """Whether a file of the ledger has checks before the end of the period."""
        file = self._fetched(name)
        if file is None:
            return False
        try:
            with pq.ParquetFile(file) as table:
                place = table.schema_arrow.names.index("checked_at")
                groups = [table.metadata.row_group(each) for each in range(table.num_row_groups)]
                first = [each.column(place).statistics for each in groups]
        except (pa.ArrowException, OSError, ValueError) as error:
            self.problems[name] = f"it cannot be used: {error}"
            return False
        until, counted = self.order.until, self.redated.get(name)
        return (counted is not None and counted < until) or any(
            each is None or not each.has_min_max or each.min.replace(tzinfo=UTC) < until for each in first
        )

    def _inventories(self, bucket: str, recorded: set[str]) -> Iterator[str]:
        """The newest inventory before each moment of which coverage is told."""
        listed: list[tuple[datetime, str]] = []
        for file in self._there(inventory_folder(bucket), recorded):
            if file.name.endswith(".parquet"):
                try:
                    at = read_footer(self.lake, file.name).provenance.listed_at
                    listed.append((min(at, self.redated.get(file.name, at)), file.name))
                except (TableUnreadable, FileNotFoundError) as error:
                    self.problems[file.name] = str(error)
        for moment in self.order.moments():
            before = [each for each in listed if each[0] < moment]
            if before:
                yield max(before)[1]

    def _incidents(self, recorded: set[str]) -> Iterator[str]:
        """The files of incidents that are about one of the buckets."""
        of_incident: dict[str, list[str]] = {}
        concerned: set[str] = set()
        for file in self._there(INCIDENTS, recorded):
            incident = PurePosixPath(file.name).parts[1]
            of_incident.setdefault(incident, []).append(file.name)
            local = self._fetched(file.name)
            if local is not None and self._concerns(local):
                concerned.add(incident)
        yield from (name for incident in sorted(concerned) for name in of_incident[incident])

    def _concerns(self, file: Path) -> bool:
        rows = pq.read_table(file, columns=["bucket", "pair"]).to_pylist()
        return any(row["bucket"] in self.order.buckets or row["pair"] in self.order.pairs for row in rows)

    def _reports(self, recorded: set[str]) -> Iterator[str]:
        """The reports of the period. Of a day's report, its copy counts only where no run's is there."""
        for folder in ("reports/", "metadata/"):
            names = [
                file.name
                for file in self._there(folder, recorded)
                if self._is_of_period(PurePosixPath(file.name))
            ]
            of_runs = {_of_day(name) for name in names if _of_day(name) != name}
            yield from (name for name in names if name not in of_runs)

    def _is_of_period(self, name: PurePosixPath) -> bool:
        try:
            day = datetime.fromisoformat(f"{name.parts[1]}T00:00:00+00:00")
        except ValueError:  # LATEST
            return False
        if not self.order.since - _DAY < day < self.order.until:
            return False
        if "checksums" in name.parts:
            return name.stem.rpartition("_")[0] in self.order.pairs
        # `<bucket>_<run or time>_….csv`: a bucket's name may begin with that of another.
        owners = [bucket for bucket in self.catalog.buckets if name.name.startswith(f"{bucket}_")]
        return max(owners, key=len, default="") in self.order.buckets


def _of_day(name: str) -> str:
    """The name of the day's copy of a pair's report."""
    path = PurePosixPath(name)
    return str(path.parent.parent / path.name) if is_report(name) and path.parts[2] == "checksums" else name


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
