"""What a deposit's verification by ETag cannot do without: the files' MD5s, and the bucket's listing.

Usage: python -m bench.deposit_floor CATALOG BUCKET FOLDER. On as many threads as the command uses; nothing is
compared, and nothing written.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from threading import Thread

from fixity.buckets import open_bucket
from fixity.catalog import load_catalog
from fixity.in_order import processors

_PIECE = 256 * 1024


def _hash(files: list[str]) -> None:
    buffer = memoryview(bytearray(_PIECE))
    for name in files:
        digest = hashlib.md5(usedforsecurity=False)
        with open(name, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more, and a floor has no costs of its own
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
        digest.hexdigest()


def main(catalog_file: str, bucket: str, folder: str) -> None:
    """List the bucket, then hash the files."""
    catalog = load_catalog(Path(catalog_file))
    listed = sum(batch.num_rows for batch in open_bucket(catalog, catalog.buckets[bucket]).list_objects())
    files = [f"{above}/{name}" for above, _, names in os.walk(folder) for name in names]
    if listed != len(files):
        raise SystemExit(f"{listed} objects of {len(files)} files")
    count = max(2, processors())
    threads = [Thread(target=_hash, args=[files[number::count]]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
