"""Which objects of a plan a job of S3 Batch copies, and why not the others. Submitting one is in `by_s3`.

A batch job takes no preconditions. So it writes only to buckets that keep versions, where nothing is lost. It
copies the version that was proved. S3 copies at most 5 GiB that way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from fixity.buckets.local_writer import LocalWriter
from fixity.digests.etag import parts_of
from fixity.engines.s3_batch.copy_jobs import objects_of, open_copies
from fixity.lake import Lake
from fixity.ledger.judge import ETAG
from fixity.repair.order import Planned
from fixity.repair.sides import Side
from fixity.tables import ARCHIVES

MANY = 1000
"""From so many objects on, S3 Batch copies what it can, if nobody says who does."""
_LARGEST = 5 * 1024**3  # bytes


def chosen_for_batch(
    by: Literal["stream", "s3_batch"] | None,
    good: Side,
    damaged: Side,
    keeps_versions: bool,
    plans: list[Planned],
) -> list[Planned]:
    """The plans of one direction, with those marked that S3 Batch is to copy.

    Arguments: `by`, as in Order; `keeps_versions`, whether the bucket `damaged` does.
    """
    if by == "stream":
        return plans
    if by is None and len(plans) < MANY:
        return plans
    of_buckets = _why_no_buckets(good, damaged, keeps_versions)
    why_not = [None if each.refused else of_buckets or _why_not(each) for each in plans]
    able = sum(why is None and not each.refused for why, each in zip(why_not, plans, strict=True))
    if by is None and able < MANY:
        return plans
    return [
        replace(each, by_batch=why is None and not each.refused, not_by_batch=why if by else None)
        for why, each in zip(why_not, plans, strict=True)
    ]


def being_copied(lake: Lake, pair: str) -> dict[tuple[str, str], str]:
    """Why objects (bucket, key) of a pair are left alone: a job of S3 Batch is copying them.

    Raises JobRecordUnusable, TableUnreadable, LakeError.
    """
    return {
        (job.target, key): f"the S3 Batch job {job.job_id or '(not submitted yet)'} copies it, asked for at "
        f"{job.requested_at[:16]}"
        for job in open_copies(lake, pair)
        for key in objects_of(lake, job).column("key").to_pylist()
    }


def _why_no_buckets(good: Side, damaged: Side, keeps_versions: bool) -> str | None:
    if damaged.bucket.s3_batch is None:
        return f"the catalog has no `s3_batch` for {damaged.name}"
    if good.bucket.is_local or good.bucket.store != damaged.bucket.store:
        return "the buckets are not in one store"
    if not keeps_versions:
        return (
            f"{damaged.name} keeps no versions, and a batch job has no preconditions: it could overwrite "
            "something newer"
        )
    if good.bucket.prefix != damaged.bucket.prefix:
        return "the buckets have different prefixes"
    if isinstance(good.writer, LocalWriter) or not good.writer.keeps_versions():
        return f"{good.name} keeps no versions, so nothing would pin the bytes that were proved"
    return None


def _why_not(plan: Planned) -> str | None:
    source = plan.source
    assert source is not None  # else it is refused
    if plan.is_other:
        return "it is only looked at"
    if source.size > _LARGEST:
        return "it is larger than 5 GiB"
    if source.storage_class in ARCHIVES:
        return f"the good copy is archived ({source.storage_class})"
    if _is_proved_by(plan, ETAG) and parts_of(source.etag or ""):
        return "its ETag proves it, and a batch job would give it another one"
    return None


def _is_proved_by(plan: Planned, source: str) -> bool:
    expectations: Iterable[list[dict[str, str]] | None] = (
        plan.rows.column("expectations").to_pylist() if plan.rows is not None else []
    )
    return any(each and each[0]["source"] == source for each in expectations)
