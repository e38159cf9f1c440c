"""What `bench.ingest` measures, as a process of its own.

Usage: python -m bench.ingest_work resumable|hashlib BYTES FOLDER, or deposit|md5 CATALOG BUCKET FOLDER.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from fixity.catalog import load_catalog
from fixity.database import processors
from fixity.deposit import Deposit, verify_deposit
from fixity.lake import LocalLake
from fixity.rehashes import Rehashes
from fixity.stores import ListedObject, Pace, open_store
from fixity.stores.local import LocalStore

_PIECE = memoryview(bytearray(256 * 1024))


def _feed(update: Callable[[memoryview], object], size: int) -> None:
    for _ in range(size // len(_PIECE)):
        update(_PIECE)


def resumable(size: int, folder: Path) -> str:
    """Digest so many bytes, the state kept in a lake at each quarter."""
    item = ListedObject("a", None, True, size, "an-etag", None, None)
    digest = Rehashes(LocalLake(folder), "scratch/r/rehashes/", size // 4).digest(item, "SHA256")
    _feed(digest.update, size)
    return digest.hexdigest()


def plain(size: int) -> str:
    """Digest so many bytes by hashlib."""
    digest = hashlib.sha256()
    _feed(digest.update, size)
    return digest.hexdigest()


def deposit(catalog_file: Path, name: str, folder: Path) -> None:
    """Verify a folder against its bucket, as the command does."""
    catalog = load_catalog(catalog_file)
    bucket = catalog.buckets[name]
    source, target = LocalStore(folder, Pace(16)), open_store(catalog, bucket)
    report = folder.with_suffix(".csv")
    summary = verify_deposit(Deposit(source, target, lambda: None), report, max(2, processors()))
    if summary.verified != summary.files or summary.not_local:
        raise SystemExit(f"not verified: {summary}")


def md5(catalog_file: Path, name: str, folder: Path) -> None:
    """The MD5 of each file, one after the other, and the listing of the bucket; nothing compared."""
    catalog = load_catalog(catalog_file)
    listed = sum(batch.num_rows for batch in open_store(catalog, catalog.buckets[name]).list_objects())
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    for file in files:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "md5")
    if listed != len(files):
        raise SystemExit(f"{listed} objects of {len(files)} files")


def main(work: str, *arguments: str) -> None:
    """Do one piece of work."""
    if work == "resumable":
        print(resumable(int(arguments[0]), Path(arguments[1])))
    elif work == "hashlib":
        print(plain(int(arguments[0])))
    elif work == "deposit":
        deposit(Path(arguments[0]), arguments[1], Path(arguments[2]))
    elif work == "md5":
        md5(Path(arguments[0]), arguments[1], Path(arguments[2]))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
