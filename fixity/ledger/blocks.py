"""The rows of a snapshot's objects once more, in blocks that are found, read and proved one by one.

Who wants a few keys, such as a run that folds its checks, reads these: the table is proved as a whole, and a
few keys of many millions lie in nearly all of its row groups. Who wants all rows reads the table.

Each part of a snapshot has its own. The blocks of `blocks.bin` follow each other. `blocks.parquet`, their
index, has a row for each: its first key, where it is, its SHA-256, and the values of columns that have one
value in all of its rows, as most have in a bucket whose objects are right. It is proved like every table.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.in_order import in_order
from fixity.lake import Lake
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.ledger.by_key import sorted_by_key
from fixity.ledger.repeats import PACKED, unpacked
from fixity.ledger.snapshot import BLOCKS, INDEX, Snapshot
from fixity.tables import TableUnreadable

BLOCK_ROWS = 512
"""More cost whoever reads a block for one key; fewer make the index longer, and compress worse."""
_PLACE = pa.schema(
    [
        pa.field("first", pa.string()),
        pa.field("start", pa.int64()),
        pa.field("stored", pa.int32()),
        pa.field("unpacked", pa.int32()),
        pa.field("sha256", pa.binary(32)),
        pa.field("same", pa.int64()),
    ]
)
_CONSTANTS = [name for name in PACKED.names if name != "key"]
_INDEX = pa.schema([*_PLACE, *(PACKED.field(name) for name in _CONSTANTS)])
_CODEC = pa.Codec("zstd", 1)
_AT_ONCE = 2**21  # bytes of neighbours that are read together


class Block(NamedTuple):
    """Where a block is: its number, its first byte, how many bytes it has there and unpacked, its SHA-256.

    same: the bits of the columns that stand in the index.
    """

    number: int
    start: int
    stored: int
    unpacked: int
    sha256: bytes
    same: int


class BlocksWriter:
    """Writes rows of the schema PACKED, sorted by key, as blocks. Use it as a context.

    It works in a thread of its own, at most one call behind. Arguments: the local files for the blocks and
    for their index.
    """

    def __init__(self, blocks: Path, index: Path) -> None:
        self._stack = ExitStack()
        self._file = self._stack.enter_context(blocks.open("wb"))
        self._index = self._stack.enter_context(pq.ParquetWriter(index, _INDEX, compression="zstd"))
        self._thread = self._stack.enter_context(ThreadPoolExecutor(1))
        self._running: Future[None] | None = None
        self._written = 0
        self._waiting: list[pa.Table] = []  # rows of the index: small row groups would take long to read

    def write(self, rows: pa.Table) -> None:
        """Take the next rows. Raises OSError, also of the call before."""
        self._wait()
        self._running = self._thread.submit(self._write, rows)

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()

    def _write(self, rows: pa.Table) -> None:
        rows = rows.combine_chunks()
        same = sum(1 << bit for bit, name in enumerate(_CONSTANTS) if _has_one_value(rows.column(name)))
        varied = rows.select(_varied(same).names)
        blocks = []
        for first in range(0, rows.num_rows, BLOCK_ROWS):
            block = varied.slice(first, BLOCK_ROWS).to_batches()[0]
            whole = block.serialize()
            stored = _CODEC.compress(whole, asbytes=True)
            digest = hashlib.sha256(stored).digest()
            first_key = block["key"][0].as_py()
            blocks.append((first_key, self._written, len(stored), whole.size, digest, same))
            self._file.write(stored)
            self._written += len(stored)
        places = pa.Table.from_pylist(
            [dict(zip(_PLACE.names, block, strict=True)) for block in blocks], _PLACE
        )
        constants = rows.take(pa.array([0] * len(blocks), pa.int64()))
        own = [
            constants.column(each.name) if same >> bit & 1 else pa.nulls(len(blocks), each.type)
            for bit, each in enumerate(map(PACKED.field, _CONSTANTS))
        ]
        self._waiting.append(pa.table([*places.columns, *own], schema=_INDEX))
        if sum(each.num_rows for each in self._waiting) >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._index.write_table(pa.concat_tables(self._waiting))
            self._waiting = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack:
            self._wait()
            self._flush()


def _has_one_value(column: pa.ChunkedArray) -> bool:
    if column.null_count or pa.types.is_nested(column.type):
        return bool(column.null_count == len(column))
    return not len(column) or (column[0] == column[-1] and bool(pc.all(pc.equal(column, column[0])).as_py()))


@cache
def _varied(same: int) -> pa.Schema:
    """The columns of a block of which some stand in the index."""
    return pa.schema(
        each for each in PACKED if each.name == "key" or not same >> _CONSTANTS.index(each.name) & 1
    )


class _Found(NamedTuple):
    """Rows of a block with wanted keys, without the columns that stand in the index."""

    rows: pa.RecordBatch
    block: Block


def rows_of(lake: Lake, snapshot: Snapshot, keys: Iterable[str], workspace: Path) -> pa.Table:
    """The rows of a snapshot that have these keys, as they were folded, by key.

    Only the blocks that may have them are read. Raises FileNotFoundError, LakeError; TableUnreadable if one
    of these blocks, or an index, is not as it was written.
    """
    wanted = defaultdict[str, list[str]](list)
    parts = snapshot.parts
    for key in keys:
        wanted[parts[bisect_right(snapshot.cuts, key)]].append(key)
    tables = [PACKED.empty_table()]
    for part, of_part in sorted(wanted.items()):
        tables += _rows_of_part(lake, part, of_part, workspace)
    return sorted_by_key(unpacked(pa.concat_tables(tables).combine_chunks()))


def _rows_of_part(lake: Lake, part: str, keys: Iterable[str], workspace: Path) -> Iterator[pa.Table]:
    """The rows of a part, as it has them, that have these keys. Arguments: `part`, its folder in the lake."""
    index = pq.read_table(lake.fetch(f"{part}{INDEX}", workspace), schema=_INDEX)
    wanted = _blocks_of(index.column("first").to_pylist(), keys)
    numbers = sorted(wanted)
    places = index.select(_PLACE.names[1:]).take(pa.array(numbers, pa.int64()))
    blocks = map(Block, numbers, *(column.to_pylist() for column in places.columns))
    read = partial(_read, lake, f"{part}{BLOCKS}", wanted)
    found = defaultdict[int, list[_Found]](list)
    with closing(in_order(read, _neighbours(blocks), lake.at_once)) as runs:
        for each in chain.from_iterable(runs):
            found[each.block.same].append(each)
    return (_whole(index, same, rows) for same, rows in found.items())


def _whole(index: pa.Table, same: int, parts: Sequence[_Found]) -> pa.Table:
    """The rows with all columns. Arguments: `parts`, rows of blocks that have the same columns."""
    rows = pa.Table.from_batches([part.rows for part in parts])
    numbers = [part.block.number for part in parts for _ in range(part.rows.num_rows)]
    constants = index.take(pa.array(numbers, pa.int64()))
    varied = _varied(same).names
    return pa.table(
        [(rows if name in varied else constants).column(name) for name in PACKED.names], schema=PACKED
    )


def _blocks_of(firsts: Sequence[str], keys: Iterable[str]) -> Mapping[int, list[str]]:
    """The numbers of the blocks that may have rows of keys, and of which: versions may lie in several.

    Arguments: `firsts`, the first key of each block.
    """
    wanted = defaultdict[int, list[str]](list)
    for key in keys:
        for number in range(max(0, bisect_left(firsts, key) - 1), bisect_right(firsts, key)):
            wanted[number].append(key)
    return wanted


def _neighbours(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Those blocks together that are read at once."""
    run: list[Block] = []
    size = 0
    for block in blocks:
        if run and (block.number > run[-1].number + 1 or size + block.stored > _AT_ONCE):
            yield run
            run, size = [], 0
        run.append(block)
        size += block.stored
    if run:
        yield run


def _read(lake: Lake, name: str, wanted: Mapping[int, list[str]], run: list[Block]) -> list[_Found]:
    """The rows of a run of blocks that have one of the keys that are wanted of them."""
    start, last = run[0].start, run[-1]
    stored = memoryview(lake.part(name, start, last.start + last.stored - start))
    found = []
    for block in run:
        own = stored[block.start - start :][: block.stored]
        if hashlib.sha256(own).digest() != block.sha256:
            why = ValueError(f"the bytes from {block.start:,} on have changed since they were written")
            raise TableUnreadable(lake.location(name), why)
        rows = pa.ipc.read_record_batch(_CODEC.decompress(own, block.unpacked), _varied(block.same))
        keys = pa.array(wanted[block.number], pa.string())
        found.append(_Found(rows.filter(pc.is_in(rows["key"], value_set=keys)), block))
    return found
