"""Repairs by jobs of S3 Batch: good copies are proved, a job is submitted, and after it each object is read.

What the job's report says proves nothing: only the check after it does. Which objects go this way is in
`batch_way`; the check is in `check`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa

from fixity.buckets import ListedObject, ObjectError, listed_objects
from fixity.buckets.local_writer import LocalWriter
from fixity.catalog import S3Batch
from fixity.engines.s3_batch import copy_jobs
from fixity.engines.s3_batch.batch_jobs import (
    JobState,
    copy_report_prefix,
    copy_request,
    describe,
    request_token,
    submit,
)
from fixity.engines.s3_batch.copy_jobs import CopyJob
from fixity.engines.s3_batch.errors import AccountFull
from fixity.engines.s3_batch.finished import has_ended
from fixity.engines.s3_batch.request import put_manifest
from fixity.humanize import printable
from fixity.incidents.incident_object import IncidentObject
from fixity.incidents.state import Incident
from fixity.repair.copy import Done, proved
from fixity.repair.order import Order, Planned
from fixity.repair.sides import Account, RepairRun, Side

MOST = 100_000
"""The most objects of one job: as many are read by the run that takes its report."""
_NEWER = (
    "the object of {} has changed since its bytes were proved, so the copy may be of an older one: run "
    "fixity verify, then repair it again"
)
_ADDED = ("incident_id", "object_version", "source_version", "target_version")
"""The columns of a job's objects beside those of the checks that proved the good copies."""


class _Proven(NamedTuple):
    """An object whose good copy is proved: its check, and both current versions by their ids."""

    planned: Planned
    check: pa.Table
    source_version: str
    target_version: str | None


@dataclass
class HandedOver:
    """What became of objects that S3 Batch is to copy, and the checks of their good copies, by bucket."""

    done: list[Done] = field(default_factory=list)
    proofs: dict[str, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))


def hand_over(run: RepairRun, order: Order, plans: Iterable[Planned]) -> HandedOver:
    """Prove the good copies of objects, and submit the jobs that copy them.

    Raises BucketUnreachable, S3ControlError, LakeError.
    """
    handed = HandedOver()
    groups: dict[tuple[str, str | None], list[Planned]] = defaultdict(list)
    for each in plans:
        kept = each.target.storage_class if each.target else None
        groups[each.damaged, None if kept == "STANDARD" else kept].append(each)
    for (_, storage_class), group in groups.items():
        for first in range(0, len(group), MOST):
            _one_job(run, order, group[first : first + MOST], storage_class, handed)
    return handed


def _one_job(
    run: RepairRun, order: Order, plans: list[Planned], storage_class: str | None, handed: HandedOver
) -> None:
    good, damaged = run.sides[plans[0].good], run.sides[plans[0].damaged]
    assert damaged.bucket.s3_batch is not None and run.account is not None  # else no plan has it
    settings, account = damaged.bucket.s3_batch, run.account(damaged.name)
    proven = []
    with ThreadPoolExecutor(good.threads, thread_name_prefix="prove") as pool:
        found = pool.map(lambda each: _proven(run, each, good, damaged), plans)
        for proof in found:
            if isinstance(proof, Done):
                handed.done.append(proof)
            else:
                proven.append(proof)
    if not proven:
        return
    checks = pa.concat_tables([each.check for each in proven])
    handed.proofs[good.name].append(checks)
    first = proven[0].planned
    token = request_token(f"{order.pair.name}+repair", f"{run.run_id}:{first.damaged}:{first.key}")
    with run.lake.workspace() as workspace:
        manifest = put_manifest(
            account.reports(settings.report_bucket),
            good.bucket,
            f"batch/manifests/copy/{damaged.bucket.real_name}/{token}.csv",
            {each.planned.key: each.source_version for each in proven}.items(),
            workspace,
        )
    job = CopyJob(
        order.pair.name, good.name, damaged.name, token, run.run_id, run.now().isoformat(), manifest,
        settings.report_bucket, copy_report_prefix(damaged.bucket), len(proven), storage_class, order.person,
    )  # fmt: skip
    copy_jobs.keep_request(run.lake, job, _objects(checks, proven))
    job, why = _submitted(run, job, damaged, account)
    handed.done += [Done(each.planned, job=job.job_id, refused=why) for each in proven]


def _proven(run: RepairRun, planned: Planned, good: Side, damaged: Side) -> _Proven | Done:
    """An object whose good copy is proved and whose bad one has not changed, or why it is not copied."""
    assert planned.source is not None
    assert not isinstance(good.writer, LocalWriter) and not isinstance(damaged.writer, LocalWriter)
    try:
        check = proved(run, planned, good, None)
        if isinstance(check, Done):
            return check
        source_version = good.writer.version_of(planned.source)
        if source_version is None:
            why = f"{good.name} gives it no version id, which would pin its bytes: repair it with --by stream"
            return Done(planned, check, refused=why)
        if damaged.reader.find(planned.key) != planned.target:
            why = "the copy to be replaced has changed: it was not overwritten; run fixity verify"
            return Done(planned, check, refused=why)
        target_version = damaged.writer.version_of(planned.target) if planned.target else None
    except ObjectError as error:
        return Done(planned, refused=printable(str(error)))
    return _Proven(planned, check, source_version, target_version)


def _objects(checks: pa.Table, proven: Sequence[_Proven]) -> pa.Table:
    """What is kept of a job's objects."""
    added = [
        [each.planned.object.incident_id for each in proven],
        [each.planned.object.version_id for each in proven],
        [each.source_version for each in proven],
        [each.target_version for each in proven],
    ]
    for name, column in zip(_ADDED, added, strict=True):
        checks = checks.append_column(name, pa.array(column, pa.string()))
    return checks


