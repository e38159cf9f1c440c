"""What Dagster knows of a running deployment: its database, daemon, queue of runs, webserver and code server.

The lake, the buckets and the machine do not belong here; they are in `fixity.doctor`.
"""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from http.client import HTTPException
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixity.doctor import OK, WARNING, WRONG, Finding
from fixity.doctor.finding import finding_of_refusal
from fixity.errors import FixityError, WrongUsage
from fixity.humanize import error_text, printable, seconds_text
from fixity.status.daemon import SILENT_AFTER
from fixity.version import SOFTWARE
from fixity_cli.instance import instance_that_is_there

if TYPE_CHECKING:
    import dagster as dg

    from fixity.catalog import Catalog

_WAITS_LONG = timedelta(hours=24)
_PROBES = "fixity_doctor"  # partitions that nobody uses
_PRINTED = [_PROBES, "probe"]
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
    try:
        with instance_that_is_there(home) as instance:
            yield _of_database(instance, on_one_machine=of_executor is not None)
            yield from _of_daemon(instance, now)
            yield from _of_queue(instance, now)
            yield from _of_logs(instance)
            if of_executor is None:
                yield _of_pool(instance)
    except WrongUsage as error:
        yield Finding("database", WRONG, str(error), "then ask again")
    except Exception as error:  # of any library that dagster.yaml names
        text = f"it cannot be used: {_cause_text(error)}"
        to_do = (
            f"see that the database runs, that {home}/dagster.yaml names it, and that its variables are set"
        )
        yield Finding("database", WRONG, text, to_do)


def _of_database(instance: dg.DagsterInstance, on_one_machine: bool) -> Finding:
    kind = type(instance.run_storage).__name__.removesuffix("RunStorage")
    at = instance.run_storage.alembic_version()
    if at is not None and at[0] != at[1]:
        text = f"{kind}: its tables are those of another version of Dagster ({at[0]}, not {at[1]})"
        return Finding("database", WRONG, text, "back it up, then: dagster instance migrate")
    probe = f"doctor-{uuid.uuid4()}"
    instance.add_dynamic_partitions(_PROBES, [probe])  # raises where it is full, or may only be read
    instance.delete_dynamic_partition(_PROBES, probe)
    if kind == "Sqlite" and not on_one_machine:
        text = "Sqlite is for one machine, and the executor may execute steps on others"
        return Finding("database", WARNING, text, "keep runs and events in PostgreSQL, see `storage`")
    for_one = ", for one machine" if kind == "Sqlite" else ""
    text = f"{kind}{for_one}, with the tables of this version; it can be written"
    return Finding("database", OK, text)


def _of_daemon(instance: dg.DagsterInstance, now: datetime) -> Iterator[Finding]:
    beats, required = instance.get_daemon_heartbeats(), instance.get_required_daemon_types()
    to_do = "start it, and read its log: dagster-daemon run (or fixity dev)"
    there = {kind: beats[kind] for kind in required if kind in beats}
    for kind, beat in there.items():
        if beat.errors:
            yield Finding("daemon", WRONG, f"{kind}: {_short(beat.errors[0].message)}", to_do)
    silence = now.timestamp() - min((beat.timestamp for beat in there.values()), default=0.0)
    age = f"last seen {seconds_text(silence)} ago" if there else "never seen"
    if len(there) < len(required) or silence > SILENT_AFTER.total_seconds():
        yield Finding("daemon", WRONG, f"it does not run: {age}", to_do)
    else:
        yield Finding("daemon", OK, age)


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


