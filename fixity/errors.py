"""The one tree of errors. Callers ask an error whether a retry helps; they do not list classes.

    FixityError
    ├── WrongUsage                 the configuration or a request cannot be used
    │   ├── CatalogError           fixity.catalog.errors
    │   ├── DrillRefused           fixity.drills.begin
    │   ├── StacksUnknown          fixity.catalog.stacks
    │   ├── UnreadableError        fixity.catalog.strict_yaml
    │   ├── GivenWrong             fixity.ingest.records.by_hand
    │   ├── NoIncident             fixity.incidents.closing
    │   ├── NoPoolLimit            resources.pool
    │   ├── NoTerm
    │   ├── NothingToConfirm       fixity.ledger.listing
    │   └── NothingToVerify        fixity.ingest.deposit
    ├── BucketUnreachable          (final, unless it says otherwise)
    ├── ListingError               fixity.buckets.s3.listing (not final)
    │   └── NoContinuation
    ├── ListRefused                fixity.inventories.folder
    ├── ObjectError                fixity.buckets.base
    │   ├── NotAsExpected          fixity.buckets.writing
    │   ├── NotWritten             fixity.buckets.writing
    │   ├── ObjectUnreadable
    │   │   ├── NotAsListed        fixity.buckets.s3.requests
    │   │   ├── Refused            fixity.buckets.s3.requests
    │   │   └── Unanswered         fixity.buckets.s3.attributes
    │   └── ObjectSkipped
    ├── StateUnusable              fixity.digests.state
    ├── AnotherPlace
    ├── ClockWrong                 fixity.ledger.clocks
    ├── NotInInventory
    ├── LakeError                  fixity.lake.base (not final)
    │   ├── PartsMissing           fixity.engines.stream.parts
    │   └── TimesUnknown           fixity.lake.times
    ├── LogError                   fixity.log.errors
    ├── NotStamped                 fixity.log.stamps (not final)
    ├── WitnessUnreachable         fixity.log.witness (not final)
    ├── EventsNotWhole             fixity.reports.premis.export
    ├── ReportNotWhole             fixity.reports.all_copies
    ├── TableMissing               fixity.ledger.inventory
    ├── TableNotConsistent         fixity.reports.compare
    ├── TableNotSorted             fixity.lake.ranges
    ├── TableUnreadable            fixity.tables
    ├── S3ControlError             fixity.engines.s3_batch.errors (not final)
    │   └── AccountFull
    ├── NoReport                   fixity.engines.s3_batch.errors (not final)
    ├── NothingToIngest            fixity.engines.s3_batch.errors
    │   └── NothingYet
    ├── JobRecordUnusable          fixity.engines.s3_batch.errors
    ├── ReportUnusable             fixity.engines.s3_batch.errors
    ├── ResultsRefused             fixity.engines.step_functions.errors
    ├── MapNotStarted              fixity.engines.step_functions.errors (not final)
    ├── BucketBusy                 fixity.rolling.lease
    ├── RepairBusy                 fixity.repair.lease
    ├── LeaseLost                  fixity.rolling.lease
    ├── RunOver
    ├── QueueUnreachable           resources.queues (not final)
    ├── AnotherWorker              fixity_assets.workers.steps
    ├── BrokerSilent               fixity_assets.workers.broker (not final)
    ├── WorkersDied                fixity_assets.workers.watch
    ├── ObjectsNotRead             sensors.event_reconciliation (not final)
    └── UnknownMessage             sensors.events

An error is defined here if several rooms raise it, else in the room that raises it. Any other exception
is a bug of ours, or an `OSError`, or an error of the libraries that read the lake's tables. Errors that
never leave their module do not belong in the tree.
"""

from __future__ import annotations

import errno
import tempfile


class FixityError(Exception):
    """Something that can go wrong in use. The text says what happened, and what to do.

    final: whether a retry is useless, because a person must act first.
    """

    final: bool = True


class WrongUsage(FixityError):
    """The configuration or a request cannot be used: the catalog, an argument, a variable."""


class NoTerm(WrongUsage):
    """Rolling checks were requested for a bucket of which the platform itself has nothing to read."""


class BucketUnreachable(FixityError):
    """A bucket as a whole cannot be listed, read or written. The text says why, and what to do.

    Arguments: `final`, False if a retry may succeed, for example after a failed connection.
    """

    def __init__(self, message: str, final: bool = True) -> None:
        super().__init__(message)
        self.final = final


class AnotherPlace(FixityError):
    """The inventory was listed at another place than the catalog names now. The text says what to do."""


class RunOver(FixityError):
    """A step begins or goes on although its run has ended: its worker was cut off, or got the step late."""


class NotInInventory(FixityError):
    """Requested objects are not in the newest inventory. The text names the first."""


_LIBRARIES = ("duckdb", "pyarrow")


def plain_words(error: BaseException) -> str | None:
    """An error's text for the user; None for a bug of ours, which needs its stack trace."""
    if isinstance(error, FixityError):
        return str(error)
    if isinstance(error, OSError):
        return _of_the_system(error)
    # Tested by name: importing the library takes a tenth of a second, and hashing does not need it.
    library = type(error).__module__.partition(".")[0].lstrip("_")
    return f"{library}, which reads the lake's tables: {error}" if library in _LIBRARIES else None


def is_full(error: OSError) -> bool:
    """Whether a disk or a quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _of_the_system(error: OSError) -> str:
    text = str(error) or type(error).__name__
    if is_full(error):
        where = error.filename or f"the lake or {tempfile.gettempdir()}, where temporary files go"
        return f"{text}: make room in {where}"
    return text


def bug_text(what: str, stack_trace: str) -> str:
    """The text for an unexpected error."""
    return f"this is a bug of fixity: {what}\nPlease report it with its stack trace:\n{stack_trace.rstrip()}"
