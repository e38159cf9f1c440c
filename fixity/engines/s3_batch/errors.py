"""The errors of S3's jobs and their reports. Each message is for people.

Errors of other rooms do not belong here.
"""

from __future__ import annotations

from fixity.errors import FixityError


class S3ControlError(FixityError):
    """S3 Control refused a request or cannot be reached. The message says which request, and why."""

    final = False


class AccountFull(S3ControlError):
    """The account has no room for another active job: wait until one ends."""


class NothingToIngest(FixityError):
    """There is no report to ingest. The message says why, and what happens next or what to do."""


class NothingYet(NothingToIngest):
    """No job was submitted for the bucket yet, or S3 still works on it."""


class NoReport(FixityError):
    """There is no completion report at the expected place. The message names the place."""

    final = False


class JobRecordUnusable(FixityError):
    """A file of the lake about a job is damaged. The message names it and says what to do."""


class ReportUnusable(FixityError):
    """A completion report cannot be trusted. The message says which file, and what is wrong."""
