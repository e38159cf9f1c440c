"""What the status says of the log: how far it is sealed, and how old the newest proofs from outside are.

Whether the log is whole is said by the checks of the asset `log`, as they are kept. The ages are counted
anew, because a schedule that does not run keeps nothing. Verifying the log does not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fixity.catalog import Log
from fixity.lake import Lake
from fixity.log.outside import level_of, outside_now, verdict
from fixity.status.kept import Check, Kept, keep_check
from fixity.status.rows import LOG, PROBLEM, VERIFIED, WARNING, Finding, LogStatus

UNBROKEN, WITNESS_RECENT = "log_unbroken", "witness_recent"
"""The checks of the asset `log`: of all that was sealed, and of the proofs from outside."""
_FIRST = 5


def keep_broken(lake: Lake, wrong: Sequence[tuple[str, str, str]], at: datetime) -> None:
    """Keep that the log was found broken, until it is sealed again: only that also looks whether all is
    sealed. Nothing is kept of a log that was never sealed.

    Arguments: `wrong`, as of `broken_text`; `at`, when it was looked for (UTC). Raises LakeError.
    """
    keep_check(lake, LOG, None, Check(UNBROKEN, False, "ERROR", broken_text(wrong)), at)


def broken_text(wrong: Sequence[tuple[str, str, str]]) -> str:
    """What is wrong with the log, for people; '' for nothing. Arguments: each file, what was done to it, and
    how that is known."""
    first = "; ".join(": ".join(each) for each in wrong[:_FIRST])
    return f"{len(wrong):,} wrong: {first}" if wrong else ""


def log_status(
    lake: Lake, log: Log, kept: Kept | None, red: Sequence[Finding], now: datetime
) -> tuple[LogStatus, list[Finding], list[str]]:
    """The log at a time (UTC), everything that is wrong with it, and warnings for people.

    Arguments: `kept`, the newest result of the asset; `red`, what is red as it was kept. Raises LakeError.
    """
    outside = outside_now(lake)
    problems = [each for each in red if each.check != WITNESS_RECENT]
    warnings: list[str] = []
    if kept is None or kept.at is None:
        problems.append(
            Finding(LOG, UNBROKEN, "nothing was sealed yet: fixity log init, then fixity log seal")
        )
    else:
        text = f"nothing was sealed since {kept.at:%Y-%m-%d %H:%M} UTC: start the daemon (fixity dev)"
        level = level_of(kept.at, now) if kept.at <= now else None
        problems += [Finding(LOG, UNBROKEN, text)] if level == "ERROR" else []
        warnings += [text] if level == "WARN" else []
        level, text = verdict(log, outside, now)
        problems += [Finding(LOG, WITNESS_RECENT, text)] if level == "ERROR" else []
        warnings += [f"{WITNESS_RECENT} of {LOG}: {text}"] if level == "WARN" else []
    status = LogStatus(
        state=PROBLEM if problems else WARNING if warnings else VERIFIED,
        seal=kept.counts.get("seals") if kept else None,
        sealed_at=kept.at if kept and "seals" in kept.counts else None,
        waiting=kept.counts.get("waiting") if kept else None,
        stamped_at=outside.stamp.at if outside.stamp else None,
        copied_at=outside.copy.at if outside.copy else None,
    )
    return status, problems, warnings
