"""What all pages of one making share, and what one page is. What a page shows does not belong here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fixity.catalog import Catalog
from fixity.incidents.state import Incident
from fixity.lake import Lake, LakeFile
from fixity.lake.paths import page_file
from fixity.pages.ages import LastRead
from fixity.pages.sources import Sources
from fixity.status import UNKNOWN, VERIFIED, WARNING, Status, StatusRow, advice
from fixity.status.rows import RUN
from fixity.words import to_do

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Making:
    """What all pages are made from, and where to work.

    incidents: all of them, by id. files: what the lake has of kept results, reports, snapshots and incidents,
    by name. run_id names a snapshot that is rebuilt.
    """

    lake: Lake
    catalog: Catalog
    status: Status
    incidents: Mapping[str, Incident]
    files: Mapping[str, LakeFile]
    run_id: str
    workspace: Path
    database: duckdb.DuckDBPyConnection

    @property
    def now(self) -> datetime:
        """When the pages are made (UTC)."""
        return self.status.at

    def sources(self, *files: str) -> Sources:
        """The sources of another page: these files, as far as they are there. Raises LakeError."""
        sources = Sources(self.lake, self.workspace)
        sources.name(*(name for name in files if name in self.files))
        return sources


@dataclass(frozen=True)
class Page:
    """A page, and what the first page says of it.

    lost: what could not be read, so that its state is unknown at best. red: how many checks were red, by day
    (UTC), on the days with a result. read: when the objects of a bucket were last read. wrong: how many
    rows of a pair's report say that something is wrong.
    """

    html: str
    lost: tuple[str, ...] = ()
    red: Mapping[str, int] = field(default_factory=dict)
    read: LastRead | None = None
    wrong: int | None = None


@dataclass(frozen=True)
class Made:
    """A page as it was made. of: from what, as one text. size: bytes. The others as in `Page`."""

    of: str
    size: int
    sha256: str
    lost: tuple[str, ...] = ()
    red: Mapping[str, int] = field(default_factory=dict)
    read: LastRead | None = None
    wrong: int | None = None


@dataclass(frozen=True)
class Shown:
    """A finding as a page shows it: since which day (UTC), what to do about it, and a page that says more."""

    text: str
    since: date | None = None
    to_do: str = ""
    page: str = ""


def state_of(row: StatusRow, lost: Iterable[str]) -> str:
    """The state of a row on a page: what is lost makes nothing green."""
    return UNKNOWN if row.state in (VERIFIED, WARNING) and any(lost) else row.state


def findings(making: Making, row: StatusRow, lost: Iterable[str]) -> list[Shown]:
    """Everything that a person should know of a row, the worst first, each remedy once."""
    pairs = [row.name] if row.kind == "pair" else [pair.name for pair in making.catalog.pairs_of(row.name)]
    names = {"PAIR": pairs[0]} if len(pairs) == 1 else {}
    names |= {"BUCKET": row.name} if row.kind == "bucket" else {}
    again, first = advice.to_do(row, making.catalog), advice.before_repair(row, making.catalog)
    told: set[str] = set()
    shown = []
    for each in (*row.red, *row.warnings):
        incident = each.text.partition(":")[0]
        of_it = incident if incident in row.open_incidents else ""
        text = each.text or f"{each.check} of {each.asset} did not pass"
        known = first or to_do(each.check)
        remedy = first or to_do(each.check, names | ({"ID": of_it} if of_it else {}))
        if each.check == RUN:
            text, remedy = f"The last run of {each.asset} had no result: {each.text}", again
        since = each.since.date() if each.since else None
        page = link("incident", of_it)["page"] if of_it else ""
        shown.append(Shown(text, since, "" if each.check in told or known in told else remedy, page))
        told |= {each.check, known} - {""}
    unknown = [Shown(text) for text in (*row.unknown, *lost)]
    if row.unknown and not row.red:
        unknown[0] = replace(unknown[0], to_do=again)
    return [*shown, *unknown]


def link(kind: str, name: str) -> dict[str, str]:
    """A link to another page."""
    return {"name": name, "page": page_file(kind, name).rpartition("/")[2]}


def by_day(red: Mapping[str, int]) -> dict[date, int]:
    """What `Page.red` says, for a chart."""
    return {date.fromisoformat(day): count for day, count in red.items()}
