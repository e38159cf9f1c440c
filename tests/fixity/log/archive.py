"""A small archive with a log, as several runs and sealers left it; and a stand-in for Dagster's event log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixity.lake import Lake
from fixity.lake.proof import Proof
from fixity.log.chain import Head
from fixity.log.keys import SigningKey, make_key
from fixity.log.records import Kept, Run, catalog_file, sha256_of
from fixity.log.seals import Sealed, Sealer
from fixity.log.verify import Verified, verify

CATALOG = b"lake: lake\n"
BEGAN = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)


@dataclass
class EventLog:
    """Which run kept what, apart from the lake."""

    runs: dict[str, Run] = field(default_factory=dict)
    kept: dict[Kept, str] = field(default_factory=dict)

    def trust(self, asked: Sequence[Kept]) -> Mapping[Kept, Run]:
        return {each: self.runs[self.kept[each]] for each in asked if each in self.kept}


@dataclass
class Keeper:
    """A run that keeps files."""

    events: EventLog
    run_id: str

    def note(self, proof: Proof) -> None:
        self.events.kept[proof.name, proof.sha256] = self.run_id


@dataclass(repr=False)
class Archive:
    """A lake, the key of its log, and what stands outside of the lake."""

    lake: Lake
    key: SigningKey
    keys: Path
    events: EventLog = field(default_factory=EventLog)
    now: datetime = BEGAN
    told: list[Head] = field(default_factory=list)

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.lake, self.key, self.events.trust, self.clock, self.heads)

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def heads(self) -> Sequence[Head]:
        return self.told

    def tell(self, sealed: Sealed) -> None:
        """Tell the witness of a new seal."""
        self.told.append(sealed.head)

    def run(self, run_id: str, files: Mapping[str, str], ends: str | None = "SUCCESS") -> None:
        """A run that keeps files. Arguments: `ends`, Dagster's status; None: it goes on."""
        ended = None if ends is None else self.clock().isoformat()
        self.events.runs[run_id] = Run(
            run_id, "check_bucket", "schedule", BEGAN.isoformat(), ended, ends or "STARTED", "fixity 1",
            sha256_of(CATALOG),
        )  # fmt: skip
        self.lake.put_if(catalog_file(sha256_of(CATALOG)), CATALOG.decode(), None)
        self.lake.keeper = Keeper(self.events, run_id)
        for name, text in files.items():
            self.lake.put_text(name, text)
        self.lake.keeper = None

    def seal(self) -> None:
        """What is done each day: verify, seal, and tell the witness."""
        self.now += timedelta(days=1)
        verified = verify(self.lake, self.key.public, self.heads())
        self.tell(self.sealer.seal([verified.note]))

    def verify(self) -> Verified:
        return verify(self.lake, self.key.public, self.heads())


def new_archive(lake: Lake, keys: Path) -> Archive:
    """An archive whose log is about to begin."""
    return Archive(lake, make_key(keys / "first.pem"), keys)


def grown_archive(lake: Lake, keys: Path) -> Archive:
    """An archive with six seals: the key was rotated, a file withdrawn, and some files wait to be sealed."""
    archive = new_archive(lake, keys)
    archive.run("run-0", {"expected/letters/0.csv": "key,checksum\nold,0\n"})
    archive.tell(archive.sealer.begin())
    for day in range(1, 4):
        archive.run(f"run-{day}", files_of(day))
        archive.seal()
        if day == 2:
            new = make_key(keys / "second.pem")
            archive.tell(archive.sealer.rotate(new.public))
            archive.key = new
    archive.tell(archive.sealer.withdraw(["expected/letters/1.csv"], "its term is over", "ada"))
    archive.run("run-4", files_of(4))
    return archive


def files_of(day: int) -> dict[str, str]:
    """What a run of a day keeps."""
    date = f"2026-01-{day:02}"
    return {
        f"expected/letters/{day}.csv": f"key,checksum\nname,{day}\n",
        f"reports/{date}/checksums/run-{day}/letters_checksum-report.csv": f"bucket,key\nletters,{day}\n",
        f"metadata/{date}/checksums/stats/run-{day}/letters_checksum-report.json": f'{{"day": {day}}}\n',
        f"premis/letters/run-{day}.xml": f"<premis>{day}</premis>\n",
    }
