"""Shards: pieces of an inventory that are hashed, kept and resumed one by one.

One step of a run hashes one shard. It writes the checks to the lake's scratch in parts, so that whoever
hashes it again reads only what is missing. Shards and parts are ranges of rows of one inventory: all parts in
order are the sorted table. Which objects to read, and what a new run takes over, does not belong here.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject, listed_objects
from fixity.catalog import CHUNK_SIZE, Algorithm, SecondLook
from fixity.clock import utc_now
from fixity.digests.algorithms import Digest
from fixity.engines.stream.checkpoints import Checkpoints
from fixity.engines.stream.engine import Check, Threads, check_objects
from fixity.engines.stream.pace import ShardLimits, usual_limits
from fixity.engines.stream.parts import PartOfShard, kept_parts, part_file, taken_checks
from fixity.engines.stream.second_look import SecondReader, allowance_of_run
from fixity.errors import AnotherPlace, BucketUnreachable
from fixity.lake import Lake
from fixity.lake.proof import sealed, unsealed_or_old
from fixity.lake.writer import rows_of
from fixity.tables import Provenance, naming_the_unreadable

LEAST_OBJECTS, LEAST_BYTES = 5_000, 256 * 1024**2
"""What a shard has at least, unless limits say less: a smaller one costs more as a step than it saves."""
PART_OBJECTS, PART_BYTES = 2_000, 4 * 1024**3


@dataclass(frozen=True)
class Shard:
    """Rows `first` to `first + objects` of the inventory, with `size` bytes in all."""

    first: int
    objects: int
    size: int


@dataclass(frozen=True)
class Plan:
    """How an inventory is hashed. `inventory` is its name in the lake; `algorithm` of the checksums;
    `place`, where the bucket was when it was listed, None if unknown; `rests_on`, what was known of a whole
    bucket (`fixity.ledger.carried`), None for a plan of a few objects; `bucket`; `selection`, the name of the
    list of objects, None for all; `run_id`, the run that made the plan; `taken`, how many checks it took over
    from interrupted runs; `steps`, how many steps read its shards at once, and share the bucket's limits;
    `cut_short`, why it has fewer objects than are due, None where it has not.
    """

    inventory: str
    algorithm: Algorithm
    shards: list[Shard]
    place: str | None = None
    rests_on: str | None = None
    bucket: str | None = None
    selection: str | None = None
    run_id: str | None = None
    taken: int = 0
    steps: int = 1
    cut_short: str | None = None

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
        return sealed(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote. Raises ValueError, KeyError, TypeError for any other text."""
        plan = unsealed_or_old(text)
        return cls(**{**plan, "shards": [Shard(**shard) for shard in plan["shards"]]})

    def is_over_the_same(self, other: Plan) -> bool:
        """Whether another plan chose its objects in the same way at the same place, by the same algorithm."""
        return self.bucket is not None and all(
            getattr(self, name) == getattr(other, name)
            for name in ("bucket", "place", "algorithm", "selection")
        )

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


