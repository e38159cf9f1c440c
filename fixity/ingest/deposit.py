"""Verifies an upload: compares each file of a local directory with its object; reads as little as possible.

A match rests on the ETag, on the checksum of the whole object that S3 stored at upload, or on reading the
object back; the result says which. A mismatch always rests on bytes that were read back twice, or on the
size: an unexpected ETag may only be of another kind. Checksums in the ledger do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple

from fixity.buckets import BucketReader, ListedObject, LocalReader, ObjectError, listed_objects
from fixity.buckets.base import ObjectUnreadable, one_of, refuse_unreadable
from fixity.catalog import Algorithm
from fixity.catalog.exclude import excluded_by
from fixity.digests.algorithms import Digest, Together, as_hex
from fixity.digests.etag import MultipartEtag, likely_part_sizes, parts_of
from fixity.engines.stream.engine import Check, Reads, check_object
from fixity.engines.stream.second_look import Afresh
from fixity.errors import WrongUsage
from fixity.in_order import in_order
from fixity.lake.csv_files import csv_line
from fixity.ledger.judge import UNSTABLE_READ

if TYPE_CHECKING:
    from fixity.buckets.s3.attributes import Attributes

Status = Literal["verified", "mismatch", "missing", "failed"]
Comparison = Literal["etag", "s3-checksum", "read", "size", "none"]
_BATCH, _BATCH_BYTES = 100, 16 * 1024**2


class Deposited(NamedTuple):
    """The result for one file: a row of the report.

    status: `failed` means that something could not be read, not that the bytes are wrong. comparison: what
    the result rests on. algorithm, local, remote: what was compared. detail: for people.
    """

    key: str
    size: int
    status: Status
    comparison: Comparison
    algorithm: str | None = None
    local: str | None = None
    remote: str | None = None
    detail: str | None = None


@dataclass
class Summary:
    """Numbers of files by status, their bytes, and the number of objects without a local file."""

    files: int = 0
    bytes: int = 0
    verified: int = 0
    mismatch: int = 0
    missing: int = 0
    failed: int = 0
    not_local: int = 0


class ReadBack:
    """How many bytes of a bucket were read back, by several threads."""

    def __init__(self) -> None:
        self.bytes = 0
        self._adding = Lock()

    def add(self, size: int) -> None:
        """Count what was read, whatever came of it."""
        with self._adding:
            self.bytes += size


@dataclass(frozen=True)
class Deposit:
    """A deposit to verify: the local directory, the bucket, and how a file's key becomes an object's key.

    prefix: put before a file's key. above: the part of the bucket's keys above the target, if the target is
    opened below a prefix. attributes: opens the attributes of the bucket's objects; called only when needed,
    because opening can cost more than a small deposit; it returns None for a local directory. read: whether
    to read back every object. exclude: shell patterns of the bucket's keys to leave out; exclude_files: of
    the files' keys. read_back: counts what is read of the bucket, of which the ledger does not tell.
    """

    source: LocalReader
    target: BucketReader
    attributes: Callable[[], Attributes | None]
    prefix: str = ""
    read: bool = False
    exclude: tuple[str, ...] = ()
    above: str = ""
    exclude_files: tuple[str, ...] = ()
    read_back: ReadBack = field(default_factory=ReadBack)

    def leaves_out(self) -> Callable[[str], bool]:
        """A function that says whether to leave out a key of the target, which includes the prefix."""
        of_bucket, of_files = excluded_by(self.exclude), excluded_by(self.exclude_files)
        return lambda key: of_bucket(self.above + key) or of_files(key.removeprefix(self.prefix))


class NothingToVerify(WrongUsage):
    """There is no file to verify, so a result without differences would prove nothing."""


def verify_deposit(
    deposit: Deposit, report: Path, threads: int, progress: Callable[[Summary], None] = lambda summary: None
) -> Summary:
    """Verify each file of a deposit, `threads` at once, and write a row for each to the CSV `report`.

    Raises BucketUnreachable if the directory or the bucket cannot be listed, NothingToVerify.
    """
    excluded = deposit.leaves_out()
    objects = _Objects(deposit.target, excluded)
    files = (item for item in deposit.source.files() if not excluded(deposit.prefix + item.key))
    summary = Summary()
    seen = 0

    def verify(pairs: list[_Pair]) -> list[Deposited]:
        return [verify_file(deposit, item, found) for item, found in pairs]

    pairs = ((item, objects.find(deposit.prefix + item.key)) for item in files)
    with (
        report.open("w", newline="", encoding="utf-8") as text,
        closing(in_order(verify, _batches(pairs), threads, ahead=2 * threads)) as results,
    ):
        text.write(csv_line(Deposited._fields))
        for rows in results:
            text.writelines(map(csv_line, rows))
            for done in rows:
                summary.files += 1
                summary.bytes += done.size
                setattr(summary, done.status, getattr(summary, done.status) + 1)
                seen += deposit.prefix + done.key in objects.known
            progress(summary)
    if not summary.files:
        raise NothingToVerify("there is no file in it, or `exclude` leaves them all out")
    objects.list_rest()
    summary.not_local = sum(key.startswith(deposit.prefix) for key in objects.known) - seen
    return summary


class _Objects:
    """The objects of a bucket, listed page by page as needed, so that hashing starts before listing ends.

    If the bucket lists in the order of keys, as S3 does, a file waits for one page; otherwise for more.
    """

    def __init__(self, target: BucketReader, excluded: Callable[[str], bool]) -> None:
        self._pages = target.list_objects()
        self._excluded = excluded
        self.known: dict[str, ListedObject] = {}

    def find(self, key: str) -> ListedObject | None:
        """An object's current version; None if there is none. Raises BucketUnreachable."""
        while key not in self.known and self._list_page():
            pass
        return self.known.get(key)

    def list_rest(self) -> None:
        """List all remaining objects into `known`. Raises BucketUnreachable."""
        while self._list_page():
            pass

    def _list_page(self) -> bool:
        page = next(self._pages, None)
        if page is None:
            return False
        for item in listed_objects(page):
            if item.is_latest and not self._excluded(item.key):
                self.known[item.key] = one_of([self.known.get(item.key, item), item])
        return True


