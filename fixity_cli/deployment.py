"""What Dagster knows of a running deployment: its database, daemon, queue of runs, webserver and code server.

The lake, the buckets and the machine do not belong here; they are in `fixity.doctor`.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixity.doctor import OK, WARNING, WRONG, Finding
from fixity.errors import WrongUsage
from fixity.humanize import error_text, printable, seconds_text

if TYPE_CHECKING:
    import dagster as dg

    from fixity.catalog import Executor

_SILENT_AFTER = timedelta(minutes=5)  # the daemon says every 30 seconds that it is there
_WAITS_LONG = timedelta(hours=24)
_PROBES = "fixity_doctor"  # partitions that nobody uses
_WAIT = 10  # seconds
_WAIT_FOR_WORKERS = 2.0  # seconds; all answer within them
_SECRETS = ("PASSWORD", "SECRET", "TOKEN", "KEY", "URL")
_QUERY = """{ version workspaceOrError { ... on PythonError { message } ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { ... on PythonError { message }
    ... on RepositoryLocation { dagsterLibraryVersions { name version } } } } } } }"""


def look_at_instance(home: Path, now: datetime, of_executor: int | None = 1) -> Iterator[Finding]:
    """What is right and wrong with the Dagster instance of a folder, at a time (UTC).

    Arguments: `of_executor`, how many steps the executor executes at once; None: a pool of the instance says.
    """
    if not (home / "dagster.yaml").is_file():
        text = f"{home} has no dagster.yaml, so that it is not the folder of a Dagster instance"
        yield Finding("database", WRONG, text, "set DAGSTER_HOME as the daemon has it, or start: fixity dev")
        return
    import dagster as dg

    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield _of_database(instance)
            yield from _of_daemon(instance, now)
            yield from _of_queue(instance, now)
            if of_executor is None:
                yield _of_pool(instance)
    except Exception as error:  # of any library that dagster.yaml names
        text = f"it cannot be used: {_cause_text(error)}"
        to_do = (
            f"see that the database runs, that {home}/dagster.yaml names it, and that its variables are set"
        )
        yield Finding("database", WRONG, text, to_do)


def _of_database(instance: dg.DagsterInstance) -> Finding:
    kind = type(instance.run_storage).__name__.removesuffix("RunStorage")
    at = instance.run_storage.alembic_version()
    if at is not None and at[0] != at[1]:
        text = f"{kind}: its tables are those of another version of Dagster ({at[0]}, not {at[1]})"
        return Finding("database", WRONG, text, "back it up, then: dagster instance migrate")
    probe = f"doctor-{uuid.uuid4()}"
    instance.add_dynamic_partitions(_PROBES, [probe])  # raises where it is full, or may only be read
    instance.delete_dynamic_partition(_PROBES, probe)
    for_one = ", for one machine" if kind == "Sqlite" else ""
    text = f"{kind}{for_one}, with the tables of this version; it can be written"
    return Finding("database", OK, text)


def _of_daemon(instance: dg.DagsterInstance, now: datetime) -> Iterator[Finding]:
    beats = instance.get_daemon_heartbeats()
    to_do = "start it, and read its log: dagster-daemon run (or fixity dev)"
    silent = False
    for kind in instance.get_required_daemon_types():
        beat = beats.get(kind)
        silent = silent or beat is None or now.timestamp() - beat.timestamp > _SILENT_AFTER.total_seconds()
        if beat is not None and beat.errors:
            yield Finding("daemon", WRONG, f"{kind}: {_short(beat.errors[0].message)}", to_do)
    if silent:
        last = max((beat.timestamp for beat in beats.values()), default=None)
        age = f"last seen {seconds_text(now.timestamp() - last)} ago" if last else "never seen"
        yield Finding("daemon", WRONG, f"it does not run: {age}", to_do)
    else:
        yield Finding("daemon", OK, "it runs")


def _of_queue(instance: dg.DagsterInstance, now: datetime) -> Iterator[Finding]:
    import dagster as dg

    queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
    first = instance.get_run_records(queued, limit=1, ascending=True)
    if not first:
        yield Finding("queue of runs", OK, "no run waits")
        return
    waits = now - first[0].create_timestamp
    text = (
        f"{instance.get_runs_count(queued):,} runs wait, the first for {seconds_text(waits.total_seconds())}"
    )
    if waits > _WAITS_LONG:
        to_do = "see in the UI what runs for so long, and which limit of dagster.yaml holds the others back"
        yield Finding("queue of runs", WARNING, text, to_do)
    else:
        yield Finding("queue of runs", OK, text)


def _of_pool(instance: dg.DagsterInstance) -> Finding:
    from resources.pool import POOL, steps_at_once

    try:
        steps = steps_at_once(instance, None)
    except WrongUsage as error:
        return Finding("pool of steps", WRONG, str(error), f"dagster instance concurrency set {POOL} N")
    return Finding("pool of steps", OK, f"{steps} steps read at once, over all workers")


def look_at_executor(executor: Executor) -> tuple[list[Finding], int | None]:
    """What is right and wrong with the executor that a catalog and FIXITY_EXECUTOR name.

    Returns also how many steps it executes at once; None: a pool of the instance says.
    """
    from fixity_assets.executors import EXECUTOR_VARIABLE, executor_of

    name = os.environ.get(EXECUTOR_VARIABLE) or executor.kind
    try:
        chosen = executor_of(executor)
    except WrongUsage as error:
        return [Finding("executor", WRONG, str(error), "then start all parts again")], 1
    found = [Finding("executor", OK, f"{name} is installed")]
    return [*found, *([_of_broker()] if name == "celery" else [])], chosen.steps


def _of_broker() -> Finding:
    from celery import Celery
    from redis.exceptions import RedisError

    from fixity_assets.workers.broker import BROKER_VARIABLE, broker_url, place, settings

    url = broker_url()
    with Celery("doctor", broker=url, backend=url) as app:
        app.conf.update(settings())
        try:
            app.backend.client.ping()
            workers = app.control.ping(timeout=_WAIT_FOR_WORKERS)
        except (RedisError, OSError) as error:
            to_do = f"start Redis there, or correct {BROKER_VARIABLE}"
            return Finding("broker", WRONG, f"{place(url)} does not answer: {_short(str(error))}", to_do)
    if not workers:
        return Finding(
            "broker", WRONG, f"{place(url)} answers, but no worker does", "start one: fixity worker"
        )
    return Finding("broker", OK, f"{place(url)} and {len(workers):,} workers answer")


def unfinished_runs(home: Path) -> dict[str, int]:
    """How many runs are queued and in progress. Arguments: `home`, the folder of the Dagster instance."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        return {
            status.value.lower(): instance.get_runs_count(dg.RunsFilter(statuses=[status]))
            for status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED)
        }


