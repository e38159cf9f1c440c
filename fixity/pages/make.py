"""Makes the pages: those whose content has changed, and the first one always.

`pages/made.json` says from what each page was made. A page that is as it would be made now is left alone, so
that 2,000 buckets cost no more than what has happened to them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from fixity.catalog import Bucket, Catalog, Pair
from fixity.clock import utc_now
from fixity.incidents.state import incidents_now
from fixity.lake import Lake, LakeError, LakeFile
from fixity.lake.base import Seen
from fixity.lake.database import open_database
from fixity.lake.paths import (
    INCIDENTS,
    LATEST,
    PAGES,
    SNAPSHOTS,
    STATUS,
    copies_file,
    copies_stats_file,
    page_file,
    report_file,
    stats_file,
)
from fixity.lake.proof import sealed, unsealed
from fixity.pages.bucket import bucket_page
from fixity.pages.copies import copies_page
from fixity.pages.incident import incident_page
from fixity.pages.index import index_page
from fixity.pages.making import Made, Making, Page
from fixity.pages.pair import pair_page
from fixity.pages.render import render, template_digest
from fixity.status import status_of
from fixity.status.advice import before_repair_of
from fixity.version import VERSION

INDEX = f"{PAGES}index.html"
_MADE, _SUMS = f"{PAGES}made.json", f"{PAGES}SHA256SUMS"
_KEPT = TypeAdapter(dict[str, Made])
_MOST_TRIES = 5  # another run may make them at the same time
_PUTS = 8  # at a time: a lake on S3 answers each in tens of milliseconds


def make_pages(
    lake: Lake,
    catalog: Catalog,
    names: Collection[str] = (),
    now: Callable[[], datetime] = utc_now,
    run_id: str | None = None,
) -> list[str]:
    """Make the first page, and each page that is no longer what it would be now.

    Arguments: `names`, buckets and pairs of which the pages are made in any case; `run_id` names a snapshot
    that is rebuilt. Returns the names in the lake of what was made. Raises LakeError.
    """
    for _ in range(_MOST_TRIES):
        seen = lake.see(_MADE)
        with _making(lake, catalog, now(), run_id or str(uuid.uuid4())) as making:
            pages = _Pages(making, _read(seen))
            made = pages.make(names)
        if lake.put_if(_MADE, sealed(_KEPT.dump_python(made, mode="json")), seen):
            return pages.new
    raise LakeError(f"{lake.location(_MADE)} is replaced by other runs all the time: run it again")


def _read(seen: Seen | None) -> dict[str, Made]:
    """The pages that were made before; {} where that is lost: they are all made again."""
    try:
        return _KEPT.validate_python(unsealed(seen.text)) if seen else {}
    except ValueError:
        return {}


@contextmanager
def _making(lake: Lake, catalog: Catalog, now: datetime, run_id: str) -> Iterator[Making]:
    folders = (STATUS, INCIDENTS, SNAPSHOTS, f"reports/{LATEST}/checksums/", f"metadata/{LATEST}/checksums/")
    # First the files: what comes after this moment changes them, and the page is made again.
    files = {file.name: file for folder in folders for file in lake.list(folder)}
    status = status_of(lake, catalog, now)
    incidents = {each.id: each for each in incidents_now(lake)}
    with lake.workspace() as workspace, open_database(workspace) as database:
        yield Making(lake, catalog, status, incidents, files, run_id, workspace, database)


@dataclass(frozen=True)
class _Wanted:
    """A page as it should be: from what, as one text, and how it is made."""

    of: str
    make: Callable[[Making], Page]


class _Pages:
    """The pages of one making. Arguments: `before`, those that were made before, by name."""

    def __init__(self, making: Making, before: Mapping[str, Made]) -> None:
        self._making = making
        self._lake = making.lake
        self._before = before
        self._there = {file.name: file.size for file in self._lake.list(PAGES)}
        self._common = [VERSION, template_digest()]
        self.new: list[str] = []
        """The names in the lake of the pages that were made."""

    def make(self, names: Collection[str]) -> dict[str, Made]:
        """Make what has changed, and what is named. Returns all pages, by name. Raises LakeError."""
        made: dict[str, Made] = {}
        files: dict[str, Path] = {}
        for name, wanted in self._wanted(names).items():
            before = self._before.get(name)
            if before and before.of == wanted.of and before.size == self._there.get(name):
                made[name] = before
                continue
            workspace = self._making.workspace / "page"
            workspace.mkdir()
            page = wanted.make(replace(self._making, workspace=workspace))
            shutil.rmtree(workspace)  # a remote lake's tables may be large
            made[name], files[name] = self._page(wanted.of, page)
        made[INDEX], files[INDEX] = self._page("", Page(index_page(self._making, made)))
        with ThreadPoolExecutor(_PUTS) as pool:
            list(pool.map(lambda each: self._lake.put(each[0], each[1], replace=True), files.items()))
        sums = [f"{page.sha256}  {name.removeprefix(PAGES)}\n" for name, page in sorted(made.items())]
        self._lake.put_text(_SUMS, "".join(sums), replace=True)
        self.new = list(files)
        return made

    def _page(self, of: str, page: Page) -> tuple[Made, Path]:
        """A page in a local file. One of which something was lost is made again the next time."""
        body = page.html.encode()
        file = self._making.workspace / uuid.uuid4().hex
        file.write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        return Made(
            "" if page.lost else of, len(body), digest, page.lost, page.red, page.read, page.wrong
        ), file

    def _wanted(self, names: Collection[str]) -> dict[str, _Wanted]:
        making, catalog = self._making, self._making.catalog
        wanted: dict[str, _Wanted] = {}
        snapshots = defaultdict[str, list[LakeFile]](list)
        for file in making.files.values():
            if file.name.startswith(SNAPSHOTS):
                snapshots[file.name.split("/")[1]].append(file)
        for row in making.status.rows:
            parts: list[Bucket] | list[Pair]
            rows_shown = [row]
            if row.kind == "bucket":
                part = catalog.buckets[row.name]
                parts = [part]
                files, make = snapshots[row.name], partial(bucket_page, bucket=part, row=row)
            elif copies := catalog.copies.get(row.name):
                parts = [*copies.pairs]
                rows_shown += [
                    each
                    for each in making.status.rows
                    if each.kind == "pair" and catalog.copies_with(each.name) is copies
                ]
                names_of_report = (copies_file(row.name, None), copies_stats_file(row.name, None))
                files = [making.files[name] for name in names_of_report if name in making.files]
                make = partial(copies_page, copies=copies, row=row)
            else:
                pair = catalog.pairs[row.name]
                parts = [pair]
                names_of_report = (report_file(row.name, None), stats_file(row.name, None))
                files = [making.files[name] for name in names_of_report if name in making.files]
                make = partial(pair_page, pair=pair, row=row)
            forced = uuid.uuid4().hex if row.name in names else ""
            shown = [each.model_dump(mode="json") for each in parts], list(map(asdict, rows_shown))
            of = self._of(*shown, files, making.now.date(), forced)
            wanted[page_file(row.kind, row.name)] = _Wanted(of, make)
        for each in making.incidents.values():
            first = before_repair_of(each, making.status, catalog)
            unreadable = [file.name for file in each.unreadable]
            of = self._of(each.state, each.last_at, len(each.events), unreadable, first)
            make = partial(incident_page, incident=each, first=first)
            wanted[page_file("incident", each.id)] = _Wanted(of, make)
        for name in self._there:
            title = name.removeprefix(PAGES).removesuffix(".html")
            if name not in (INDEX, *wanted) and name.endswith(".html"):
                wanted[name] = _Wanted("gone", partial(_gone, title=title.replace("-", " ", 1)))
        return wanted

    def _of(self, *parts: object) -> str:
        return hashlib.sha256(json.dumps([*self._common, *parts], default=str).encode()).hexdigest()


def _gone(making: Making, title: str) -> Page:
    return Page(render("gone.html", making.now, title=title))
