"""The whole spine over ten times the objects: whether time grows with the objects, and memory with nothing.

Each step is a process of its own, over the made-up bucket and ledger of `bench.rolling`, at two sizes. A
ledger of a hundred million objects takes 20 GB of disk, as much again while it is folded, and 13 GB more
while its PREMIS events are exported. The report at this size is measured by `bench.comparing`.

    python -m bench.spine --only fold .bench/ledger-10000000
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq

from bench import data, rolling
from bench.data import REPOSITORY, Collections
from bench.measure import Row, Usage, beside, run
from bench.ours import MadeUpStore
from fixity.catalog import Bucket
from fixity.engines.stream.shards import make_plan
from fixity.lake import LocalLake
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import newest_inventory, take_inventory
from fixity.rolling import bucket_coverage

LARGER = 10
"""How many times the objects of the usual size the large one has."""
_GROWTH, _MEMORY, _DISK = 11, 1, 3
"""The most that a step may take beside a tenth of the objects; in GB; of the disk beside its tables."""
_DOCUMENTS = "bytes-of-documents"
_EVERY = 0.5  # seconds between two looks at the disk


def inventory(folder: Path) -> None:
    """List as many objects as the bucket has, from made-up pages, into a lake that is thrown away."""
    lake = LocalLake(folder / "listed")
    objects = _objects(folder)
    assert take_inventory(MadeUpStore(objects), BucketRun(lake, Bucket(name="b"), "bench")).objects == objects


def plan(folder: Path) -> None:
    """Cut the bucket's inventory into shards."""
    lake = LocalLake(folder)
    name = newest_inventory(lake, rolling.BUCKET)
    with lake.workspace() as workspace:
        assert make_plan(name, lake.fetch(name, workspace), "SHA256").shards


def fold(folder: Path) -> None:
    """Fold the whole ledger anew."""
    shutil.rmtree(folder / "standing", ignore_errors=True)
    rolling.fold(folder)


def coverage(folder: Path) -> None:
    """Count how much of the bucket was checked within its term."""
    bucket = Bucket(name=rolling.BUCKET, fixity_every=timedelta(days=90))
    counted = bucket_coverage(LocalLake(folder), bucket, "bench", lambda: rolling.NOW)
    assert counted.objects == _objects(folder)


class CountingLake(LocalLake):
    """A lake that drops each PREMIS document after it was put, and counts its bytes in `documents`.

    Those of a hundred million events take 240 GB. The table of the events stays.
    """

    documents = 0

    def put(self, name: str, file: Path, replace: bool = False, keep: bool = False) -> None:
        """See Lake. A document is put as any other file, to the disk and with its proof, before it goes."""
        super().put(name, file, replace, keep)
        if name.endswith(".xml"):
            document = Path(self.location(name))
            self.documents += document.stat().st_size
            document.unlink()


def premis(folder: Path) -> None:
    """Export the PREMIS events of every check of the ledger, and note how many bytes their documents had."""
    shutil.rmtree(folder / "premis", ignore_errors=True)
    lake = CountingLake(folder)
    assert rolling.export_all(lake) >= _objects(folder)
    (folder / _DOCUMENTS).write_text(str(lake.documents), encoding="utf-8")


STEPS: dict[str, Callable[[Path], None]] = {
    "inventory": inventory,
    "plan": plan,
    "fold": fold,
    "choosing what is due": rolling.choose_batch,
    "coverage": coverage,
    "PREMIS, its documents dropped": premis,
}
"""In their order, since what is chosen, counted and exported needs the snapshot that was folded."""


def large_rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Time, memory and disk of each step beside a tenth of the objects; and a batch into the large ledger."""
    few, many = collections.compared, LARGER * collections.compared
    folders = {
        objects: rolling.make_lake(data.ROOT / f"ledger-{objects}", objects) for objects in (few, many)
    }
    rows: list[Row] = []
    for step in STEPS:
        used = {objects: _measure(step, folder) for objects, folder in folders.items()}
        (usage, disk), (usage_of_few, _) = used[many], used[few]
        name, a_tenth = f"{step}, {many:,} objects", "ours, a tenth of the objects"
        rows += [
            beside(f"{name}: wall time", "s", [usage.wall], [usage_of_few.wall], _GROWTH, a_tenth),
            Row(f"{name}: peak memory", usage.peak / 1e9, None, None, _MEMORY, "GB"),
        ]
        if step == "fold":
            tables = _bytes_below(folders[many]) / 1e9
            rows.append(beside(f"{name}: disk", "GB", [disk / 1e9], [tables], _DISK, "its tables"))
    documents = [int((folders[objects] / _DOCUMENTS).read_text()) / 1e9 for objects in (many, few)]
    name = f"PREMIS documents of {many:,} objects, put and dropped"
    rows.append(beside(name, "GB", documents[:1], documents[1:], _GROWTH, "ours, a tenth of the objects"))
    into, after, written = rolling.batch_seconds(folders[many])
    name = f"a batch of {rolling.BATCH:,} into {many:,} objects"
    return [
        *rows,
        Row(f"{name}: wall time", into, None, None, 5, "s"),
        Row(f"{name}: written", written / 1e6, None, None, 100, "MB"),
        Row("`no_damage` after it", after, None, None, 5, "s"),
    ]


def _measure(step: str, folder: Path) -> tuple[Usage, int]:
    """What a step uses, and the most that stood on the disk meanwhile, in bytes."""
    with _most_below(folder) as most:
        usage = run(
            [sys.executable, "-m", "bench.spine", "--only", step, folder],
            {**os.environ, "TMPDIR": str(_temporary(folder)), "PYTHONPATH": str(REPOSITORY)},
        )
    for made in ("listed", "premis"):
        shutil.rmtree(folder / made, ignore_errors=True)
    return usage, max(most)


@contextmanager
def _most_below(folder: Path) -> Iterator[list[int]]:
    """Looks at the bytes below a folder again and again; the list has what it saw."""
    ended, seen = threading.Event(), [_bytes_below(folder)]

    def look() -> None:
        while not ended.wait(_EVERY):
            seen.append(_bytes_below(folder))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _temporary(folder: Path) -> Path:
    """Where the step puts temporary files, so that they are counted."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return temporary


def _bytes_below(folder: Path) -> int:
    total = 0
    for directory, _, names in os.walk(folder):  # which passes over folders that are removed meanwhile
        for name in names:
            with suppress(OSError):  # so may a file be
                total += (Path(directory) / name).stat().st_size
    return total


def _objects(folder: Path) -> int:
    (file,) = (folder / "inventory" / rolling.BUCKET).glob("*.parquet")
    return int(pq.read_metadata(file).num_rows)


def main() -> None:
    """Do one step, in a process of its own that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs=2, metavar=("STEP", "LAKE"), required=True)
    step, folder = parser.parse_args().only
    STEPS[step](Path(folder))


if __name__ == "__main__":
    main()
