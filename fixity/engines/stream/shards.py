"""Shards: pieces of an inventory that are hashed, kept and resumed one by one.

One step of a run hashes one shard. It writes the checks to the lake's scratch in parts, so that a
re-execution continues after the last part. Shards and parts are ranges of rows of one inventory: all parts
in order are the sorted table. Which objects to read does not belong here.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject, listed_objects
from fixity.catalog import CHUNK_SIZE, Algorithm
from fixity.clock import utc_now
from fixity.digests.algorithms import Digest
from fixity.engines.stream.checkpoints import Checkpoints
from fixity.engines.stream.engine import Check, check_objects
from fixity.errors import AnotherPlace
from fixity.lake import Lake, LakeError
from fixity.lake.writer import rows_of
from fixity.ledger.judge import judged
from fixity.tables import (
    CHECKSUMS,
    LISTED_COLUMNS,
    SUCCEEDED,
    Provenance,
    naming_the_unreadable,
    this_software,
)

SHARD_OBJECTS, SHARD_BYTES = 100_000, 1024**4
PART_OBJECTS, PART_BYTES = 2_000, 4 * 1024**3
_SOFTWARE = b"software"


@dataclass(frozen=True)
class Shard:
    """Rows `first` to `first + objects` of the inventory, with `size` bytes in all."""

    first: int
    objects: int
    size: int


@dataclass(frozen=True)
class Plan:
    """How an inventory is hashed. `inventory` is its name in the lake; `algorithm` of the checksums;
    `place`, where the bucket was when it was listed, None if unknown; `rests_on`,
    what was known of a whole bucket (`fixity.ledger.carried`), None for a plan of a few objects.
    """

    inventory: str
    algorithm: Algorithm
    shards: list[Shard]
    place: str | None = None
    rests_on: str | None = None

    @property
    def objects(self) -> int:
        """Objects in all shards."""
        return sum(shard.objects for shard in self.shards)

    @property
    def size(self) -> int:
        """Bytes in all shards."""
        return sum(shard.size for shard in self.shards)

    def to_json(self) -> str:
        """The plan as text, for scratch."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote."""
        plan = json.loads(text)
        shards = [Shard(**shard) for shard in plan["shards"]]
        return cls(plan["inventory"], plan["algorithm"], shards, plan.get("place"), plan.get("rests_on"))

    def refuse_elsewhere(self, bucket: str, place: str) -> None:
        """Raises AnotherPlace if the catalog's `place` of the bucket is not the one that was listed."""
        if self.place not in (None, place):
            raise AnotherPlace(
                f"{bucket} was listed at {self.place}, but the catalog now says {place}: start a new run "
                f"that materializes inventory[{bucket}] and checksums[{bucket}]; to continue the old one, "
                "put the catalog back"
            )


def cut(sizes: Iterator[int], objects: int, size: int, first: int = 0) -> Iterator[Shard]:
    """Cut consecutive rows so that no piece has more than `objects` rows, nor, unless it is a
    single row, more than `size` bytes. `sizes` are the rows' bytes, `first` the first row's number.
    """
    count = volume = 0
    for row in sizes:
        if count and (count == objects or volume + row > size):
            yield Shard(first, count, volume)
            first, count, volume = first + count, 0, 0
        count += 1
        volume += row
    if count:
        yield Shard(first, count, volume)


def make_plan(inventory: str, file: Path, algorithm: Algorithm) -> Plan:
    """Cut an inventory (its name in the lake, and a local path of it) into shards."""
    with naming_the_unreadable(file), pq.ParquetFile(file) as table:
        sizes = (
            size
            for batch in table.iter_batches(columns=["size"])
            for size in batch.column("size").to_pylist()
        )
        shards = list(cut(sizes, SHARD_OBJECTS, SHARD_BYTES))
    return Plan(inventory, algorithm, shards, Provenance.read(file).place)


@dataclass(frozen=True)
class Progress:
    """The progress of a shard: objects and bytes that are done, with those of finished parts, and all."""

    objects: int
    size: int
    of_objects: int
    of_size: int


@dataclass(frozen=True)
class Reading:
    """How a bucket is read.

    store: the open bucket. threads: objects read at once. chunk_size: in bytes; a larger object keeps the
    state of its digest after each chunk. progress: called after each object. log: gets messages for people.
    now: returns the time in UTC.
    """

    store: BucketReader
    threads: int
    chunk_size: int = CHUNK_SIZE
    progress: Callable[[Progress], None] = lambda progress: None
    log: Callable[[str], None] = lambda text: None
    now: Callable[[], datetime] = utc_now


class _PartOfShard:
    """A part in the making: checks arrive in any order; the part is kept when it is complete."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.checks: list[Check | None] = [None] * rows.num_rows
        self.missing = rows.num_rows

    def add(self, position: int, check: Check) -> None:
        self.checks[position] = check
        self.missing -= 1

    def table(self, algorithm: Algorithm, run_id: str) -> pa.Table:
        columns = {name: self.rows.column(name) for name in LISTED_COLUMNS}
        count = self.rows.num_rows
        for name in ("checksum", "status", "error_code", "error_message", "bytes_read", "checked_at"):
            values = [getattr(check, name) for check in self.checks]
            columns[name] = pa.array(values, CHECKSUMS.field(name).type)
        done = [check is not None and check.status == SUCCEEDED for check in self.checks]
        columns["algorithm"] = pa.repeat(algorithm, count)
        columns["checksum_type"] = pa.array(["FULL_OBJECT" if ok else None for ok in done], pa.string())
        columns["evidence"] = pa.repeat("streamed", count)
        columns["run_id"] = pa.repeat(run_id, count)
        columns["reads"] = pa.repeat(pa.scalar(1, pa.int32()), count)
        others = [list(check.others.items()) or None if check else None for check in self.checks]
        columns["other_checksums"] = pa.array(others, CHECKSUMS.field("other_checksums").type)
        expected = self.rows.column("expectations") if "expectations" in self.rows.column_names else None
        return judged(pa.table(columns), expected).replace_schema_metadata({_SOFTWARE: this_software()})

    def others(self, own: Algorithm) -> list[tuple[Algorithm, ...]]:
        """For each row, the algorithms of its expected checksums, if any is not the bucket's `own`."""
        if "expectations" in self.rows.column_names:
            expectations = self.rows.column("expectations")
            algorithms = pc.struct_field(pc.list_flatten(expectations), "algorithm")
            if pc.any(pc.not_equal(algorithms, own)).as_py():
                return [tuple({each["algorithm"] for each in row or ()}) for row in expectations.to_pylist()]
        return [()] * self.rows.num_rows


