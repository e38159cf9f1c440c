"""Makes the package for an auditor: raw files, figures, tables, PREMIS, a summary, and how to verify them.

What could not be used is said in the package, in problems.csv and in the summary. What a part has is in the
part's own module.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fixity.catalog import Catalog
from fixity.clock import utc_now
from fixity.evidence.bag import bag
from fixity.evidence.crate import write_crate
from fixity.evidence.figures import count_figures, exceptions_of
from fixity.evidence.order import Order
from fixity.evidence.raw import Raw
from fixity.evidence.tables import Tables
from fixity.incidents.state import incidents_now
from fixity.lake import Lake
from fixity.lake.csv_files import read_rows
from fixity.lake.times import TimesUnknown
from fixity.ledger.inventory import TableMissing
from fixity.pages.render import render
from fixity.reports.premis import Choice, Subject, event_tables
from fixity.reports.premis.documents import write_documents
from fixity.status import PROBLEM, VERIFIED, WARNING
from fixity.tables import TableUnreadable, this_software

_TEXTS = Path(__file__).with_name("texts")
_MOST_INCIDENTS = 50
_PARTS = {
    "README.txt": "What is in the package, and how to verify it",
    "summary.html": "The package on one page",
    "index.csv": "Which part answers which requirement of ISO 16363, NDSA and CoreTrustSeal",
    "figures/": "What queries.sql counts: coverage, checks, exceptions, incidents, drills, reports",
    "queries.sql": "The SQL behind the figures",
    "verify.sh": "Verifies the signed log with coreutils and openssl",
    "exceptions/": "The whole lives of objects that were not right, and the objects that are gone",
    "coverage/": "What the platform itself said of each bucket's coverage, day by day",
    "policy/": "The catalogs and the settings of the buckets",
    "premis/": "PREMIS 3 events",
    "lake/": "The raw files, under their names in the lake, with the signed log",
    "empty/": "Tables without rows, for queries.sql",
    "software.csv": "The software that made the package",
    "problems.csv": "Files that could not be used",
    "redated.csv": "Tables that a wrong clock dated ahead",
    "withdrawn.csv": "Files that were removed from the lake on purpose",
}
Figures = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Package:
    """What a package says: its figures by name, how many objects are damaged now and lost, what could not be
    used (file, reason), the buckets that were not listed before the end of the period, how many files were
    withdrawn from the lake, what outside of the lake could not be asked about the log, and the buckets that
    have checks in the lake, but are neither in the catalog any more nor in the package.
    """

    figures: Figures
    damaged: int
    lost: int
    problems: Sequence[tuple[str, str]]
    unlisted: Sequence[str]
    withdrawn: int
    unasked: Sequence[str]
    gone: Sequence[str]

    @property
    def open_incidents(self) -> int:
        """How many incidents are not over."""
        return sum(row["state"] == "open" for row in self.figures["incidents"])

    @property
    def last_coverage(self) -> list[Mapping[str, Any]]:
        """The coverage of each bucket at the end of the period."""
        return list({row["bucket"]: row for row in self.figures["coverage"]}.values())

    @property
    def wrong(self) -> list[str]:
        """What is wrong, for people."""
        differs, unreadable = (
            sum(row[column] for row in self.last_coverage) for column in ("differs", "unreadable")
        )
        counts = {
            "objects with other bytes than expected when they were last read in the period": differs,
            "damaged objects, as of today": self.damaged,
            "lost objects, as of today": self.lost,
            "unreadable objects": unreadable,
            "open incidents": self.open_incidents,
            "files of the lake that could not be used": len(self.problems),
        }
        never = [
            f"the bucket {bucket} was not listed before the end of the period" for bucket in self.unlisted
        ]
        return [*(f"{text}: {count:,}" for text, count in counts.items() if count), *never]

    @property
    def notes(self) -> list[str]:
        """What the package does not have, for people."""
        gone = (
            f"the bucket {bucket} has checks in the lake, but the catalog does not name it any more: it is "
            "not in this package; make one with a catalog that has it (policy/catalogs.csv)"
            for bucket in self.gone
        )
        return [*self.unasked, *gone]

    @property
    def late(self) -> int:
        """How many objects were not read within their term."""
        return sum(row["read_longer_ago"] + row["never_read"] for row in self.last_coverage)


def make_package(
    lake: Lake,
    catalog: Catalog,
    order: Order,
    out: Path,
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> Package:
    """Make the package `out`, a folder or a .zip file, which appears whole or not at all.

    Raises WrongUsage, LakeError, OSError.
    """
    info = {
        "Bagging-Date": f"{now():%Y-%m-%d}",
        "External-Description": f"Evidence of fixity from {order.since:%Y-%m-%d} to {order.until:%Y-%m-%d}",
        "Bag-Software-Agent": this_software(),
    }
    with bag(out.absolute(), info) as data, lake.workspace() as workspace:
        log("copying the raw files")
        raw = Raw(lake, catalog, order, data / "lake", workspace, now())
        raw.copy_all()
        tables = Tables(lake, catalog, order, data, raw.problems)
        tables.write_policy()
        tables.write_redated(raw.redated)
        tables.write_told()
        log("counting the figures")
        figures = count_figures(data, workspace)
        log("writing the lives of the objects that were not right")
        damaged, lost = tables.write_exceptions(
            (bucket, exceptions_of(data, bucket, workspace) | _in_incidents(lake, catalog, bucket, figures))
            for bucket in order.buckets
        )
        log("writing the PREMIS events")
        for bucket in order.buckets:
            _premis(lake, Subject.of(catalog, bucket), order, data / "premis" / bucket, raw.problems)
        tables.write_about(raw.withdrawn)
        listed = {row["bucket"] for row in figures["coverage"]}
        unlisted = [bucket for bucket in order.buckets if bucket not in listed]
        problems = sorted(raw.problems.items())
        package = Package(
            figures, damaged, lost, problems, unlisted, len(raw.withdrawn), raw.unasked, raw.gone
        )
        witness = catalog.log.witness if catalog.log else None
        _write_texts(data, order, package, witness, now())
    return package


def _in_incidents(lake: Lake, catalog: Catalog, bucket: str, figures: Figures) -> set[str]:
    """The keys of a bucket, or of its pairs, in the incidents of the period."""
    wanted = {row["incident_id"] for row in figures["incidents"]}
    pairs = {pair.name for pair in catalog.pairs_of(bucket)}
    return {
        each.key
        for incident in incidents_now(lake)
        if incident.id in wanted
        for each in incident.objects
        if each.bucket == bucket or (each.bucket is None and each.pair in pairs)
    }


def _premis(lake: Lake, subject: Subject, order: Order, folder: Path, problems: dict[str, str]) -> None:
    with lake.workspace() as workspace:
        try:
            events = event_tables(lake, subject, workspace)
            write_documents(events, folder, workspace, Choice(since=order.since, until=order.until))
        except (TableUnreadable, TimesUnknown) as error:
            problems[f"PREMIS events of {subject.bucket.name}"] = str(error)
        except TableMissing:
            pass  # it was never listed, which the summary says


def _write_texts(data: Path, order: Order, package: Package, witness: str | None, now: datetime) -> None:
    for name in ("verify.sh", "index.csv"):
        shutil.copyfile(_TEXTS / name, data / name)
    problems = (
        f"\nFiles of the lake that could not be used: {len(package.problems):,}. problems.csv names them.\n"
    )
    readme = (_TEXTS / "README.txt").read_text(encoding="utf-8")
    values = {
        "since": f"{order.since:%Y-%m-%d %H:%M}",
        "until": f"{order.until:%Y-%m-%d %H:%M}",
        "buckets": ", ".join(order.buckets),
        "made_at": f"{now:%Y-%m-%d %H:%M} UTC",
        "software": this_software(),
        "problems": problems if package.problems else "",
        "notes": "".join(f"\nNote: {text}.\n" for text in package.notes),
        "witness": f"\n   The archive keeps copies of its seals in {witness}." if witness else "",
    }
    (data / "README.txt").write_text(readme.format(**values), encoding="utf-8")
    (data / "summary.html").write_text(_summary(order, package, now), encoding="utf-8")
    write_crate(data, order, _PARTS, this_software(), now)


def _summary(order: Order, package: Package, now: datetime) -> str:
    if package.wrong:
        state, said = PROBLEM, "Something is wrong"
    elif package.late:
        state, said = WARNING, "No object is wrong, but not all were read within their term"
    elif package.notes:
        state, said = WARNING, "No object is wrong, but the package does not have all that it could"
    else:
        state, said = VERIFIED, "Every object was read within its term, and is right"
    asides = {
        "objects that were not read within their term": package.late,
        "files that were removed from the lake on purpose (withdrawn.csv says why)": package.withdrawn,
    }
    incidents = package.figures["incidents"]
    with (_TEXTS / "index.csv").open(encoding="utf-8", newline="") as text:
        index = [row.cells for row in read_rows(text)[1]]
    return render(
        "evidence.html",
        now,
        since=order.since,
        until=order.until,
        state=state,
        said=said,
        more=[
            *package.wrong,
            *(f"{text}: {count:,}" for text, count in asides.items() if count),
            *package.notes,
        ],
        problems=package.problems,
        coverage=package.last_coverage,
        incidents=incidents[:_MOST_INCIDENTS],
        more_incidents=max(0, len(incidents) - _MOST_INCIDENTS),
        drills=package.figures["drills"],
        index=index,
    )
