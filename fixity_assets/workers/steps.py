"""A step as Celery carries it: what the worker does before it executes one, and the run's watch over it.

The base class of Celery's tasks on both sides. What is executed is Dagster's own task.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import celery
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError
from sqlalchemy import Engine, event

import fixity
from fixity.catalog import find_catalog
from fixity.errors import FixityError
from fixity.log.records import sha256_of
from fixity.tables import this_software
from fixity_assets.workers.broker import patiently
from fixity_assets.workers.lease import Lease
from fixity_assets.workers.watch import WatchedStep

if TYPE_CHECKING:
    from redis import Redis

_PACKAGES, _SOURCES = ("fixity", "fixity_assets", "jobs", "resources", "sensors"), ("*.py", "*.sql")
_MADE_WITH, _SENDING, _DEAD_AFTER = "fixity_made_with", "fixity_sending", "fixity_dead_after"


ASK_WORKERS = "fixity_made_with"
"""The message by which `fixity doctor` asks all workers what they are made with."""


class AnotherWorker(FixityError):
    """A worker has another version or another catalog than the run. The message says which."""


def made_with(catalog: Path | None = None) -> dict[str, str]:
    """This software, its sources, and the catalog as they are now: runs and workers must have the same.

    Arguments: `catalog`, its file, if it was named by hand.
    """
    root = Path(fixity.__file__).parents[1]
    files = sorted(file for name in _PACKAGES for end in _SOURCES for file in (root / name).rglob(end))
    code = [file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() for file in files]
    return {
        "software": this_software(),
        "code": sha256_of(b"\0".join(code)),
        "catalog": sha256_of(find_catalog(catalog).read_bytes()),
    }


def refuse_another(theirs: Mapping[str, str], ours: Mapping[str, str], worker: str) -> None:
    """Raise AnotherWorker unless a run's software and catalog are those that a worker has loaded."""
    if theirs["software"] != ours["software"]:
        raise AnotherWorker(
            f"the worker {worker} is {ours['software']}, and the run is of {theirs['software']}: install the "
            "same version on all machines, and start the worker again"
        )
    if theirs["code"] != ours["code"]:
        raise AnotherWorker(
            f"the worker {worker} has other source files than the run, though both are {ours['software']}: "
            "install the same on all machines, and start the worker again"
        )
    if theirs["catalog"] != ours["catalog"]:
        raise AnotherWorker(
            f"the worker {worker} has another catalog ({ours['catalog'][:12]}…) than the run "
            f"({theirs['catalog'][:12]}…): give it the same file, and start it again"
        )


@contextmanager
def silent_in_doubt(lease: Lease) -> Iterator[None]:
    """Have what is executed in a `with` block wait at the database while somebody else may have the lease.

    A step asks the database before it keeps anything, and tells it all that happens. So a step that was cut
    off says nothing when it is back: another has executed it. Arguments: `lease`, one that is kept.
    """

    def wait(*_: object) -> None:
        lease.wait_while_in_doubt()

    event.listen(Engine, "before_cursor_execute", wait)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", wait)


class StepTask(celery.Task):  # type: ignore[misc]  # Celery has no types
    """One step of a run. Sending it returns its watch; a worker executes it only if it gets the lease."""

    acks_late = True  # a worker takes no step that it does not execute now
    reject_on_worker_lost = True
    dead_after = 45.0
    """Seconds of silence after which a worker counts as dead."""
    made_with: Mapping[str, str] = {}
    """What the run began with, or what this worker has loaded."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> WatchedStep:  # noqa: ANN401
        """See Celery's Task."""
        sending = str(uuid.uuid4())
        headers = {_MADE_WITH: self.made_with, _SENDING: sending, _DEAD_AFTER: self.dead_after}
        send_once = partial(super().apply_async, args, kwargs, headers=headers, **options)

        def send() -> Any:  # noqa: ANN401 - Celery's
            try:
                return send_once()
            except RuntimeError as error:  # so Celery tells that the broker is away, before it sends
                raise OperationalError(str(error)) from error

        return WatchedStep(send, Lease(self._redis, sending, self.dead_after), self.dead_after)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Dagster's
        """Execute the step in a worker. Raises Ignore where another has it or it is done, AnotherWorker."""
        sent = self.request
        lease = Lease(self._redis, getattr(sent, _SENDING), getattr(sent, _DEAD_AFTER))
        if not patiently(lease.take):
            raise Ignore
        with lease.kept(), silent_in_doubt(lease):
            refuse_another(getattr(sent, _MADE_WITH), self.made_with, sent.hostname)
            return super().__call__(*args, **kwargs)

    @property
    def _redis(self) -> Redis:
        client: Redis = self.app.backend.client
        return client
