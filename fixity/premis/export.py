"""Exports of PREMIS events: for each file of the ledger once, and of a choice of events on demand.

    premis/<bucket>/<run id>.xml, .parquet    the events of the ledger's files that had none before
    premis/<bucket>/EXPORTED.json             which files of the ledger have theirs

DuckDB writes the elements, at some hundred thousand a second; a parser is for those who read them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Bucket, Catalog
from fixity.database import open_database
from fixity.hashing import utc_now
from fixity.lake import Lake
from fixity.lake.base import LakeFile
from fixity.lake.paths import premis_folder
from fixity.rolling.roll import settings_of
from fixity.standing import Standing, ready, usable_files
from fixity.standing.history import ledger_files, run_of
from fixity.standing.views import view, view_now
from fixity.tables import CHECKSUMS

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://id.fixity/premis/event")
"""Under which events have their names; another one would give all of them other identifiers."""

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
    "<agentName>fixity-platform</agentName><agentType>software</agentType>"
    "<agentVersion>{version}</agentVersion></agent>\n</premis>\n"
)


@dataclass(frozen=True)
class Exported:
    """What was exported: events, files of the ledger, and the two files' names; None without any event."""

    events: int
    ledger_files: int
    xml: str | None = None
    parquet: str | None = None


def export_events(
    lake: Lake,
    catalog: Catalog,
    bucket: Bucket,
    run_id: str,
    told: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> Exported:
    """Keep the events of all files of the ledger that have none yet. Raises TableMissing, LakeError."""
    folder = premis_folder(bucket.name)
    done: set[str] = set()
    with suppress(FileNotFoundError, ValueError):
        done = set(json.loads(lake.read_text(f"{folder}EXPORTED.json")))
    files = [file for file in ledger_files(lake, bucket.name) if run_of(file.name) not in done]
    if not files:
        return Exported(0, 0)
    standing = ready(lake, bucket.name, settings_of(bucket), run_id, now, told)
    with lake.workspace() as workspace:
        parquet, usable = _events(lake, catalog, bucket, standing, files, workspace)
        if not usable:
            return Exported(0, 0)
        xml = workspace / "events.xml"
        with xml.open("wb") as out:
            _write_xml(parquet, out, workspace)
        events = int(pq.read_metadata(parquet).num_rows)
        names = f"{folder}{run_id}.xml", f"{folder}{run_id}.parquet"
        for name, file in zip(names, (xml, parquet), strict=True):
            lake.put(name, file)
    lake.put_text(f"{folder}EXPORTED.json", json.dumps(sorted({*done, *usable})), replace=True)
    return Exported(events, len(usable), *names)


def print_events(
    lake: Lake,
    catalog: Catalog,
    bucket: Bucket,
    out: BinaryIO,
    key: str | None = None,
    since: datetime | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> None:
    """Write the events of all checks, or of those of `key`, or `since` (UTC), as one PREMIS document.

    Raises TableMissing, LakeError.
    """
    standing = ready(lake, bucket.name, settings_of(bucket), str(uuid.uuid4()), told=told)
    with lake.workspace() as workspace:
        files = ledger_files(lake, bucket.name)
        parquet, _ = _events(lake, catalog, bucket, standing, files, workspace, key, since)
        _write_xml(parquet, out, workspace)


def _events(
    lake: Lake,
    catalog: Catalog,
    bucket: Bucket,
    standing: Standing,
    files: list[LakeFile],
    workspace: Path,
    key: str | None = None,
    since: datetime | None = None,
) -> tuple[Path, set[str]]:
    """The events as a local Parquet file, and the runs whose files of the ledger they come from."""
    usable, _ = usable_files(lake, bucket.name, files, workspace, known=standing.left_out)
    file = workspace / "events.parquet"
    with open_database(workspace) as database:
        view(database, "checks", [each.path for each in usable], CHECKSUMS)
        view_now(database, lake, standing, "objects", workspace)
        reader = database.execute(
            _EVENTS.read_text(encoding="utf-8"),
            {
                "namespace": NAMESPACE.hex,
                "bucket": bucket.name,
                "place": _place(catalog, bucket),
                "agent": _agent(),
                "key": key,
                "since": since,
            },
        ).to_arrow_reader(100_000)
        with pq.ParquetWriter(file, reader.schema, compression="zstd", compression_level=1) as writer:
            for batch in reader:
                writer.write_batch(batch)
    return file, {run_of(each.name) for each in usable}


def _write_xml(events: Path, out: BinaryIO, workspace: Path) -> None:
    out.write(_HEAD.encode())
    with open_database(workspace) as database:
        database.execute(_ESCAPED)
        reader = database.execute(_XML.read_text(encoding="utf-8"), {"events": str(events)}).to_arrow_reader(
            20_000
        )
        with ThreadPoolExecutor(1) as pool:  # what was made is written while the next is being made
            writing = None
            for batch in reader:
                # The texts stand one after the other in Arrow's buffer, as they are to stand in the file.
                texts = batch.column(0).cast(pa.large_string())
                assert texts.offset == 0
                if writing is not None:
                    writing.result()
                writing = pool.submit(out.write, texts.buffers()[2])
            if writing is not None:
                writing.result()
    out.write(_AGENT.format(agent=_agent(), version=version("fixity-platform")).encode())


def _agent() -> str:
    return f"fixity-platform {version('fixity-platform')}"


def _place(catalog: Catalog, bucket: Bucket) -> str:
    """What the URI of an object of a bucket begins with."""
    if bucket.path is not None:
        return f"{bucket.path.as_uri()}/"
    return f"s3://{bucket.real_name}/{quote(bucket.prefix)}"