def hash_shard(reading: Reading, lake: Lake, scratch: str, plan: Plan, shard: Shard, run_id: str) -> None:
    """Check all objects of a shard and keep the checks, part by part, below `scratch` in the lake.

    After an interrupted attempt, its finished parts are not read again, and a large object continues after
    its last chunk, with a message in the log.
    Raises BucketUnreachable, LakeError; finished parts stay.
    """
    parts_to = parts_folder(scratch, plan)
    notices: deque[str] = deque()
    checkpoints = Checkpoints(lake, f"{scratch}rehashes/", reading.chunk_size, notices.append)
    kept = {file.name for file in lake.list(parts_to)}
    with lake.workspace() as workspace, pq.ParquetFile(lake.fetch(plan.inventory, workspace)) as table:
        rows = rows_of(table, shard.first, shard.objects)
        sizes = rows.column("size").to_pylist()
        parts = list(cut(iter(sizes), PART_OBJECTS, PART_BYTES))
        finished = [part for part in parts if part_file(parts_to, shard, part) in kept]
        objects = sum(part.objects for part in finished)
        size = sum(part.size for part in finished)
        wanted = [part for part in parts if part not in finished]
        filling: dict[int, _PartOfShard] = {}
        part_of: dict[int, Shard] = {}
        others: dict[int, tuple[Algorithm, ...]] = {}

        def items() -> Iterator[tuple[int, ListedObject]]:
            for part in wanted:
                part_rows = rows.slice(part.first, part.objects)
                filling[part.first] = _PartOfShard(part_rows)
                others.update(enumerate(filling[part.first].others(plan.algorithm), part.first))
                for position, item in enumerate(listed_objects(part_rows), part.first):
                    part_of[position] = part
                    yield position, item

        def digest_of(position: int, item: ListedObject) -> Digest:
            return checkpoints.digest(item, plan.algorithm, others.pop(position))

        reading.progress(Progress(objects, size, shard.objects, shard.size))
        for check in check_objects(reading.store, items(), digest_of, reading.threads, reading.now):
            while notices:  # left by the reading threads
                reading.log(notices.popleft())
            part = part_of.pop(check.position)
            part_filling = filling[part.first]
            part_filling.add(check.position - part.first, check)
            if not part_filling.missing:
                file = workspace / "part.parquet"
                pq.write_table(filling.pop(part.first).table(plan.algorithm, run_id), file)
                lake.put(part_file(parts_to, shard, part), file, replace=True)
            objects += 1
            size += sizes[check.position]
            reading.progress(Progress(objects, size, shard.objects, shard.size))


def plan_file(scratch: str) -> str:
    """The plan's name in the lake."""
    return f"{scratch}plan.json"


def parts_folder(scratch: str, plan: Plan) -> str:
    """The folder of the finished parts. Each inventory and algorithm has its own, so that parts of another
    plan of the same run are never taken for parts of this one."""
    return f"{scratch}parts/{PurePosixPath(plan.inventory).stem}-{plan.algorithm}/"


def fetch_parts(lake: Lake, scratch: str, plan: Plan, workspace: Path) -> list[Path]:
    """The files of all parts below `scratch`, in the order of the inventory.

    Raises LakeError if parts are missing, TableUnreadable.
    """
    folder = parts_folder(scratch, plan)
    files: list[Path] = []
    rows = 0
    for part in lake.list(folder):
        if part.name != f"{folder}{rows:012d}.parquet":
            break
        file = lake.fetch(part.name, workspace)
        with naming_the_unreadable(file):
            rows += pq.read_metadata(file).num_rows
        files.append(file)
    if rows != plan.objects:
        raise LakeError(
            f"the parts below {lake.location(scratch)} end at row {rows:,} of {plan.objects:,}: "
            "hash the bucket in a new run"
        )
    return files


def read_part(file: Path) -> pa.Table:
    """The checks of a part. Raises TableUnreadable."""
    with naming_the_unreadable(file):
        return pq.read_table(file).cast(CHECKSUMS)


def software_of(parts: Iterable[Path]) -> str | None:
    """The software that made some parts. A run that was re-executed after an upgrade has two versions.

    None if a part does not name it, or cannot be read.
    """
    found: set[str] = set()
    for part in parts:
        try:
            found.add((pq.read_schema(part).metadata or {})[_SOFTWARE].decode())
        except (KeyError, pa.ArrowException, OSError):
            return None
    return " or ".join(sorted(found)) or this_software()


def part_file(parts: str, shard: Shard, part: Shard) -> str:
    """A part's name in the lake. Names sort in the order of the rows."""
    return f"{parts}{shard.first + part.first:012d}.parquet"