_Pair = tuple[ListedObject, ListedObject | None]
"""A file, and its object."""


def _batches(pairs: Iterable[_Pair]) -> Iterator[list[_Pair]]:
    """Batches of few large or many small files: a task for each small file would cost as much as hashing."""
    batch: list[_Pair] = []
    size = 0
    for pair in pairs:
        batch.append(pair)
        size += pair[0].size
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def verify_file(deposit: Deposit, item: ListedObject, found: ListedObject | None) -> Deposited:
    """Verify one file: `item` as the directory lists it, `found` its object. Raises BucketUnreachable."""
    try:
        refuse_unreadable(item)
        if found is None or found.size != item.size:  # a listing may be wrong, or older than the upload
            found = deposit.target.find(deposit.prefix + item.key)
        if found is None:
            return Deposited(item.key, item.size, "missing", "none", detail="the bucket has no such object")
        refuse_unreadable(found)
        if found.size != item.size:
            detail = f"{item.size:,} bytes here, {found.size:,} in the bucket"
            return Deposited(item.key, item.size, "mismatch", "size", detail=detail)
        proved = None if deposit.read else _by_etag(deposit, item, found) or _by_stored(deposit, item, found)
        return proved or _by_reading(deposit, item, found)
    except ObjectError as error:
        return Deposited(item.key, item.size, "failed", "none", detail=str(error))


