"""PREMIS 3 documents from tables of events. Each is valid: it has the objects and agents of its events.

DuckDB writes the elements, about a hundred thousand events a second. Which events there are, and where
documents are kept, does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.sax.saxutils import escape

import pyarrow as pa

from fixity import compute as pc
from fixity.lake.database import open_database, quoted, view
from fixity.reports.premis.columns import EVENTS
from fixity.version import SOFTWARE

if TYPE_CHECKING:
    import duckdb

MOST_EVENTS, MOST_BYTES = 20_480, 64_000_000
"""The most events of a document, and its most bytes, if it has more than one event."""

_XML = Path(__file__).with_name("xml.sql")
_ESCAPED = """
    CREATE OR REPLACE TEMP MACRO escaped(text) AS replace(replace(replace(
        regexp_replace(text, '[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x{FFFE}\\x{FFFF}]', '?', 'g'),
        '&', '&amp;'), '<', '&lt;'), '>', '&gt;')
"""
_HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<premis xmlns="http://www.loc.gov/premis/v3" '
    b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    b'xsi:schemaLocation="http://www.loc.gov/premis/v3 http://www.loc.gov/standards/premis/premis.xsd" '
    b'version="3.0">\n'
)
_PLACE = (
    '<object xsi:type="intellectualEntity"><objectIdentifier><objectIdentifierType>URI</objectIdentifierType>'
    "<objectIdentifierValue>{place}</objectIdentifierValue></objectIdentifier></object>\n"
)
_AGENT = (
    "<agent><agentIdentifier>"
    "<agentIdentifierType>local</agentIdentifierType>"
    "<agentIdentifierValue>{agent}</agentIdentifierValue></agentIdentifier>"
    "<agentName>" + SOFTWARE + "</agentName><agentType>software</agentType>{version}</agent>\n"
)
_OBJECTS = """
    SELECT arg_max(object, said_at)
    FROM (
        SELECT object_uri AS uri, object, said_at FROM xml
        UNION ALL
        SELECT source_uri, source_object, said_at - 200_000_000_000_000_000
        FROM xml
        WHERE source_uri IS NOT NULL
    )
    GROUP BY uri
"""
_TEXTS = ("event", "object", "source_object")
_ROWS = 3_000  # about 8 MB: above 32 MB, the C library frees and allocates the memory each time
_AROUND = 1_000  # bytes of a document around its objects and events


@dataclass(frozen=True)
class Choice:
    """Which events: those of the object `key`, not before `since` and before `until` (UTC); None: of all."""

    key: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def condition(self) -> str:
        """The same in SQL."""
        conditions = ["true"]
        if self.key is not None:
            conditions.append(f"key = {quoted(self.key)}")
        if self.since is not None:
            conditions.append(f"event_datetime >= TIMESTAMPTZ {quoted(self.since.isoformat())}")
        if self.until is not None:
            conditions.append(f"event_datetime < TIMESTAMPTZ {quoted(self.until.isoformat())}")
        return " AND ".join(conditions)


ALL = Choice()


def write_documents(
    events: Sequence[Path],
    folder: Path,
    workspace: Path,
    choice: Choice = ALL,
    use: Callable[[Path], None] = lambda file: None,
) -> list[Path]:
    """Write events as documents of a bounded size, with numbered names. Without events, there are none.

    Arguments: `events`, local tables of them; `use` is given each document in order, in another thread, while
    the next ones are made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with open_database(workspace) as database, ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as user:
        _view(database, events, choice)
        writing: Future[None] | None = None
        using: Future[None] | None = None
        for rows in _that_fit(database.execute("FROM xml").to_arrow_reader(_ROWS)):
            if writing is not None:
                writing.result()
                if using is not None:
                    using.result()
                using = user.submit(use, written[-1])
            written.append(folder / f"{len(written) + 1:06d}.xml")
            writing = writer.submit(_write, rows, written[-1])  # while DuckDB makes the next
        if writing is not None:
            writing.result()
            if using is not None:
                using.result()
            use(written[-1])
    return written


def write_document(
    events: Sequence[Path], out: BinaryIO, place: str, workspace: Path, choice: Choice = ALL
) -> None:
    """Write events as one document, however large.

    Arguments: `events`, local tables of them; `place`, the URI of their bucket: without events, the document
    has nothing but this.
    """
    with open_database(workspace) as database:
        _view(database, events, choice)
        agents = [row[0] for row in database.execute("SELECT DISTINCT agent FROM events").fetchall()]
        out.write(_HEAD)
        if agents:
            for query in (_OBJECTS, "SELECT event FROM xml"):
                for batch in database.execute(query).to_arrow_reader(_ROWS):
                    out.write(_text_of(batch.column(0)))
        else:
            out.write(_PLACE.format(place=escape(place)).encode())
        out.write(_agents(agents))