def look_at_webserver(url: str) -> Iterator[Finding]:
    """What the webserver at a URL says of itself and of the code server. It is sent a query, no change."""
    request = urllib.request.Request(
        f"{url.rstrip('/')}/graphql",
        json.dumps({"query": _QUERY}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_WAIT) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        entries = data["workspaceOrError"].get("locationEntries")
        problem = data["workspaceOrError"].get("message")
    except (OSError, ValueError, KeyError, TypeError) as error:
        to_do = "start it, or name the address that it has behind the login, such as http://127.0.0.1:3000"
        yield Finding("webserver", WRONG, f"it gives no answer: {_short(str(error))}", to_do)
        return
    yield _same_version("webserver", "dagster-webserver", data["version"])
    if not entries:
        text = f"the webserver knows none: {_short(problem or 'its workspace.yaml is empty')}"
        yield Finding("code server", WRONG, text, "name it in workspace.yaml")
    for entry in entries or ():
        yield _of_location(entry)


def _of_location(entry: dict[str, Any]) -> Finding:
    about = f"code server {printable(entry['name'], 100)}"
    found = entry.get("locationOrLoadError") or {}
    if "dagsterLibraryVersions" not in found:
        why = _short(found.get("message") or f"it is {entry['loadStatus'].lower()}")
        return Finding(
            about, WRONG, f"it did not load: {why}", "mend the catalog (fixity catalog check), then reload it"
        )
    libraries = {each["name"]: each["version"] for each in found["dagsterLibraryVersions"] or ()}
    ours = _same_version(about, "fixity-platform", libraries.get("fixity-platform", "another program"))
    return ours if ours.state != OK else _same_version(about, "dagster", libraries.get("dagster", "unknown"))


def _same_version(about: str, package: str, theirs: str) -> Finding:
    here = version(package)
    if theirs == here:
        return Finding(about, OK, f"answers, with {package} {here}")
    text = f"it has {package} {printable(theirs, 50)}, and this machine {here}"
    return Finding(about, WRONG, text, "install the same version everywhere, then start it again")


def _cause_text(error: BaseException) -> str:
    """The text of an error's first cause: Dagster wraps what the database says."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _short(f"{type(error).__name__}: {error}")


def _short(text: str) -> str:
    secrets = [value for name, value in os.environ.items() if name.endswith(_SECRETS)]
    return error_text(text, secrets)
