"""Gathers all records of a bucket's objects into one table, `baselines/<bucket>/<run id>.parquet`.

The kinds of records, and their order, do not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject
from fixity.buckets.s3.attributes import Attributes
from fixity.catalog import Algorithm
from fixity.ingest.records.attributes import OF_OBJECTS
from fixity.ingest.records.by_hand import given_records
from fixity.ingest.records.looking import Look, Stored, listed_in, looking
from fixity.ingest.records.manifests import (
    MANIFEST_NAMES,
    find_manifests,
    is_of_manifest,
    manifest_records,
)
from fixity.ingest.records.parts import PART_OBJECTS, RECORDS, GatheredParts, records_table
from fixity.ingest.records.record import BY_STRENGTH, Record, Source
from fixity.ingest.records.spellings import define_spellings
from fixity.lake import Lake
from fixity.lake.database import open_database, view
from fixity.lake.latest import IsWhole, latest_table
from fixity.lake.paths import baselines_folder, inventory_file, inventory_folder
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.ledger.inventory import Wanted
from fixity.tables import BASELINES, Provenance, TableUnreadable, naming_the_unreadable

_SQL = Path(__file__).with_suffix(".sql")
_BATCH = 10_000  # records in memory at a time
_CAN_BE_LOST: tuple[Source, ...] = ("object-tagging", "object-metadata")


@dataclass(frozen=True)
class Baselines:
    """A table of records: a local file, its number of records, these by kind, and how many cannot be used.

    last_look_lost: the table of the last look is damaged, so what was usable then is not known.
    """

    file: Path
    rows: int
    by_source: dict[str, int]
    problems: int
    last_look_lost: bool = False


@dataclass(frozen=True)
class Gathering:
    """A bucket, and how its records are gathered.

    name: in the catalog. attributes: None for a store that has none. threads: requests at once.
    algorithm: the bucket's own, which comes first among records of one kind. log: gets messages for people.
    records_in: the kinds of the objects' own records to look for, as in the catalog; None for all, but then
    HEAD and tags are asked for only where there are signs that they tell more than the listing.
    """

    name: str
    store: BucketReader
    attributes: Attributes | None
    threads: int
    algorithm: Algorithm
    log: Callable[[str], None] = lambda text: None
    records_in: tuple[Source, ...] | None = None


@dataclass(frozen=True)
class Objects:
    """The objects whose records are gathered.

    listed: a local inventory. everything: it is the whole bucket, so a record of another object means that
    the object is missing. gone: objects to check that the inventory lacks; each gets a row, even without a
    record. excluded: keys that no listing has; their records are left out.
    """

    listed: Path
    everything: bool
    gone: Sequence[Wanted] = ()
    excluded: Callable[[str], bool] = lambda key: False


def take_baselines(
    gathering: Gathering,
    objects: Objects,
    lake: Lake,
    scratch: str,
    workspace: Path,
    progress: Callable[[int], None] = lambda objects: None,
) -> Baselines:
    """Gather the records of a bucket's objects.

    Arguments: `scratch`, the folder in the lake for the parts, from which a re-execution continues;
    `progress` is called with the number of objects that are done.
    Returns the table, sorted by key and rank, in `workspace`.
    Raises BucketUnreachable, LakeError.
    """
    store, preferred = gathering.store, gathering.algorithm
    found = workspace / "records.parquet"
    parts = GatheredParts(lake, scratch, objects.listed, preferred, workspace)
    if parts.kept:
        gathering.log(
            f"{gathering.name}: continues after {parts.kept:,} parts that an earlier attempt gathered"
        )
    before: Path | None = None
    damaged: TableUnreadable | None = None
    try:
        before = _last_look(lake, gathering.name, objects, workspace)
    except TableUnreadable as error:
        damaged = error
    of_manifests: list[ListedObject] = []
    done = 0
    with pq.ParquetWriter(found, RECORDS) as writer, ThreadPoolExecutor(gathering.threads) as pool:

        def write(records: Iterable[Record]) -> None:
            waiting = (record for record in records if not objects.excluded(record.key))
            while batch := list(islice(waiting, _BATCH)):
                writer.write_table(records_table(batch, preferred))

        write(given_records(lake, gathering.name, workspace))
        if damaged is not None:
            name = baselines_folder(gathering.name)
            write(
                [Record(name, None, None, None, "api", name, f"{damaged}. If it is lost for good, remove it")]
            )
        look = _look(gathering, objects.listed, before, pool)
        for items, stored in _items(objects.listed):
            of_manifests += [item for item in items if item.is_latest and is_of_manifest(item.key)]
            if look is not None:
                writer.write_table(parts.records(partial(look, stored), done, items, pool))
            done += len(items)
            progress(done)
        if not objects.everything:
            of_manifests += _manifests_around(store, objects.listed, before, workspace)
        manifests = find_manifests(of_manifests)
        write(chain.from_iterable(manifest_records(store, manifest) for manifest in manifests))
    return replace(_table(found, objects, before, gathering, workspace), last_look_lost=damaged is not None)


def gather_own(
    gathering: Gathering,
    objects: Objects,
    lake: Lake,
    scratch: str,
    workspace: Path,
    rows: range,
    ask: Callable[[], None] = lambda: None,
) -> None:
    """Gather what some objects have recorded themselves, as parts that `take_baselines` finds.

    Arguments: `rows` of the inventory, from a multiple of PART_OBJECTS on; `ask` is called before each part,
    and raises if the run must not go on; the others as for `take_baselines`.
    Raises BucketUnreachable, LakeError.
    """
    parts = GatheredParts(lake, scratch, objects.listed, gathering.algorithm, workspace)
    before: Path | None = None
    with suppress(TableUnreadable):  # `take_baselines` says so
        before = _last_look(lake, gathering.name, objects, workspace)
    done = 0
    with ThreadPoolExecutor(gathering.threads) as pool:
        look = _look(gathering, objects.listed, before, pool)
        for items, stored in _items(objects.listed):
            if look is not None and done in rows:
                ask()
                parts.records(partial(look, stored), done, items, pool)
            done += len(items)


def _look(gathering: Gathering, listed: Path, before: Path | None, threads: Executor) -> Look | None:
    """How objects are asked for records of their own; None if there are none to look for."""
    if gathering.attributes is None or gathering.records_in == ():
        return None
    return looking(gathering.attributes, gathering.records_in, listed, before, threads, gathering.log)


def _last_look(lake: Lake, bucket: str, objects: Objects, workspace: Path) -> Path | None:
    """A local copy of the records that the newest run over the whole bucket found; None if there was none, or
    if the bucket was another place then. Raises LakeError, TableUnreadable."""
    name = latest_table(lake, baselines_folder(bucket), whole_looks(lake, bucket))
    if name is None:
        return None
    file = lake.fetch(name, workspace)
    places = {Provenance.read(file).place, Provenance.read(objects.listed).place} - {None}
    return file if len(places) < 2 else None


def whole_looks(lake: Lake, bucket: str) -> IsWhole:
    """Tells tables of records of a whole bucket: they are of an inventory that the lake has."""
    inventories = {file.name for file in lake.list(inventory_folder(bucket))}
    return lambda provenance: inventory_file(bucket, provenance.inventory_run_id) in inventories


def _table(
    records: Path, objects: Objects, before: Path | None, gathering: Gathering, workspace: Path
) -> Baselines:
    wanted = OF_OBJECTS if gathering.records_in is None else gathering.records_in
    asked = [source for source in _CAN_BE_LOST if gathering.attributes is not None and source in wanted]
    file = workspace / "baselines.parquet"
    counts: Counter[str] = Counter()
    rows_written = problems = 0
    provenance = Provenance.read(objects.listed)
    schema = provenance.attach(BASELINES)
    looked_at = Provenance.read(before).listed_at if before else provenance.listed_at
    with (
        naming_the_unreadable(*([before] if before else [])),
        open_database(workspace) as database,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        view(database, "before", [before] if before else [], BASELINES)
        define_spellings(database, records, objects.listed, None if objects.everything else gathering.store)
        database.execute(
            "CREATE TEMP MACRO power(rank, algorithm) AS "
            f"rank // 100 * 100 + list_position({list(BY_STRENGTH)}, algorithm)"
        )
        reader = database.execute(
            _SQL.read_text(encoding="utf-8"),
            {
                "records": str(records),
                "objects": str(objects.listed),
                "everything": objects.everything,
                "looked_at": looked_at,
                "asked": asked,
                "gone_keys": [key for key, _ in objects.gone],
                "gone_versions": [version_id for _, version_id in objects.gone],
            },
        ).to_arrow_reader(ROW_GROUP_ROWS)
        for batch in reader:
            table = pa.Table.from_batches([batch]).cast(BASELINES).cast(schema)
            writer.write_table(table)
            of_records = table.filter(table.column("recorded_as").is_valid())
            rows_written += of_records.num_rows
            problems += of_records.num_rows - of_records.column("problem").null_count
            counts.update(of_records.column("recorded_as").to_pylist())
    return Baselines(file, rows_written, dict(sorted(counts.items())), problems)


def _manifests_around(
    store: BucketReader, objects: Path, before: Path | None, workspace: Path
) -> Iterator[ListedObject]:
    """The manifests of the bags and OCFL objects around a few objects: those in the folders above them, and
    those where the last look found their records."""
    folders = {
        key[: place + 1]
        for items, _ in _items(objects)
        for key in (item.key for item in items)
        for place, letter in enumerate(key)
        if letter == "/"
    } | {""}
    keys = set(_places_of(objects, before, workspace))
    for folder in sorted(folders):
        for first, others in MANIFEST_NAMES.items():
            if store.find(folder + first) is not None:
                keys |= {folder + name for name in (first, *others)}
    found = (store.find(key) for key in sorted(keys))
    yield from (item for item in found if item is not None)


def _places_of(objects: Path, before: Path | None, workspace: Path) -> list[str]:
    """The manifests in which the records of some objects were at the last look."""
    with open_database(workspace) as database:
        view(database, "before", [before] if before else [], BASELINES)
        return [
            key
            for (key,) in database.execute(
                "SELECT DISTINCT recorded_in FROM before SEMI JOIN read_parquet(?) AS o USING (key) "
                "WHERE recorded_as = 'manifest'",
                [str(objects)],
            ).fetchall()
        ]


def _items(objects: Path) -> Iterator[tuple[list[ListedObject], Stored]]:
    with pq.ParquetFile(objects) as table:
        for batch in table.iter_batches(PART_OBJECTS):
            yield listed_in(batch)