def _view(database: duckdb.DuckDBPyConnection, events: Sequence[Path], choice: Choice) -> None:
    view(database, "all_events", events, EVENTS)
    columns = ", ".join(EVENTS.names)
    database.execute(f"CREATE TEMP VIEW events AS SELECT {columns} FROM all_events WHERE {choice.condition}")
    database.execute(_ESCAPED)
    database.execute(f"CREATE TEMP VIEW xml AS {_XML.read_text(encoding='utf-8')}")


def _that_fit(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """The rows of one document after the other."""
    rows: list[pa.RecordBatch] = []
    room_for, room = MOST_EVENTS, MOST_BYTES - _AROUND
    for whole in batches:
        batch = whole
        while batch.num_rows:
            sizes = [_text_of(batch.column(name)).size for name in _TEXTS]
            if batch.num_rows <= room_for and sum(sizes) <= room:
                fit, size = batch.num_rows, sum(sizes)
            else:
                fit, size = _how_many(batch, room_for, room, not rows)
            if fit:
                rows.append(batch.slice(0, fit))
                batch = batch.slice(fit)
                room_for, room = room_for - fit, room - size
            if batch.num_rows:
                yield rows
                rows, room_for, room = [], MOST_EVENTS, MOST_BYTES - _AROUND
    if rows:
        yield rows


def _how_many(batch: pa.RecordBatch, room_for: int, room: int, at_least_one: bool) -> tuple[int, int]:
    """How many of the first rows fit, and their bytes."""
    first = batch.slice(0, room_for)
    lengths = [pc.coalesce(pc.binary_length(first.column(name)), 0) for name in _TEXTS]
    sizes = pc.cumulative_sum(pc.cast(pc.add(pc.add(lengths[0], lengths[1]), lengths[2]), pa.int64()))
    fit = pc.sum(pc.less_equal(sizes, room)).as_py() or 0
    fit = max(fit, 1) if at_least_one else fit
    return fit, sizes[fit - 1].as_py() if fit else 0


def _write(rows: list[pa.RecordBatch], file: Path) -> None:
    """Write a document."""
    table = pa.Table.from_batches(rows)
    agents = pc.unique(table.column("agent")).to_pylist()
    with file.open("wb") as out:
        out.write(_HEAD)
        out.writelines(_objects(rows, table))
        out.writelines(_text_of(batch.column("event")) for batch in rows)
        out.write(_agents(agents))


def _objects(rows: list[pa.RecordBatch], table: pa.Table) -> Iterable[pa.Buffer | bytes]:
    """The objects of a document, each once."""
    uris, sources = table.column("object_uri"), table.column("source_uri")
    if sources.null_count == len(sources) and pc.count_distinct(uris).as_py() == len(uris):
        return [_text_of(batch.column("object")) for batch in rows]
    newest: dict[str, tuple[int, str]] = {}
    for uri, at, text in zip(
        *(table.column(name).to_pylist() for name in ("object_uri", "said_at", "object")), strict=True
    ):
        newest[uri] = max((at, text), newest.get(uri, (at, text)))
    for uri, text in zip(sources.to_pylist(), table.column("source_object").to_pylist(), strict=True):
        if uri is not None:
            newest.setdefault(uri, (0, text))
    return [text.encode() for _, text in newest.values()]


def _text_of(texts: pa.StringArray) -> pa.Buffer:
    """All texts of an array, one after the other."""
    _, offsets, data = texts.buffers()
    if data is None:
        return pa.py_buffer(b"")
    places = memoryview(offsets).cast("i")
    start, end = places[texts.offset], places[texts.offset + len(texts)]
    return data.slice(start, end - start)


def _agents(agents: Iterable[str]) -> bytes:
    """The agents, and the end of a document."""
    elements = []
    for agent in sorted(agents):
        name, _, version = agent.partition(" ")
        element = f"<agentVersion>{escape(version)}</agentVersion>" if name == SOFTWARE else ""
        elements.append(_AGENT.format(agent=escape(agent), version=element))
    return "".join([*elements, "</premis>\n"]).encode()