def _by_etag(deposit: Deposit, item: ListedObject, found: ListedObject) -> Deposited | None:
    """A match of ETags; None if there is none, which does not prove that the bytes differ."""
    etag = found.etag or ""
    parts = parts_of(etag)
    if parts is None:
        if len(etag) != 32:
            return None
        local = _hash(deposit.source, item, "MD5")
        return _verified(item, "etag", "MD5", local, etag) if local == etag else None
    for sizes in _part_sizes(deposit.attributes(), found, parts):
        digests = [MultipartEtag(each) for each in sizes]
        deposit.source.read(item, Together(digests))
        if any(digest.hexdigest() == etag for digest in digests):
            return _verified(item, "etag", f"MD5 of {parts} parts", etag, etag)
    return None


def _part_sizes(attributes: Attributes | None, found: ListedObject, parts: int) -> Iterator[list[list[int]]]:
    """Possible sizes of the parts: first those that the store reports, then the usual ones.

    Each item costs one read of the file, so all usual sizes are one item.
    """
    tried: list[list[int]] = []
    if attributes is not None:
        first = _part_size(attributes, found, 1, parts)
        if first and -(-found.size // first) == parts:
            tried.append([first])
            yield tried
        if first:
            sizes = [_part_size(attributes, found, number, parts) for number in range(1, parts + 1)]
            known = [size for size in sizes if size]
            if sum(known) == found.size and len(known) == parts and len(set(known[:-1])) > 1:
                tried.append(known)
                yield [known]
    usual = [[size] for size in likely_part_sizes(found.size, parts) if [size] not in tried]
    if usual:
        yield usual


def _part_size(attributes: Attributes, found: ListedObject, number: int, parts: int) -> int | None:
    """A part's size in bytes; None if the store does not say."""
    try:
        head = attributes.head(found.key, found.version_id, found.etag, part=number)
    except ObjectError:
        return None
    return head.size if head.parts == parts else None


def _by_stored(deposit: Deposit, item: ListedObject, found: ListedObject) -> Deposited | None:
    """A match with the checksum of the whole object that S3 stored; None if there is none."""
    attributes = deposit.attributes()
    if attributes is None:
        return None

    head = attributes.head(found.key, found.version_id, found.etag)
    for algorithm, value in head.checksums.items():
        local = _hash(deposit.source, item, algorithm)
        if local == as_hex(value, algorithm):
            return _verified(item, "s3-checksum", algorithm, local, local)
    return None


def _by_reading(deposit: Deposit, item: ListedObject, found: ListedObject) -> Deposited:
    first = _hash(deposit.source, item, "SHA256"), _read_back(deposit, deposit.target, found)
    if first[0] == first[1]:
        return _verified(item, "read", "SHA256", *first)
    again = (
        _checksum(check_object(Afresh(deposit.source), item, Digest("SHA256"))),
        _read_back(deposit, Afresh(deposit.target), found),
    )
    if again[0] == again[1]:
        return _verified(item, "read", "SHA256", *again)
    if again != first:
        raise ObjectUnreadable(UNSTABLE_READ, "two reads gave different bytes, and both times they differed")
    return Deposited(
        item.key, item.size, "mismatch", "read", "SHA256", *again, "the bytes differ, in two reads"
    )


def _read_back(deposit: Deposit, store: Reads, found: ListedObject) -> str:
    """The SHA-256 of an object's bytes, which are counted. Raises ObjectUnreadable."""
    check = check_object(store, found, Digest("SHA256"))
    deposit.read_back.add(check.bytes_read)
    return _checksum(check)


def _checksum(check: Check) -> str:
    if check.checksum is None:
        raise ObjectUnreadable(str(check.error_code), str(check.error_message))
    return check.checksum


def _verified(
    item: ListedObject, comparison: Comparison, algorithm: str, local: str, remote: str
) -> Deposited:
    return Deposited(item.key, item.size, "verified", comparison, algorithm, local, remote)


def _hash(store: BucketReader, item: ListedObject, algorithm: Algorithm) -> str:
    digest = Digest(algorithm)
    store.read(item, digest)
    return digest.hexdigest()
