"""Copies one object over its bad copy: proved while it is read, whole, and only where the bad one still is.

The order: read the good copy and judge it; look at the bad one again; keep its bytes; put the good ones in
its place. Whatever ends this in between leaves the bad copy as it was. The check after it is in `check`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fixity.buckets import ListedObject, ObjectError, Sink
from fixity.buckets.local_writer import LocalWriter
from fixity.buckets.writing import NotAsExpected, NotWritten, Upload
from fixity.digests.algorithms import Digest, digest_by
from fixity.engines.stream.engine import Reads, check_object
from fixity.engines.stream.parts import PartOfShard
from fixity.engines.stream.second_look import Afresh
from fixity.humanize import printable
from fixity.repair.order import Planned
from fixity.repair.plan import contradiction
from fixity.repair.sides import RepairRun, Side
from fixity.tables import DIFFERS, MATCHED, SUCCEEDED

if TYPE_CHECKING:
    from fixity.buckets.s3.writer import S3Writer


@dataclass(frozen=True)
class Done:
    """What became of one object.

    proof: the check of the good copy, a row of the ledger, if it proved it. item: the new object, as it is
    listed. detail: for people. job: the S3 Batch job that is copying it. refused: why it was not repaired.
    found: the check of the good copy, a row of the ledger too, if it proved nothing, for example because that
    copy is damaged as well.
    """

    planned: Planned
    proof: pa.Table | None = None
    item: ListedObject | None = None
    detail: str = ""
    job: str | None = None
    refused: str | None = None
    found: pa.Table | None = None

    @property
    def is_damaged_too(self) -> bool:
        """Whether the good copy was read, and is not as expected either."""
        return self.found is not None and self.found["verdict"][0].as_py() == DIFFERS

    @property
    def checksum(self) -> str:
        """The checksum of the good bytes, as ALGORITHM:hex."""
        assert self.proof is not None
        return f"{self.proof['algorithm'][0].as_py()}:{self.proof['checksum'][0].as_py()}"


class _Tee:
    """Gives the bytes that are hashed to an upload too."""

    def __init__(self, digest: Digest, upload: Upload) -> None:
        self._digest, self._upload = digest, upload

    @property
    def count(self) -> int:
        return self._digest.count

    def update(self, piece: memoryview) -> None:
        self._digest.update(piece)
        self._upload.update(piece)

    def restart(self) -> None:
        self._digest.restart()
        self._upload.restart()


def repair_object(run: RepairRun, planned: Planned) -> Done:
    """Repair one object, or say why not. Raises BucketUnreachable."""
    try:
        return _repaired(run, planned)
    except NotAsExpected as error:
        return Done(planned, refused=f"{printable(error.message)}: it was not overwritten; run fixity verify")
    except ObjectError as error:
        return Done(planned, refused=printable(str(error)))


def _repaired(run: RepairRun, planned: Planned) -> Done:
    good, damaged = run.sides[planned.good], run.sides[planned.damaged]
    assert planned.source is not None
    if planned.is_other:
        return _right_already(run, planned, good, damaged)
    upload, attributes = _begun(planned, good, damaged)
    try:
        proof = proved(run, planned, good, upload)
        if isinstance(proof, Done):
            return proof
        if damaged.reader.find(planned.key) != planned.target:
            raise NotAsExpected("the copy to be replaced has changed")
        detail = _keep_bad_bytes(run, planned, damaged)
        if upload is not None:
            upload.finish()
        else:
            _copy_by_store(planned, good, damaged, attributes)
    finally:
        if upload is not None:
            upload.abandon()
    return Done(planned, proof, damaged.reader.find(planned.key), detail)


def _right_already(run: RepairRun, planned: Planned, good: Side, damaged: Side) -> Done:
    """A copy that is not the one that was found to be bad: a repair that was killed may have written it."""
    assert planned.target is not None
    proof = proved(run, planned, good, None)
    if isinstance(proof, Done):
        return proof
    check = check_object(damaged.reader, planned.target, Digest(damaged.bucket.algorithm), now=run.now)
    if check.status != SUCCEEDED or check.checksum != proof["checksum"][0].as_py():
        raise NotAsExpected("the copy to be replaced has changed since it was found to be bad")
    return Done(planned, proof, planned.target, "it had the right bytes already")


def proved(run: RepairRun, planned: Planned, good: Side, upload: Upload | None) -> pa.Table | Done:
    """The check of the good copy if its bytes are as expected, else what was found, and why it is no proof.

    Arguments: `upload` takes the bytes as they are read. Raises ObjectError, BucketUnreachable.
    """
    assert planned.source is not None
    algorithm = good.bucket.algorithm
    reads: list[Reads] = [good.reader, Afresh(good.reader)]
    for number, reader in enumerate(reads, 1):  # nothing is believed at one look
        part = PartOfShard(planned.rows)
        digest = digest_by(algorithm, next(iter(part.others(algorithm)), ()))
        sink: Sink | None = _Tee(digest, upload) if upload is not None else None
        if sink is not None:
            sink.restart()
        check = check_object(reader, planned.source, digest, now=run.now, sink=sink)
        part.add(0, check._replace(reads=number, bytes_read=number * check.bytes_read))
        table = part.table(algorithm, run.run_id, good.is_md5)
        row = table.to_pylist()[0]
        if row["verdict"] != DIFFERS:
            break
    if row["verdict"] == MATCHED:
        why = contradiction(planned.object, {algorithm: row["checksum"]})
        if not why:
            return table
    elif row["status"] != SUCCEEDED:
        why = f"the copy of {good.name} could not be read: {row['error_code']}: {row['error_message']}"
    else:
        why = (
            f"the copy of {good.name} is not as expected either: {row['expected_algorithm']} "
            f"{row['expected']} by {row['expected_from']}. Check it: fixity check {good.name}"
        )
    return Done(planned, refused=why, found=table)


def _begun(planned: Planned, good: Side, damaged: Side) -> tuple[Upload | None, dict[str, Any]]:
    """The upload of the new object, None if the store copies it; and what it has besides its bytes."""
    writer = damaged.writer
    if isinstance(writer, LocalWriter):
        return writer.upload(planned.key, planned.target), {}
    attributes = _attributes(planned, good, writer)
    if planned.by_store and writer.loses_nothing(planned.size, attributes, by_store=True):
        return None, attributes
    if not writer.loses_nothing(planned.size, attributes, by_store=False):
        raise NotWritten(
            "PreconditionsIgnored",
            f"the store of {damaged.name} does not obey If-Match and If-None-Match, so something newer could "
            "be overwritten and lost. Let the bucket keep versions, then repair",
        )
    return writer.upload(planned.key, planned.size, planned.target, attributes), attributes


def _copy_by_store(planned: Planned, good: Side, damaged: Side, attributes: dict[str, Any]) -> None:
    writer, reads = damaged.writer, good.writer
    assert planned.source is not None
    assert not isinstance(writer, LocalWriter) and not isinstance(reads, LocalWriter)
    writer.copy_from(reads, planned.source, planned.target, attributes)


def _attributes(planned: Planned, good: Side, writer: S3Writer) -> dict[str, Any]:
    """What the new object has besides its bytes: as the good copy, or, if that is a file, as the one
    replaced.
    """
    if not isinstance(good.writer, LocalWriter) and planned.source is not None:
        return good.writer.attributes(planned.source)
    return writer.attributes(planned.target) if planned.target else {}


def _keep_bad_bytes(run: RepairRun, planned: Planned, damaged: Side) -> str:
    """Keep the bad bytes if the bucket does not; returns a text for people."""
    text = f"copied from {planned.good}"
    if planned.bad_bytes == "quarantine" and planned.target is not None:
        return f"{text}; the bad bytes are kept as {damaged.writer.set_aside(planned.target, run.run_id)}"
    return text