def make_plan(inventory: str, file: Path, algorithm: Algorithm, limits: ShardLimits | None = None) -> Plan:
    """Cut an inventory (its name in the lake, and a local path of it) into shards.

    Arguments: `limits` of a shard. They are exceeded if there would be more shards than they say.
    """
    limits = limits or usual_limits()
    with naming_the_unreadable(file), pq.ParquetFile(file) as table:

        def sizes() -> Iterator[int]:
            for batch in table.iter_batches(columns=["size"]):
                yield from batch.column("size").to_pylist()

        objects, size = limits.objects, limits.size
        if limits.steps > 1:
            objects = min(objects, max(LEAST_OBJECTS, -(-table.metadata.num_rows // limits.steps)))
            # A little more than an even part: else equal objects would leave a last shard of a few.
            size = min(size, max(LEAST_BYTES, -(-21 * sum(sizes()) // (20 * limits.steps))))
        eighths = 8  # of an even part; both limits together may cut more pieces than each alone
        while len(shards := list(cut(sizes(), objects, size))) > limits.most:
            of_one = 8 * limits.most
            objects = max(limits.objects, -(-eighths * sum(shard.objects for shard in shards) // of_one))
            size = max(limits.size, -(-eighths * sum(shard.size for shard in shards) // of_one))
            eighths += 1
    listed, steps = Provenance.read(file), max(1, min(limits.steps, len(shards)))
    return Plan(inventory, algorithm, shards, listed.place, bucket=listed.bucket, steps=steps)


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
    now: returns the time in UTC. is_md5: whether the ETag of an object (key, version) is an MD5; asked only
    of objects that nothing but their ETag says to be wrong. second_look: how much of what differs a run reads
    a second time. etag_is_md5: whether plain ETags of the store are MD5s. ask: called before anything is read
    or kept; raises if the run must not go on.
    """

    store: BucketReader
    threads: Threads
    chunk_size: int = CHUNK_SIZE
    progress: Callable[[Progress], None] = lambda progress: None
    log: Callable[[str], None] = lambda text: None
    now: Callable[[], datetime] = utc_now
    is_md5: Callable[[str, str | None], bool] = lambda key, version_id: True
    second_look: SecondLook = field(default_factory=SecondLook)
    etag_is_md5: bool = True
    ask: Callable[[], None] = lambda: None


def hash_shard(reading: Reading, lake: Lake, scratch: str, plan: Plan, shard: Shard, run_id: str) -> None:
    """Check all objects of a shard and keep the checks, part by part, below `scratch` in the lake.

    What any attempt has kept, or the plan took over, is not read again, and a large object continues after
    its last chunk, with a message in the log. An object whose checksum is not the expected one is read a
    second time, whole, before its part is kept. Once the bucket is unreachable for good, the run's other
    shards send no request.
    Raises BucketUnreachable, LakeError, and what `reading.ask` raises; what was read stays.
    """
    reading.ask()
    stopped = f"{scratch}stopped/{run_id}.txt"
    with suppress(FileNotFoundError):
        raise BucketUnreachable(lake.read_bytes(stopped).decode(errors="replace"))
    parts_to, attempt = parts_folder(scratch, plan), uuid.uuid4().hex[:12]
    notices: deque[str] = deque()
    second = SecondReader(reading.store, reading.threads, reading.etag_is_md5, reading.now)
    checkpoints = Checkpoints(lake, states_folder(scratch), reading.chunk_size, notices.append)
    with lake.workspace() as workspace, pq.ParquetFile(lake.fetch(plan.inventory, workspace)) as table:
        rows = rows_of(table, shard.first, shard.objects)
        sizes = rows.column("size").to_pylist()
        of_shard = range(shard.first, shard.first + shard.objects)
        kept = kept_parts(lake, parts_to, of_shard, workspace, reading.log)
        taken = taken_checks(lake.fetch(taken_file(scratch, plan), workspace), of_shard) if plan.taken else {}
        wanted: list[Shard] = []
        objects = size = at = 0
        for first, count in [*((part.first, part.count) for part in kept), (of_shard.stop, 0)]:
            first -= shard.first
            wanted += cut(iter(sizes[at:first]), PART_OBJECTS, PART_BYTES, at)
            at = first + count
            objects += count
            size += sum(sizes[first:at])
        filling: dict[int, PartOfShard] = {}
        doubtful: deque[tuple[int, PartOfShard]] = deque(maxlen=4)  # the last parts with failed checks
        part_of: dict[int, Shard] = {}
        others: dict[int, tuple[Algorithm, ...]] = {}

        def begin(part: Shard) -> PartOfShard:
            if part.first not in filling:
                filling[part.first] = PartOfShard(rows.slice(part.first, part.objects))
            return filling[part.first]

        def taken_over() -> Iterator[Check]:
            for part in wanted:
                for check in filter(None, map(taken.get, range(part.first, part.first + part.objects))):
                    begin(part)
                    part_of[check.position] = part
                    yield check

        def table_of(part: PartOfShard) -> pa.Table:
            return part.table(plan.algorithm, run_id, reading.is_md5)

        def looked_at(first: int, part: PartOfShard) -> pa.Table:
            table = table_of(part)
            suspects = part.take_out_suspects(table)
            if not suspects:
                return table
            name = str(shard.first + first)
            with allowance_of_run(lake, f"{scratch}looked/", reading.second_look, name) as allowance:
                for check in second.look_again(suspects, plan.algorithm, allowance):
                    part.add(check.position, check)
            return table_of(part)

        def keep(first: int, table: pa.Table) -> None:
            reading.ask()
            file = workspace / "part.parquet"
            pq.write_table(table, file)
            lake.put(part_file(parts_to, shard.first + first, attempt), file, replace=True)

        def items() -> Iterator[tuple[int, ListedObject]]:
            for part in wanted:
                if taken and all(map(taken.__contains__, range(part.first, part.first + part.objects))):
                    continue
                begun = begin(part)
                others.update(enumerate(begun.others(plan.algorithm), part.first))
                for position, item in enumerate(listed_objects(begun.rows), part.first):
                    if position not in taken:
                        part_of[position] = part
                        yield position, item

        def digest_of(position: int, item: ListedObject) -> Digest:
            return checkpoints.digest(item, plan.algorithm, others.pop(position, ()))

        def threads() -> int:
            return min(shard.objects, reading.threads() if callable(reading.threads) else reading.threads)

        reading.progress(Progress(objects, size, shard.objects, shard.size))
        try:
            with closing(check_objects(reading.store, items(), digest_of, threads, reading.now)) as checks:
                for check in chain(taken_over(), checks):
                    while notices:  # left by the reading threads
                        reading.log(notices.popleft())
                    part = part_of.pop(check.position)
                    filling[part.first].add(check.position - part.first, check)
                    if not filling[part.first].missing:
                        complete = filling[part.first]
                        keep(part.first, looked_at(part.first, complete))
                        del filling[part.first]
                        if complete.has_failures:
                            doubtful.append((part.first, complete))
                    objects += 1
                    size += sizes[check.position]
                    reading.progress(Progress(objects, size, shard.objects, shard.size))
        except BucketUnreachable as error:
            if error.final:
                lake.put_text(stopped, str(error), replace=True)
            for first, complete in doubtful:
                keep(first, table_of(PartOfShard(complete.rows.slice(0, 0))))  # put over it, and begun anew
                filling[first] = complete
            for start, unfinished in filling.items():
                for first, done in unfinished.done():
                    done.take_out_suspects(table_of(done))  # nobody can look at them again now
                    for later, right in done.done():
                        keep(start + first + later, table_of(right))
            raise


def plan_file(scratch: str) -> str:
    """The plan's name in the lake."""
    return f"{scratch}plan.json"


def states_folder(scratch: str) -> str:
    """The folder of the states of large objects."""
    return f"{scratch}rehashes/"


def taken_file(scratch: str, plan: Plan) -> str:
    """The name in the lake of the checks that were taken over: rows of this plan's inventory."""
    return f"{scratch}taken-{PurePosixPath(plan.inventory).stem}-{plan.algorithm}.parquet"


def parts_folder(scratch: str, plan: Plan) -> str:
    """The folder of the finished parts. Each inventory and algorithm has its own, so that parts of another
    plan of the same run are never taken for parts of this one."""
    return f"{scratch}parts/{PurePosixPath(plan.inventory).stem}-{plan.algorithm}/"