def _submitted(run: RepairRun, job: CopyJob, damaged: Side, account: Account) -> tuple[CopyJob, str | None]:
    """The job with its id, or why it has none. A repeated attempt finds the job of the attempt before."""
    settings = _settings(damaged)
    request = copy_request(damaged.bucket, settings, job.token, job.manifest, job.storage_class)
    try:
        job_id = submit(account.client, request)
    except AccountFull as error:
        copy_jobs.keep_copy_outcome(run.lake, job, copy_jobs.NO_ROOM, run.run_id)
        return job, printable(f"{error}: repair it again when one has ended, or with --by stream")
    run.log(f"the S3 Batch job {job_id} copies {job.objects:,} objects from {job.source} to {job.target}")
    return copy_jobs.keep_job_id(run.lake, job, job_id), None


@dataclass
class Taken:
    """What became of the objects of jobs that have ended, and those jobs with their last status."""

    done: list[Done] = field(default_factory=list)
    jobs: list[tuple[CopyJob, str]] = field(default_factory=list)

    def keep(self, run: RepairRun) -> None:
        """Keep that the jobs were handled, after each object was checked. Raises LakeError."""
        for job, status in self.jobs:
            copy_jobs.keep_copy_outcome(run.lake, job, status, run.run_id)


def take_reports(
    run: RepairRun, pair: str, incidents: Iterable[Incident], job_id: str | None = None
) -> Taken:
    """Look which jobs of a pair have ended, and what they wrote. Each new object is still to be checked.

    A request that was killed before S3 answered is sent again. Arguments: `job_id`, only this job.
    Raises JobRecordUnusable, BucketUnreachable, S3ControlError, LakeError.
    """
    of_key: dict[tuple[str, str], list[IncidentObject]] = defaultdict(list)
    for each in (each for incident in incidents for each in incident.objects):
        of_key[each.incident_id, each.key].append(each)
    taken = Taken()
    for job in copy_jobs.open_copies(run.lake, pair):
        if job_id not in (None, job.job_id) or job.target not in run.sides or run.account is None:
            continue
        damaged, account = run.sides[job.target], run.account(job.target)
        asked = job if job.job_id else _submitted(run, job, damaged, account)[0]
        if asked.job_id is None:
            continue
        state = describe(account.client, _settings(damaged).account_id, asked.job_id)
        if not has_ended(asked.age, state):
            run.log(f"the S3 Batch job {asked.job_id} is {state.status}: {state.progress}")
            continue
        taken.done += _written(run, asked, state, of_key)
        taken.jobs.append((asked, state.status))
    return taken


def _written(
    run: RepairRun, job: CopyJob, state: JobState, of_key: Mapping[tuple[str, str], list[IncidentObject]]
) -> Iterator[Done]:
    """What became of the objects of a job that has ended, whatever its report says."""
    assert run.account is not None
    good, damaged = run.sides[job.source], run.sides[job.target]
    with run.lake.workspace() as workspace:
        reports = run.account(job.target).reports(job.report_bucket)
        failed, rest = copy_jobs.not_copied(reports, job, state, good.bucket.real_name, workspace)
    if _settings(damaged).decode_report_keys:
        failed = {unquote(key): why for key, why in failed.items()}
    objects = copy_jobs.objects_of(run.lake, job)
    checks = objects.drop_columns(list(_ADDED))
    sources, known = list(listed_objects(checks)), objects.select(_ADDED).to_pylist()
    with ThreadPoolExecutor(damaged.threads, thread_name_prefix="find") as pool:
        keys = [item.key for item in sources]
        new, now = (pool.map(partial(_current, side), keys) for side in (damaged, good))
        there = list(zip(new, now, strict=True))
    for number, (source, before, (of_target, of_source)) in enumerate(
        zip(sources, known, there, strict=True)
    ):
        item, version = of_target
        of_it = _object(of_key[before["incident_id"], source.key], before, source.key, job)
        planned = Planned(of_it, job.target, job.source, source, by_batch=True)
        if item is None or version == before["target_version"]:
            yield Done(planned, refused=failed.get(good.bucket.prefix + source.key, rest))
        elif of_source[1] != before["source_version"]:
            yield Done(planned, refused=_NEWER.format(job.source))
        else:
            detail = f"the S3 Batch job {job.job_id} copied it from {job.source}"
            yield Done(planned, checks.slice(number, 1), item, detail)


def _current(side: Side, key: str) -> tuple[ListedObject | None, str | None]:
    """A bucket's current object, with its version id; None where there is none, or it is changing."""
    assert not isinstance(side.writer, LocalWriter)
    try:
        item = side.reader.find(key)
        return item, side.writer.version_of(item) if item else None
    except ObjectError:
        return None, None


def _object(
    known: Iterable[IncidentObject], before: Mapping[str, Any], key: str, job: CopyJob
) -> IncidentObject:
    """The object of an incident that was to be repaired; one that says no more if its events are lost."""
    for each in known:
        if each.bucket in (None, job.target) and each.version_id == before["object_version"]:
            return each
    asked = datetime.fromisoformat(job.requested_at)
    return IncidentObject(
        before["incident_id"], job.pair, job.target, key, before["object_version"], asked, asked
    )


def _settings(side: Side) -> S3Batch:
    assert side.bucket.s3_batch is not None  # else there is no job
    return side.bucket.s3_batch
