"""What can go wrong with jobs of S3 and their reports, foreseen: each message is for people."""

from __future__ import annotations

from fixity.errors import FixityError


class S3ControlError(FixityError):
    """S3 Control refused a request or cannot be reached. The message says what was asked, and why."""

    final = False


class AccountFull(S3ControlError):
    """No further job may be active now: wait for the end of another."""


class NothingToIngest(FixityError):
    """There is no report to ingest. The message says why, and what will happen or is to be done."""


class NoReport(FixityError):
    """There is no completion report where it is to be. The message says where that is."""

    final = False


class ReportUnusable(FixityError):
    """A completion report that cannot be relied upon. The message says which file, and what is wrong."""
