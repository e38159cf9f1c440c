"""The two buckets of a pair, open, and what their ledgers know of some objects. Planning does not belong
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject, open_bucket
from fixity.buckets.local_writer import LocalWriter
from fixity.catalog import Bucket, Catalog
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.ledger import known_so_far
from fixity.ledger.expected import with_expectations
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import write_objects
from fixity.ledger.views import view_now
from fixity.tables import Provenance

if TYPE_CHECKING:
    from mypy_boto3_s3control import S3ControlClient

    from fixity.buckets.s3.writer import S3Writer


@dataclass(frozen=True)
class Side:
    """One bucket of a pair, open.

    place: where it is, by the catalog. threads: objects that are read or written at once. is_md5: whether the
    ETag of an object (key, version) is the MD5 of its bytes.
    """

    bucket: Bucket
    place: str
    reader: BucketReader
    writer: LocalWriter | S3Writer
    threads: int
    is_md5: Callable[[str, str | None], bool]

    @property
    def name(self) -> str:
        """The bucket's name in the catalog."""
        return self.bucket.name


@contextmanager
def open_side(
    catalog: Catalog, bucket: Bucket, threads: int, is_md5: Callable[[str, str | None], bool] | None = None
) -> Iterator[Side]:
    """A bucket, open for a repair for the length of the block. Arguments: as in `Side`. Raises
    BucketUnreachable.
    """
    with closing(open_bucket(catalog, bucket)) as reader:
        if bucket.path is not None:
            writer: LocalWriter | S3Writer = LocalWriter(bucket.path)
        else:
            # botocore takes a fifth of a second to import; local directories do not need it.
            from fixity.buckets.s3.writer import open_writer

            writer = open_writer(catalog, bucket, threads)
        place = catalog.place_of(bucket)
        yield Side(bucket, place, reader, writer, threads, is_md5 or (lambda key, version_id: True))


class Account(NamedTuple):
    """What copies by S3 Batch need: S3 Control in a bucket's region, and what opens report buckets."""

    client: S3ControlClient
    reports: Callable[[str], Lake]


@dataclass(frozen=True)
class RepairRun:
    """A run that repairs: the lake, its id, and both buckets of the pair by name.

    log: gets messages for people. now: returns the time in UTC. account: opens what copies by S3 Batch to a
    bucket need, for buckets that have `s3_batch` in the catalog.
    """

    lake: Lake
    run_id: str
    sides: Mapping[str, Side]
    log: Callable[[str], None] = lambda text: None
    now: Callable[[], datetime] = utc_now
    account: Callable[[str], Account] | None = None


class Known:
    """What a bucket's ledger knows of some objects.

    Raises LakeError.
    """

    def __init__(self, run: RepairRun, side: Side) -> None:
        self._run, self._side = run, side
        self._snapshot = known_so_far(run.lake, side.name, settings_of(side.bucket), run.run_id, run.log)

    def expected(self, items: Iterable[ListedObject]) -> dict[str, pa.Table]:
        """One row for each object, by key, as a part of a shard has it: with what is expected of its
        bytes.
        """
        run, side = self._run, self._side
        with run.lake.workspace() as workspace:
            file = workspace / "objects.parquet"
            write_objects(items, Provenance(side.name, run.run_id, run.run_id, run.now(), side.place), file)
            rows = pq.read_table(with_expectations(run.lake, self._snapshot, file, None, workspace))
        return {key: rows.slice(row, 1) for row, key in enumerate(rows.column("key").to_pylist())}

    def has_found(self, items: Iterable[ListedObject]) -> dict[str, str | None]:
        """What the newest check of each object found, by key, as ALGORITHM:hex; None if it failed.

        An object that was written since its newest check, or was never checked, is not among them.
        """
        wanted = {item.key: item for item in items}
        if self._snapshot is None or not wanted:
            return {}
        keys = pa.table({"key": list(wanted)})
        with self._run.lake.workspace() as workspace, open_database(workspace) as database:
            view_now(database, self._run.lake, self._snapshot, "objects", workspace)
            database.register("wanted", keys)
            rows = database.execute(
                "SELECT key, version_id, etag, last_modified, size, algorithm, checksum "
                "FROM now SEMI JOIN wanted USING (key) WHERE checked_at IS NOT NULL"
            ).to_arrow_table()
        return {
            row["key"]: f"{row['algorithm']}:{row['checksum']}" if row["checksum"] else None
            for row in rows.to_pylist()
            if _is_same(row, wanted[row["key"]])
        }


def _is_same(row: Mapping[str, object], item: ListedObject) -> bool:
    if item.version_id not in (None, "null"):
        return row["version_id"] == item.version_id
    return (row["etag"], row["last_modified"], row["size"]) == (item.etag, item.last_modified, item.size)
