"""All records of a bucket's objects, gathered into one table: `baselines/<bucket>/<run id>.parquet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject, listed_objects
from fixity.buckets.s3.attributes import Attributes
from fixity.catalog import Algorithm
from fixity.ingest.records.by_hand import given_records
from fixity.ingest.records.manifests import find_manifests, is_of_manifest, manifest_records
from fixity.ingest.records.parts import PART_OBJECTS, RECORDS, GatheredParts, records_table
from fixity.ingest.records.record import Record
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.ledger.inventory import Wanted
from fixity.tables import BASELINES, Provenance

_SQL = Path(__file__).with_suffix(".sql")
_BATCH = 10_000  # records in Python's hands at a time


@dataclass(frozen=True)
class Baselines:
    """A table of records: its local file, how many, records by kind, and records that cannot be used."""

    file: Path
    rows: int
    by_source: dict[str, int]
    problems: int


def take_baselines(
    store: BucketReader,
    attributes: Attributes | None,
    lake: Lake,
    bucket: str,
    objects: Path,
    preferred: Algorithm,
    workspace: Path,
    scratch: str,
    threads: int,
    everything: bool,
    gone: Sequence[Wanted] = (),
    excluded: Callable[[str], bool] = lambda key: False,
    progress: Callable[[int], None] = lambda objects: None,
    log: Callable[[str], None] = lambda text: None,
) -> Baselines:
    """Gather what is recorded of the objects of an inventory.

    Arguments: `attributes`, None for a store that has none; `objects`, a local inventory; `preferred`,
    the algorithm that is taken first among records of one kind; `scratch`, where in the lake the parts are
    kept that an interrupted attempt goes on from, which goes to `log`; `everything`, whether the
    inventory is the whole bucket, so that a record of an object that is not in it speaks of one that
    is missing; `gone`, objects that were to be checked and are not in it, each a row in any case;
    `excluded`, keys that no listing has: records of them are left out.
    Returns the table, sorted by key and rank, in `workspace`.
    Raises BucketUnreachable, LakeError.
    """
    found = workspace / "records.parquet"
    parts = GatheredParts(lake, scratch, objects, preferred, workspace)
    if parts.kept and attributes is not None:
        log(f"{bucket}: {parts.kept:,} parts with records of its objects were gathered before")
    of_manifests: list[ListedObject] = []
    done = 0
    with pq.ParquetWriter(found, RECORDS) as writer, ThreadPoolExecutor(threads) as pool:

        def write(records: Iterable[Record]) -> None:
            waiting = (record for record in records if not excluded(record.key))
            while batch := list(islice(waiting, _BATCH)):
                writer.write_table(records_table(batch, preferred))

        write(given_records(lake, bucket, workspace))
        for items in _items(objects):
            of_manifests += [item for item in items if item.is_latest and is_of_manifest(item.key)]
            if attributes is not None:
                writer.write_table(parts.records(attributes, done, items, pool))
            done += len(items)
            progress(done)
        if not everything:
            of_manifests += _manifests_around(store, objects)
        manifests = find_manifests(of_manifests)
        write(chain.from_iterable(manifest_records(store, manifest) for manifest in manifests))
    file = workspace / "baselines.parquet"
    counts: Counter[str] = Counter()
    rows_written = problems = 0
    schema = Provenance.read(objects).attach(BASELINES)
    with open_database(workspace) as database, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        reader = database.execute(
            _SQL.read_text(encoding="utf-8"),
            {
                "records": str(found),
                "objects": str(objects),
                "everything": everything,
                "gone_keys": [key for key, _ in gone],
                "gone_versions": [version_id for _, version_id in gone],
            },
        ).to_arrow_reader(ROW_GROUP_ROWS)
        for batch in reader:
            table = pa.Table.from_batches([batch]).cast(BASELINES).cast(schema)
            writer.write_table(table)
            records = table.filter(table.column("recorded_as").is_valid())
            rows_written += records.num_rows
            problems += records.num_rows - records.column("problem").null_count
            counts.update(records.column("recorded_as").to_pylist())
    return Baselines(file, rows_written, dict(sorted(counts.items())), problems)


def _manifests_around(store: BucketReader, objects: Path) -> Iterator[ListedObject]:
    """The bags that a few objects lie in: those of the folders above them."""
    folders = {
        key[: place + 1]
        for items in _items(objects)
        for key in (item.key for item in items)
        for place, letter in enumerate(key)
        if letter == "/"
    } | {""}
    names = ["bagit.txt", *(f"{kind}-{name}.txt" for kind in ("manifest", "tagmanifest") for name in _BAG)]
    names += ["0=ocfl_object_1.0", "0=ocfl_object_1.1", "inventory.json"]
    names += ["inventory.json.sha512", "inventory.json.sha256"]
    for folder in sorted(folders):
        for first, others in (("bagit.txt", names[:9]), ("inventory.json", names[9:])):
            if store.find(folder + first) is not None:
                found = (store.find(folder + name) for name in others)
                yield from (item for item in found if item is not None)


_BAG = ("md5", "sha1", "sha256", "sha512")


def _items(objects: Path) -> Iterator[list[ListedObject]]:
    with pq.ParquetFile(objects) as table:
        for batch in table.iter_batches(PART_OBJECTS, columns=list(ListedObject.__slots__)):
            yield list(listed_objects(batch))
