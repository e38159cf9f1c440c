"""The two buckets of a pair, open, and what their ledgers know of some objects. Planning does not belong
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from fixity.buckets import BucketReader, ListedObject, open_bucket
from fixity.buckets.local_writer import LocalWriter
from fixity.catalog import Bucket, Catalog
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.ledger.expected import expected_of_some
from fixity.ledger.fold_some import known_of_some
from fixity.ledger.inventory import write_objects
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
    """A run that repairs: the lake, its id, and by name both buckets of the pair, and the source's other
    replicas, from which a good copy may be taken.

    log: gets messages for people. now: returns the time in UTC. account: opens what copies by S3 Batch to a
    bucket need, for buckets that have `s3_batch` in the catalog. away: those of the other replicas that
    could not be opened.
    """

    lake: Lake
    run_id: str
    sides: Mapping[str, Side]
    log: Callable[[str], None] = lambda text: None
    now: Callable[[], datetime] = utc_now
    account: Callable[[str], Account] | None = None
    away: Sequence[str] = ()


def expected(run: RepairRun, side: Side, items: Iterable[ListedObject]) -> dict[str, pa.Table]:
    """What a bucket's ledger expects of some objects: one row for each, by key, as a part of a shard has it.

    Raises LakeError.
    """
    with run.lake.workspace() as workspace:
        file, known = _known(run, side, items, workspace)
        rows = expected_of_some(file, known, workspace)
    return {key: rows.slice(row, 1) for row, key in enumerate(rows.column("key").to_pylist())}


def has_found(run: RepairRun, side: Side, items: Iterable[ListedObject]) -> dict[str, str | None]:
    """What the newest check of each object found, by key, as ALGORITHM:hex; None if it failed.

    An object that was written since its newest check, or was never checked, is not among them. Raises
    LakeError.
    """
    wanted = {item.key: item for item in items}
    with run.lake.workspace() as workspace:
        _, known = _known(run, side, wanted.values(), workspace)
    return {
        row["key"]: f"{row['algorithm']}:{row['checksum']}" if row["checksum"] else None
        for row in known.to_pylist()
        if row["checked_at"] is not None and _is_same(row, wanted[row["key"]])
    }


def _known(
    run: RepairRun, side: Side, items: Iterable[ListedObject], workspace: Path
) -> tuple[Path, pa.Table]:
    """A file of some objects as they are listed, and the rows of their keys in the bucket's snapshot."""
    file = workspace / "objects.parquet"
    write_objects(items, Provenance(side.name, run.run_id, run.run_id, run.now(), side.place), file)
    return file, known_of_some(run.lake, side.bucket, file, workspace, run.log).rows


def _is_same(row: Mapping[str, object], item: ListedObject) -> bool:
    if item.version_id not in (None, "null"):
        return row["version_id"] == item.version_id
    return (row["etag"], row["last_modified"], row["size"]) == (item.etag, item.last_modified, item.size)
