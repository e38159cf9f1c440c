"""The log: verifying a year of seals, and what a run pays for keeping its files as evidence.

The files hold 40 bytes each: hashing is as cheap as it gets. What sealing costs does not belong here: it is
done once a day, and no run waits for it.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from bench.data import Collections
from bench.measure import Row
from fixity.catalog import load_catalog
from fixity.lake import LocalLake
from fixity.lake.proof import Proof, proof_file
from fixity.log.chain import FETCHES, key_file
from fixity.log.keys import SigningKey, make_key
from fixity.log.known import verify_all
from fixity.log.manifest import read_seal, seal_file, seal_text
from fixity.log.records import sha256_of
from resources import CatalogResource, LakeResource

_A_SEAL = 100  # files
_RUNS = 3  # a round
_AT = "2026-01-01T00:30:00+00:00"
_BUCKET = "lake: {lake}\nbuckets: {{letters: {{path: letters}}}}\n"
_LOG = "log: {key: key.pem}\n"
_TEXTS = (
    "reports/2026-01-01/checksums/{run}/letters_checksum-report.csv",
    "metadata/2026-01-01/checksums/stats/{run}/letters_checksum-report.json",
    "premis/letters/{run}.xml",
)


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Wall time of `fixity log verify`, and of keeping what one run keeps."""
    return [_verifying(collections.seals, rounds, scratch), _keeping(rounds, scratch)]


def _verifying(seals: int, rounds: int, scratch: Path) -> Row:
    catalog = load_catalog(_catalog(scratch, "sealed", _LOG))
    lake, key = LocalLake(scratch / "sealed"), make_key(scratch / "key.pem")
    names = _seal(lake, key, seals)
    alone, more = list[float](), list[float]()

    def verify() -> None:
        found, _ = verify_all(lake, catalog, key.public)
        assert found.unbroken and not found.waiting and found.entries == len(names) + 1  # the key

    def read() -> None:
        with ThreadPoolExecutor(FETCHES) as pool:
            for sha256 in pool.map(lambda part: [lake.sha256(name) for name in part], _parts(names)):
                assert sha256

    read()  # not counted: it brings them into the page cache
    for _ in range(rounds):
        alone.append(_timed(read))
        more.append(_timed(verify) - alone[-1])
    name = f"fixity log verify of {seals * _A_SEAL:,} files and their records, beside reading these"
    return Row(name, median(more), median(alone), None, 10, "s", "reading alone")


def _parts(names: list[str]) -> list[list[str]]:
    return [names[start : start + 200] for start in range(0, len(names), 200)]


def _seal(lake: LocalLake, key: SigningKey, seals: int) -> list[str]:
    """Make a log as so many days leave it, without `fsync` and without a run. Returns all names in it."""
    before, names = None, list[str]()
    entries = {key_file(key.public.fingerprint): sha256_of(key.public.pem.encode())}
    _write(lake, key_file(key.public.fingerprint), key.public.pem)
    for number in range(1, seals + 1):
        for file in range(_A_SEAL):
            name = f"expected/letters/{number:03}-{file:03}.csv"
            path = _write(lake, name, f"key,checksum\nname,{number:013}{file:013}\n")
            proof = Proof.of(name, path, f"run-{number}")
            record = proof.text()
            _write(lake, proof_file(name), record)
            entries |= {proof_file(name): sha256_of(record.encode()), name: proof.sha256}
            names += [proof_file(name), name]
        text = seal_text(number, _AT, key, before, entries, [("found", f"unbroken up to {number - 1}")])
        _write(lake, seal_file(number), text.decode())
        before, entries = read_seal(text).sha256, {}
    return names


def _write(lake: LocalLake, name: str, text: str) -> Path:
    path = Path(lake.location(name))
    try:
        path.write_text(text, encoding="utf-8")
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return path


def _keeping(rounds: int, scratch: Path) -> Row:
    """What is measured is the whole of it: the files too are put and hashed."""
    taken: dict[str, list[float]] = {"with": [], "without": []}
    with dg.DagsterInstance.local_temp(str(scratch)) as instance:
        for number in range(rounds * _RUNS):
            for name, log in [("with", _LOG), ("without", "")][:: 1 if number % 2 else -1]:
                catalog = _catalog(scratch, f"kept-{name}", log)
                taken[name].append(_kept(instance, catalog, scratch / f"{name}-{number}"))
    return Row(
        "keeping what a run keeps (2 tables, a report, its counts, PREMIS): files, records, notes",
        median(taken["with"]),
        median(taken["without"]),
        None,
        0.1,
        "s",
        "without a log",
    )


def _kept(instance: dg.DagsterInstance, catalog: Path, folder: Path) -> float:
    """Seconds that a step takes to keep its files."""
    table = pa.table({"key": [f"letters/{number:06}" for number in range(1000)]})

    @dg.asset
    def keeps(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        run, opened = context.run.run_id, lake.open()
        folder.mkdir()
        begun = time.perf_counter()
        for kind in ("inventory", "checksums"):
            pq.write_table(table, folder / kind)
            opened.put(f"{kind}/letters/{run}.parquet", folder / kind)
        for name in _TEXTS:
            opened.put_text(name.format(run=run), "text\n" * 1000)
        return dg.MaterializeResult(metadata={"seconds": time.perf_counter() - begun})

    opener = LakeResource(catalog=CatalogResource(file=str(catalog)))
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    done = dg.materialize([keeps], instance=instance, resources={"lake": opener}, run_config=quiet)
    (event,) = done.get_asset_materialization_events()
    return float(str(event.materialization.metadata["seconds"].value))


def _catalog(scratch: Path, lake: str, log: str) -> Path:
    file = scratch / f"{lake}.yaml"
    file.write_text(_BUCKET.format(lake=lake) + log, encoding="utf-8")
    return file


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