def _of_logs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Whether the bucket can be listed and written that keeps what steps print, if one does."""
    from botocore.exceptions import BotoCoreError, ClientError

    kept = instance.compute_log_manager
    if type(kept).__name__ != "S3ComputeLogManager":
        return
    any_kind: Any = None  # of output: there is none of this name
    tries: list[tuple[str, Callable[[], object]]] = [
        ("s3:ListBucket", lambda: kept.get_log_keys_for_log_key_prefix([_PROBES], any_kind)),
        ("s3:PutObject", lambda: _print_as_a_step(kept)),
    ]
    for action, ask in tries:
        try:
            ask()
        except (ClientError, BotoCoreError) as error:
            yield finding_of_refusal("logs of steps", error, action, "bucket of `compute_logs`")
            return
    with suppress(
        ClientError, BotoCoreError
    ):  # steps need no right to remove; the next look has the same name
        kept.delete_logs(_PRINTED)
    yield Finding("logs of steps", OK, "their bucket can be listed and written")


def _print_as_a_step(kept: Any) -> None:  # noqa: ANN401 - Dagster's
    kind = import_module(type(kept).__module__).ComputeIOType.STDERR
    with kept.local_manager.open_log_stream(_PRINTED, kind) as file:
        file.write("fixity doctor puts this file and removes it\n")
    kept.upload_to_cloud_storage(_PRINTED, kind)


def _of_pool(instance: dg.DagsterInstance) -> Finding:
    from resources.pool import POOL, steps_at_once

    try:
        steps = steps_at_once(instance, None)
    except WrongUsage as error:
        return Finding("pool of steps", WRONG, str(error), f"dagster instance concurrency set {POOL} N")
    return Finding("pool of steps", OK, f"{steps} steps read at once, over all workers")


def look_at_executor(catalog: Catalog) -> tuple[list[Finding], int | None]:
    """What is right and wrong with the executor that a catalog and FIXITY_EXECUTOR name, and its workers.

    Returns also how many steps it executes at once; None: a pool of the instance says.
    """
    from fixity_assets.executors import executor_of

    try:
        chosen = executor_of(catalog.executor)
    except WrongUsage as error:
        return [Finding("executor", WRONG, str(error), "then start all parts again")], 1
    found = [Finding("executor", OK, f"{chosen.name} is installed")]
    if chosen.steps is None and not catalog.lake.startswith("s3://"):
        text = f"the lake {catalog.lake} is a directory, and the executor may execute steps on other machines"
        found.append(Finding("executor", WARNING, text, "see that all of them have it there, or use S3"))
    return [*found, *(_of_workers(catalog.file) if chosen.name == "celery" else [])], chosen.steps


def _of_workers(catalog: Path) -> Iterator[Finding]:
    from celery import Celery

    from fixity_assets.workers.broker import SILENT, ask_broker, broker_url, place, settings
    from fixity_assets.workers.steps import ASK_WORKERS, made_with

    url = broker_url()
    with Celery("doctor", broker=url, backend=url) as app:
        app.conf.update(settings())
        try:
            ask_broker(app.backend.client, url)
            answers = app.control.broadcast(ASK_WORKERS, reply=True, timeout=_WAIT_FOR_WORKERS)
        except (FixityError, *SILENT) as error:
            yield Finding("broker", WRONG, _short(str(error)), "then ask again")
            return
    workers = {name: said for answer in answers or () for name, said in answer.items()}
    if not workers:
        yield Finding(
            "broker", WRONG, f"{place(url)} answers, but no worker does", "start one: fixity worker"
        )
        return
    yield Finding("broker", OK, f"{place(url)} and {len(workers):,} workers answer")
    ours = made_with(catalog)
    for name, said in sorted(workers.items()):
        differs = " and ".join(part for part, value in ours.items() if said.get(part) != value)
        if differs:
            text = f"{printable(name, 100)} has another {differs} than this machine"
            yield Finding("worker", WRONG, text, "give it the same version and catalog, then start it again")


def unfinished_runs(home: Path) -> dict[str, int]:
    """How many runs have not ended, by their status. Arguments: `home`, the folder of the Dagster instance.

    Raises WrongUsage where there is no instance, FixityError where it does not answer.
    """
    import dagster as dg

    from jobs.runs import UNFINISHED

    try:
        with instance_that_is_there(home) as instance:
            return {
                status.value.lower(): instance.get_runs_count(dg.RunsFilter(statuses=[status]))
                for status in UNFINISHED
            }
    except WrongUsage:
        raise
    except Exception as error:  # of any library that dagster.yaml names
        raise FixityError(
            f"the runs of {home} cannot be counted: {_cause_text(error)}. See that its database runs, and "
            "what fixity doctor says"
        ) from error


def look_at_webserver(url: str) -> Iterator[Finding]:
    """What the webserver at a URL says of itself and of the code server. It is sent a query, no change."""
    query, kind = json.dumps({"query": _QUERY}).encode(), {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/graphql", query, kind)
        with urllib.request.urlopen(request, timeout=_WAIT) as answer:
            found = list(_of_workspace(json.load(answer)["data"]))
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        to_do = "start it, or name the address that it has behind the login, such as http://127.0.0.1:3000"
        text = f"it gives no answer of Dagster's webserver: {_cause_text(error)}"
        found = [Finding("webserver", WRONG, text, to_do)]
    yield from found


def _of_workspace(data: dict[str, Any]) -> Iterator[Finding]:
    """What a webserver said of itself and its code servers. The answer of another program has other keys."""
    yield _same_version("webserver", "dagster-webserver", data["version"])
    entries = data["workspaceOrError"].get("locationEntries")
    if not entries:
        problem = data["workspaceOrError"].get("message")
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
    ours = _same_version(about, SOFTWARE, libraries.get(SOFTWARE, "another program"))
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
