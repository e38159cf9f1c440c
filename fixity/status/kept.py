"""What the lake keeps of asset checks: `status/<asset>/<partition>.json`, the newest results of each.

Each file is replaced as a whole, only by a newer result, and only while it is as it was read; of several
runs that end at once, the newest counts. A note beside the proofs of tables says that there was a file, so
one that is lost is missed. `history/<asset>/<partition>.json` has an entry for each day (UTC); nothing rests
on it.
What the results mean does not belong here; it is in `now`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import TypeAdapter

from fixity.clock import CLOCKS_AGREE, utc_now
from fixity.humanize import printable
from fixity.lake import Lake, LakeError
from fixity.lake.base import Seen
from fixity.lake.paths import STATUS, history_file, records_folder, status_file
from fixity.lake.proof import proof_file, sealed, unsealed

DAYS = 400
"""The most entries of a history."""
_LONGEST_TEXT = 2000
_MOST_TRIES = 50  # others may put theirs meanwhile
_PAUSES = 5  # a local file is away for a moment while it is replaced
_PAUSE = 0.02  # seconds
_READS = 16  # at a time: a lake on S3 answers each in tens of milliseconds
KeptT = TypeVar("KeptT")


@dataclass(frozen=True)
class Check:
    """The result of an asset check."""

    name: str
    passed: bool
    severity: Literal["ERROR", "WARN"]
    description: str = ""

    @property
    def is_red(self) -> bool:
        """Whether it says that something is wrong, not only a warning."""
        return not self.passed and self.severity == "ERROR"


@dataclass(frozen=True)
class Listed:
    """Which listing of a bucket: the run that took it, and when it was begun (UTC)."""

    run_id: str
    at: datetime


@dataclass(frozen=True)
class Result:
    """What a run found for a partition of an asset (None: the asset has no partitions).

    at: when it began to look at the ledger (UTC): what was kept before is in it. counts: for people. place:
    where the catalog said that the bucket is, or both buckets of the pair. oldest: the oldest check that it
    rests on (UTC). is_whole: whether it is of all objects, not of some. whole_at: when each listed object had
    a check (UTC), also by a result of some; None: as `is_whole` says, at its time or not. objects: how many
    were listed then, in which `listing`. all_checks: whether it has all checks of the asset that there are
    for this partition; others stay as they were.
    """

    asset: str
    partition: str | None
    run_id: str
    at: datetime
    checks: tuple[Check, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    place: str | None = None
    oldest: datetime | None = None
    is_whole: bool = True
    whole_at: datetime | None = None
    objects: int | None = None
    listing: Listed | None = None
    all_checks: bool = True


@dataclass(frozen=True)
class Failure:
    """A run that ended without a result: when (UTC), and why, for people."""

    run_id: str
    at: datetime
    text: str


@dataclass(frozen=True)
class Kept:
    """The newest results of an asset's checks for a partition; the times are in UTC.

    run_id, at, counts, place: of the newest result; None if no run had one yet. since: since when a check is
    not passed, by its name. whole_at: when each listed object had a check, by the newest result that knew it;
    objects: how many were listed then, and in which `listing`, None in what an earlier version kept. oldest:
    the oldest check that the newest result of all objects rests on. failed: the run that failed, if none has
    had a result since.
    lost: results that were here could not be read when this was written, and no result of all checks has come
    since.
    """

    run_id: str | None = None
    at: datetime | None = None
    checks: tuple[Check, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    since: Mapping[str, datetime] = field(default_factory=dict)
    place: str | None = None
    whole_at: datetime | None = None
    objects: int | None = None
    listing: Listed | None = None
    oldest: datetime | None = None
    failed: Failure | None = None
    lost: bool = False


@dataclass(frozen=True)
class Day:
    """An entry of the history: the last result of a day (UTC), with the checks that were red."""

    at: datetime
    run_id: str
    counts: Mapping[str, int]
    red: tuple[str, ...] = ()


@dataclass(frozen=True)
class _History:
    days: tuple[Day, ...] = ()


class Unreadable(ValueError):
    """A kept result that is lost or damaged. The text says which."""


_KEPT, _HISTORY = TypeAdapter(Kept), TypeAdapter(_History)


def keep_result(lake: Lake, result: Result) -> None:
    """Keep what a run found, unless a newer result is there already. Raises LakeError."""
    checks = tuple(replace(each, description=_cut(each.description)) for each in result.checks)

    def change(before: Kept | None) -> Kept | None:
        if before and _is_newer(before.at, result.at):
            return None
        return _with_result(before, replace(result, checks=checks))

    if _replace(lake, status_file(result.asset, result.partition), _KEPT, Kept(), change):
        day = Day(result.at, result.run_id, result.counts, tuple(each.name for each in checks if each.is_red))
        _replace(
            lake,
            history_file(result.asset, result.partition),
            _HISTORY,
            _History(),
            lambda before: _with_day(before or _History(), day),
        )


def keep_check(lake: Lake, asset: str, partition: str | None, check: Check, at: datetime) -> None:
    """Keep a newer result of one check; all else that was kept stays. Raises LakeError.

    Arguments: `at`, when whoever looked began to look (UTC).
    """
    checks = (replace(check, description=_cut(check.description)),)
    newer = Result(asset, partition, "", at, checks, all_checks=False)

    def change(before: Kept | None) -> Kept | None:
        if before is None or before.at is None or _is_newer(before.at, at):
            return None
        changed = _with_result(before, newer)
        return replace(before, checks=changed.checks, since=changed.since)

    _replace(lake, status_file(asset, partition), _KEPT, Kept(), change)


def keep_failure(lake: Lake, asset: str, partition: str | None, failure: Failure) -> None:
    """Keep that a run ended without a result, unless it or a later run has one. Raises LakeError."""
    failed = replace(failure, text=_cut(failure.text))

    def change(before: Kept | None) -> Kept | None:
        newest = before.failed if before else None
        if before and (before.run_id == failure.run_id or _is_newer(before.at, failure.at)):
            return None
        if newest and (newest.run_id == failure.run_id or _is_newer(newest.at, failure.at)):
            return None
        return replace(before or Kept(lost=True), failed=failed)

    _replace(lake, status_file(asset, partition), _KEPT, Kept(), change)


def is_red(lake: Lake, asset: str, partition: str, check: str) -> bool:
    """Whether a check is red by the newest result that is kept, or may be because that is lost.

    Raises LakeError.
    """
    name = status_file(asset, partition)
    if not any(_see(lake, name)):
        return False
    kept = _read(lake, name)
    return isinstance(kept, Unreadable) or kept.lost or any(e.name == check and e.is_red for e in kept.checks)


def kept_of(lake: Lake, asset: str, partition: str) -> Kept:
    """What is kept for a partition; nothing where there is nothing, or it is lost. Raises LakeError."""
    kept = _read(lake, status_file(asset, partition))
    return Kept() if isinstance(kept, Unreadable) else kept


def keeps_results(lake: Lake) -> bool:
    """Whether any result is kept. None is in a new lake, and where the disk of a lake is away.

    Raises LakeError.
    """
    return any(file.name.count("/") == 2 for file in lake.list(STATUS))


def read_all(lake: Lake) -> dict[tuple[str, str | None], Kept | Unreadable]:
    """All kept results by asset and partition, also those that are lost. Raises LakeError."""
    folders = (STATUS, records_folder(STATUS))
    with ThreadPoolExecutor(_READS) as pool:
        files, notes = pool.map(lambda folder: [file.name for file in lake.list(folder)], folders)
        names = {name for name in files if name.count("/") == 2}
        names |= {name.removeprefix(records_folder("")).removesuffix(".json") for name in notes}
        ordered = sorted(names)
        return dict(zip(map(_of, ordered), pool.map(lambda name: _read(lake, name), ordered), strict=True))


def history_of(lake: Lake, asset: str, partition: str | None) -> list[Day]:
    """What the checks said on each day, the oldest first; [] if that is lost. Raises LakeError."""
    try:
        history = _values(lake.see(history_file(asset, partition)), _HISTORY)
    except ValueError:
        return []
    return list(history.days) if history else []


def history_with(lake: Lake, asset: str, partition: str, day: Day) -> list[Day]:
    """The history with one more entry, which is not kept by this. Raises LakeError."""
    return list(_with_day(_History(tuple(history_of(lake, asset, partition))), day).days)


def _read(lake: Lake, name: str) -> Kept | Unreadable:
    try:
        kept = _values(_see(lake, name)[0], _KEPT)
    except ValueError as error:
        return Unreadable(f"{lake.location(name)} is damaged: {error}")
    return kept or Unreadable(f"{lake.location(name)} is lost")


def _see(lake: Lake, name: str) -> tuple[Seen | None, bool]:
    """A file, and whether it is known to have been there."""
    seen = lake.see(name)
    if seen is not None:
        return seen, True
    was_there = lake.see(proof_file(name)) is not None
    for _ in range(_PAUSES if was_there else 0):
        seen = lake.see(name)
        if seen is not None:
            break
        time.sleep(_PAUSE)
    return seen, was_there


def _replace(
    lake: Lake,
    name: str,
    kind: TypeAdapter[KeptT],
    empty: KeptT,
    change: Callable[[KeptT | None], KeptT | None],
) -> bool:
    """Replace a file by its changed content, which is None if it may stay; returns whether it was replaced.

    Arguments: `empty`, the content before the first one. `change` is given None for a content that is lost or
    damaged. Raises LakeError.
    """
    for _ in range(_MOST_TRIES):
        seen, was_there = _see(lake, name)
        before: KeptT | None = None if was_there else empty
        try:
            before = _values(seen, kind) or before
        except ValueError:
            before = None
        values = change(before)
        if values is None:
            return False
        if not was_there:
            lake.put_text(proof_file(name), sealed({"name": name}), replace=True)
        if lake.put_if(name, sealed(kind.dump_python(values, mode="json")), seen):
            return True
    raise LakeError(f"{lake.location(name)} is replaced by other runs all the time: run it again")


def _values(seen: Seen | None, kind: TypeAdapter[KeptT]) -> KeptT | None:
    """The content of a file; None if there is none. Raises ValueError if it is damaged."""
    return None if seen is None else kind.validate_python(unsealed(seen.text))


def _is_newer(kept: datetime | None, at: datetime) -> bool:
    """Whether what is kept is newer than a time; not if a wrong clock wrote it."""
    return kept is not None and at < kept <= utc_now() + CLOCKS_AGREE


def _with_result(before: Kept | None, result: Result) -> Kept:
    """What is kept after a result; `before` is None if what was there is lost."""
    then = before or Kept()
    others = () if result.all_checks else then.checks
    checks = {each.name: each for each in (*others, *result.checks)}
    known = {each.name: (each.passed, each.severity) for each in then.checks}
    since = {
        name: then.since.get(name, result.at)
        if known.get(name) == (each.passed, each.severity)
        else result.at
        for name, each in checks.items()
        if not each.passed
    }
    failed = then.failed if then.failed and then.failed.at > result.at else None
    whole_at = result.whole_at or (result.at if result.is_whole else None)
    is_newer = whole_at is not None and not _is_newer(then.whole_at, whole_at)
    return Kept(
        run_id=result.run_id,
        at=result.at,
        checks=tuple(checks.values()),
        counts=result.counts,
        since=since,
        place=result.place,
        whole_at=whole_at if is_newer else then.whole_at,
        objects=result.objects if is_newer else then.objects,
        listing=result.listing if is_newer else then.listing,
        oldest=result.oldest if is_newer and result.is_whole else then.oldest,
        failed=failed,
        lost=not result.all_checks and (before is None or then.lost),
    )


def _with_day(before: _History, day: Day) -> _History:
    others = [each for each in before.days if each.at.date() != day.at.date()]
    return _History(tuple(sorted([*others, day], key=lambda each: each.at)[-DAYS:]))


def _of(name: str) -> tuple[str, str | None]:
    """The asset and the partition of a file."""
    asset, _, file = name.removeprefix(STATUS).partition("/")
    partition = file.removesuffix(".json")
    return asset, None if partition == "_all" else partition


def _cut(text: str) -> str:
    return printable("; ".join(text.splitlines()), _LONGEST_TEXT)
