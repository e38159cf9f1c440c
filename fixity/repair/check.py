"""The check after a repair: the new copies are read, and compared with the good bytes that were proved.

It is a check of the ledger like all others. Closing incidents is in `fixity.incidents.closing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import ListedObject, listed_objects
from fixity.digests.algorithms import Digest, digest_by
from fixity.engines.stream.engine import check_objects
from fixity.engines.stream.parts import PartOfShard
from fixity.engines.stream.second_look import Allowance, SecondReader
from fixity.ledger.damage import keep_with_snapshot
from fixity.ledger.inventory import write_objects
from fixity.ledger.judge import ETAG, EXPECTATIONS
from fixity.ledger.write import Checksums, ChecksWriter
from fixity.repair.copy import Done
from fixity.repair.sides import RepairRun, Side
from fixity.tables import FIRST_SEEN, MATCHED, Provenance

_PROOFS = "-proofs"
"""The end of the name of a file of the ledger with the checks of the good copies."""


@dataclass(frozen=True)
class Checked:
    """The checks of a bucket's new copies: their file in the lake, and the keys of those that are right."""

    kept: Checksums
    right: frozenset[str]


def keep_proofs(run: RepairRun, side: Side, done: Sequence[Done], more: Sequence[pa.Table] = ()) -> None:
    """Keep the checks of the good copies of a bucket, as a file of its ledger, whatever they found.

    Arguments: `more` such checks. Raises LakeError.
    """
    of_side = [each for each in done if each.planned.good == side.name]
    proofs = [table for each in of_side for table in (each.proof, each.found) if table is not None]
    proofs += more
    if proofs:
        keep_checks(run, side, pa.concat_tables(proofs).sort_by("key"), run.run_id + _PROOFS)


def check_repaired(run: RepairRun, side: Side, done: Sequence[Done]) -> Checked | None:
    """Read the new copies in a bucket, and keep their checks as a file of its ledger; None if there are none.

    Raises BucketUnreachable, LakeError.
    """
    made = {
        each.item.key: each for each in done if each.item is not None and each.planned.damaged == side.name
    }
    if not made:
        return None
    items = [each.item for each in made.values() if each.item is not None]
    table = read_now(run, side, items, lambda key: _expected(made[key]))
    right = (row["key"] for row in table.select(["key", "verdict"]).to_pylist() if row["verdict"] == MATCHED)
    return Checked(keep_checks(run, side, table, run.run_id), frozenset(right))


def read_now(
    run: RepairRun, side: Side, items: Iterable[ListedObject], expected: Callable[[str], dict[str, object]]
) -> pa.Table:
    """The checks of some objects of a bucket, by key. Arguments: `expected`, of a key, as EXPECTATION."""
    algorithm = side.bucket.algorithm
    with run.lake.workspace() as workspace:
        file = workspace / "objects.parquet"
        write_objects(items, _provenance(run, side, run.run_id), file)
        rows = pq.read_table(file)
    expectations = [[expected(key)] for key in rows.column("key").to_pylist()]
    rows = rows.append_column(EXPECTATIONS, pa.array(expectations, EXPECTATIONS.type))
    part = PartOfShard(rows)

    def digest_of(position: int, item: ListedObject) -> Digest:
        return digest_by(algorithm)

    for check in check_objects(
        side.reader, enumerate(listed_objects(rows)), digest_of, side.threads, run.now
    ):
        part.add(check.position, check)
    return _judged(run, side, part)


def _judged(run: RepairRun, side: Side, part: PartOfShard) -> pa.Table:
    """The checks of a part; what differs is read again before it counts."""
    algorithm = side.bucket.algorithm
    table = part.table(algorithm, run.run_id, side.is_md5)
    suspects = part.take_out_suspects(table)
    if not suspects:
        return table
    second = SecondReader(side.reader, side.threads, side.bucket.etag_is_md5 is not False, run.now)
    allowance = Allowance(len(suspects), sum(each.item.size for each in suspects))
    for check in second.look_again(suspects, algorithm, allowance):
        part.add(check.position, check)
    return part.table(algorithm, run.run_id, side.is_md5)


def _expected(done: Done) -> dict[str, object]:
    """The good bytes that were proved, by the record that proved them; an ETag proves them on its store
    only.
    """
    assert done.proof is not None
    row = done.proof.to_pylist()[0]
    source = FIRST_SEEN if row["expected_from"] == ETAG else row["expected_from"]
    found = {"algorithm": row["algorithm"], "checksum": row["checksum"], "source": source}
    return {**found, "known_to_differ": False}


def keep_checks(run: RepairRun, side: Side, checks: pa.Table, run_id: str) -> Checksums:
    """Keep checks as a file of the bucket's ledger. Arguments: `run_id`, its name. Raises LakeError."""
    with run.lake.workspace() as workspace:
        with ChecksWriter(run.lake, _provenance(run, side, run_id), workspace) as writer:
            writer.write(checks)
        kept = writer.keep()
    with run.lake.workspace() as workspace:
        # So that the next run need not fold the whole ledger.
        keep_with_snapshot(run.lake, side.bucket, run.lake.fetch(kept.file, workspace), workspace)
    return kept


def _provenance(run: RepairRun, side: Side, run_id: str) -> Provenance:
    return Provenance(side.name, run_id, run_id, run.now(), side.place, partial=True)
