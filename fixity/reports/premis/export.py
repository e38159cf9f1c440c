"""Exports of PREMIS events: for each check and each lost object once, and of a choice of events on demand.

    premis/<bucket>/<run id>.parquet    the events of the ledger's files and lost objects that had none before
    premis/<bucket>/<run id>.xml        the same, as PREMIS 3
    premis/<bucket>/EXPORTED.json       which files of the ledger each export has the events of

A Parquet file of events never changes. Its footer names the files of the ledger whose events it has, so a
check has one event, however often an export was killed. The XML is made from the Parquet file, and
EXPORTED.json only saves reading the footers.

DuckDB writes the XML elements, about a hundred thousand a second.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Bucket, Pair
from fixity.clock import CLOCKS_DIFFER, utc_now
from fixity.lake import Lake
from fixity.lake.base import LakeFile
from fixity.lake.database import open_database, quoted, view
from fixity.lake.paths import premis_folder
from fixity.lake.proof import sealed, unsealed
from fixity.ledger import Snapshot, ready, usable_files
from fixity.ledger.files import ledger_files, run_of
from fixity.ledger.fold import settings_of
from fixity.ledger.views import view_now
from fixity.reports.premis.comparisons import comparisons
from fixity.reports.premis.deletions import NAMESPACE, deletions
from fixity.tables import CHECKSUMS, SOFTWARE, TableUnreadable, naming_the_unreadable

_EVENTS = Path(__file__).with_name("events.sql")
_XML = Path(__file__).with_name("xml.sql")
_ESCAPED = """
    CREATE TEMP MACRO escaped(text) AS replace(replace(replace(
        regexp_replace(text, '[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x{FFFE}\\x{FFFF}]', '?', 'g'),
        '&', '&amp;'), '<', '&lt;'), '>', '&gt;')
"""
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<premis xmlns="http://www.loc.gov/premis/v3" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.loc.gov/premis/v3 http://www.loc.gov/standards/premis/premis.xsd" '
    'version="3.0">\n'
)
_AGENT = (
    "<agent><agentIdentifier>"
    "<agentIdentifierType>local</agentIdentifierType>"
    "<agentIdentifierValue>{agent}</agentIdentifierValue></agentIdentifier>"
    "<agentName>fixity-platform</agentName><agentType>software</agentType>{version}</agent>\n"
)
_AGENTS = """
    SELECT DISTINCT agent FROM read_parquet($events, union_by_name = true)
    WHERE ($key IS NULL OR key = $key) AND ($since IS NULL OR event_datetime >= $since)
    ORDER BY agent
"""
_NOT_RECORDED = f"{SOFTWARE}, version not recorded"
_LEDGER_FILES = b"ledger_files"
_NOTE = "EXPORTED.json"
# DuckDB itself writes the events: with another Parquet writer they take twice as long.
_COPY = """
    COPY (({events}) UNION ALL BY NAME FROM others) TO {file} (
        FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {row_group},
        KV_METADATA {{ledger_files: {ledger_files}}}
    )
