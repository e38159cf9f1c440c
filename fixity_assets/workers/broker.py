"""The broker: Redis at the URL in FIXITY_BROKER. It holds the steps to execute, their results and leases."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from kombu.exceptions import OperationalError
from kombu.utils.functional import retry_over_time
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fixity.errors import FixityError, WrongUsage

if TYPE_CHECKING:
    from redis import Redis

BROKER_VARIABLE = "FIXITY_BROKER"
SILENT = (OperationalError, RedisConnectionError, RedisTimeoutError, OSError)
"""What is raised while the broker does not answer."""
PATIENCE = 600
"""For how many seconds it may be silent."""
_ANSWERS = 10
"""For how many seconds one request may be: then its connection hangs, and another is made."""
_DAY = 24 * 60 * 60  # seconds
_Answer = TypeVar("_Answer")


class BrokerSilent(FixityError):
    """The broker does not answer. The message says where it is looked for, and what to do."""

    final = False


def broker_url() -> str:
    """The broker's URL. It may hold a password, so it is never shown. Raises WrongUsage."""
    url = os.environ.get(BROKER_VARIABLE, "")
    if not url:
        raise WrongUsage(f"workers need a broker: set {BROKER_VARIABLE} to its URL, redis://host:6379/0")
    if not _is_of_redis(url):
        raise WrongUsage(
            f"{BROKER_VARIABLE} must be the URL of a Redis: redis://:password@host:6379/0, or rediss://…; "
            "write signs of the password such as / ? # [ ] @ % percent-encoded: %2F in place of /"
        )
    return url


def _is_of_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text has a piece of the password
        return False
    database = parts.path.removeprefix("/")
    is_complete = bool(parts.hostname) and port != 0 and not parts.fragment and "@" not in parts.query
    return parts.scheme in ("redis", "rediss") and is_complete and (not database or database.isdecimal())


def place(url: str) -> str:
    """Where the broker is, for people: without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}"


def patiently(ask: Callable[[], _Answer]) -> _Answer:
    """Ask the broker once a second until it answers. Raises one of SILENT after PATIENCE seconds."""
    once_a_second: Any = partial(retry_over_time, max_retries=PATIENCE, interval_start=1, interval_max=1)
    answer: _Answer = once_a_second(ask, SILENT)
    return answer


def ask_broker(client: Redis, url: str) -> None:
    """See that the broker answers, and lets us in. Raises BrokerSilent, WrongUsage."""
    try:
        client.ping()
    except (AuthenticationError, AuthorizationError, ResponseError) as error:
        raise WrongUsage(
            f"the broker at {place(url)} answers, and refuses us ({error}): correct the user, the password "
            f"and the database in {BROKER_VARIABLE}"
        ) from error
    except (RedisError, OSError) as error:
        raise BrokerSilent(
            f"the broker at {place(url)} does not answer ({error}): start Redis there, or correct "
            f"{BROKER_VARIABLE}"
        ) from error


def settings_of_run() -> dict[str, Any]:
    """What Celery is told in a run, which asks again itself while the broker is away."""
    return {**settings(), "result_backend_transport_options": {"retry_policy": {"max_retries": 0}}}


def settings() -> dict[str, Any]:
    """What Celery is told, in runs and in workers."""
    return {
        "worker_prefetch_multiplier": 1,
        "worker_redirect_stdouts": False,  # else Dagster cannot keep what a step prints
        "broker_connection_retry_on_startup": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_transport_options": {
            # Leases tell whether a worker is dead. What Redis thinks of it only cleans up.
            "visibility_timeout": _DAY,
            "socket_connect_timeout": 5,
            "socket_timeout": _ANSWERS,
            "max_retries": 3,
        },
        "result_expires": 7 * _DAY,
        "redis_socket_connect_timeout": 5,
        "redis_socket_timeout": _ANSWERS,
    }