"""
_MEMORY = "1GB"  # row groups of each thread, beside the baselines
_ROWS_OF_PARQUET = 40_960
_ROWS_OF_XML = 3_000  # about 5 MB: above 32 MB, the C library frees and allocates the memory each time


@dataclass(frozen=True)
class Exported:
    """An export: its number of events and of files of the ledger, and its two files; None without events."""

    events: int
    ledger_files: int
    xml: str | None = None
    parquet: str | None = None


@dataclass(frozen=True)
class Choice:
    """Which events to write: those of the object `key`, those not before `since` (UTC); None: of all. pairs:
    those that have the bucket; what their reports found out is written too.
    """

    key: str | None = None
    since: datetime | None = None
    pairs: tuple[Pair, ...] = ()


_ALL = Choice()


class _Of(NamedTuple):
    """The bucket whose events are written, and the pairs that have it."""

    bucket: Bucket
    pairs: tuple[Pair, ...]


def export_events(
    lake: Lake,
    bucket: Bucket,
    run_id: str,
    pairs: Iterable[Pair] = (),
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> Exported:
    """Export the events of all files of the ledger that were not exported yet.

    Arguments: `pairs`, those that have the bucket.
    Raises TableMissing, TableUnreadable (an earlier export is damaged), LakeError.
    """
    folder = premis_folder(bucket.name)
    with lake.workspace() as workspace:
        exports = _exports(lake, folder, workspace)
        _complete(lake, folder, exports, workspace)
        if not ledger_files(lake, bucket.name):
            return Exported(0, 0)
        snapshot = ready(lake, bucket.name, settings_of(bucket), run_id, now, log)
        parquet, usable = _events(lake, _Of(bucket, tuple(pairs)), snapshot, exports, workspace, now())
        events = int(pq.read_metadata(parquet).num_rows)
        if not (usable or events):
            return Exported(0, 0)
        xml = workspace / "events.xml"
        with xml.open("wb") as out:
            _write_xml([parquet], out, workspace)
        # Another export, started by hand or by the schedule, may have exported them in the meantime.
        others = _exports(lake, folder, workspace)
        if any(run in runs for runs in others.values() for run in usable):
            log("another run exported these events in the meantime: nothing is exported twice")
            return Exported(0, 0)
        exported = Exported(events, len(usable), f"{folder}{run_id}.xml", f"{folder}{run_id}.parquet")
        lake.put(f"{folder}{run_id}.parquet", parquet)
        lake.put(f"{folder}{run_id}.xml", xml, replace=True)
    lake.put_text(f"{folder}{_NOTE}", sealed(exports | {run_id: usable}), replace=True)
    return exported


def print_events(
    lake: Lake,
    bucket: Bucket,
    out: BinaryIO,
    choice: Choice = _ALL,
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> None:
    """Write the chosen events as one PREMIS document.

    Events that were exported before are written as they were then.
    Raises TableMissing, TableUnreadable, LakeError.
    """
    folder = premis_folder(bucket.name)
    snapshot = ready(lake, bucket.name, settings_of(bucket), str(uuid.uuid4()), now, log)
    with lake.workspace() as workspace:
        exports = _exports(lake, folder, workspace)
        kept = [lake.fetch(f"{folder}{name}.parquet", workspace) for name in exports]
        new, _ = _events(lake, _Of(bucket, choice.pairs), snapshot, exports, workspace, now())
        with naming_the_unreadable(*kept):
            _write_xml([*kept, new], out, workspace, choice)


def _exports(lake: Lake, folder: str, workspace: Path) -> dict[str, list[str]]:
    """All exports, each with the runs whose files of the ledger it has the events of."""
    try:
        noted = unsealed(lake.read_text(f"{folder}{_NOTE}"))
    except (FileNotFoundError, ValueError):  # footers say it too
        noted = {}
    names = [file.name for file in lake.list(folder) if file.name.endswith(".parquet")]
    return {run_of(name): noted.get(run_of(name)) or _runs_in(lake.fetch(name, workspace)) for name in names}


def _runs_in(export: Path) -> list[str]:
    """The runs whose events an export has."""
    with naming_the_unreadable(export):
        metadata = pq.read_schema(export).metadata or {}
        if _LEDGER_FILES in metadata:
            try:
                return [str(each) for each in json.loads(metadata[_LEDGER_FILES])]
            except (ValueError, TypeError) as error:  # of a file without a proof
                raise TableUnreadable(export, error) from error
        return sorted(set(pq.read_table(export, columns=["run_id"]).column("run_id").to_pylist()))


def _complete(lake: Lake, folder: str, exports: Iterable[str], workspace: Path) -> None:
    """Write the missing XML of exports that were killed before they wrote it."""
    there = {file.name for file in lake.list(folder)}
    for name in exports:
        if f"{folder}{name}.xml" not in there:
            xml = workspace / f"{name}.xml"
            with xml.open("wb") as out:
                _write_xml([lake.fetch(f"{folder}{name}.parquet", workspace)], out, workspace)
            lake.put(f"{folder}{name}.xml", xml, replace=True)


def _without_events(lake: Lake, bucket: str, exports: dict[str, list[str]]) -> list[LakeFile]:
    done = {run for runs in exports.values() for run in runs}
    return [file for file in ledger_files(lake, bucket) if run_of(file.name) not in done]


def _events(
    lake: Lake,
    of: _Of,
    snapshot: Snapshot,
    exports: dict[str, list[str]],
    workspace: Path,
    now: datetime,
) -> tuple[Path, list[str]]:
    """The events that no export has as a local Parquet file, and the runs whose checks they are of."""
    bucket = of.bucket
    files = _without_events(lake, bucket.name, exports)
    kept = [lake.fetch(f"{premis_folder(bucket.name)}{name}.parquet", workspace) for name in exports]
    others = [
        deletions(lake, bucket, snapshot, kept, _place(bucket)),
        comparisons(lake, bucket.name, of.pairs, kept, _place(bucket)),
    ]
    usable, _ = usable_files(lake, bucket.name, files, workspace, doubted=snapshot.left_out)
    runs = [run_of(each.name) for each in usable]
    made = pa.table(
        {
            "filename": pa.array([str(each.path) for each in usable], pa.string()),
            "agent": pa.array([each.software or _NOT_RECORDED for each in usable], pa.string()),
        }
    )
    file = workspace / "events.parquet"
    with open_database(workspace, _MEMORY) as database:
        view_now(database, lake, snapshot, "objects", workspace)
        view(database, "checks", [each.path for each in usable], CHECKSUMS)
        database.register("made", made)
        database.register("others", pa.concat_tables(others))
        database.execute(
            _COPY.format(
                events=_EVENTS.read_text(encoding="utf-8"),
                file=quoted(file),
                row_group=_ROWS_OF_PARQUET,
                ledger_files=quoted(json.dumps(runs)),
            ),
            {
                "namespace": NAMESPACE.hex,
                "bucket": bucket.name,
                "place": _place(bucket),
                "horizon": now + CLOCKS_DIFFER,
            },
        )
    return file, runs


def _write_xml(events: list[Path], out: BinaryIO, workspace: Path, choice: Choice = _ALL) -> None:
    parameters = {"events": [str(file) for file in events], "key": choice.key, "since": choice.since}
    out.write(_HEAD.encode())
    with open_database(workspace) as database:
        database.execute(_ESCAPED)
        reader = database.execute(_XML.read_text(encoding="utf-8"), parameters).to_arrow_reader(_ROWS_OF_XML)
        _beside(lambda batch: out.write(_text_of(batch)), reader)
        agents = database.execute(_AGENTS, parameters).fetchall()
    for (agent,) in agents:
        name, _, version = agent.partition(" ")
        element = f"<agentVersion>{escape(version)}</agentVersion>" if name == SOFTWARE else ""
        out.write(_AGENT.format(agent=escape(agent), version=element).encode())
    out.write(b"</premis>\n")


def _text_of(batch: pa.RecordBatch) -> pa.Buffer:
    # Arrow's buffer has the texts one after the other, just as the file needs them.
    texts = batch.column(0)
    assert texts.offset == 0
    return texts.buffers()[2]


def _beside(use: Callable[[pa.RecordBatch], object], reader: pa.RecordBatchReader) -> None:
    """Call `use` on each batch in a thread, while the next batch is made."""
    with ThreadPoolExecutor(1) as pool:
        using = None
        for batch in reader:
            if using is not None:
                using.result()
            using = pool.submit(use, batch)
        if using is not None:
            using.result()


def _place(bucket: Bucket) -> str:
    """The beginning of the URI of each object of a bucket."""
    if bucket.path is not None:
        return f"{bucket.path.as_uri()}/"
    return f"s3://{bucket.real_name}/{quote(bucket.prefix)}"
