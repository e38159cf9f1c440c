"""The Dagster instance of the command line and of `fixity dev`: its folder, its settings, whose its runs are.

What a run does, and when it may start, does not belong here.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixity.errors import WrongUsage
from fixity.lake import Lake, open_lake
from fixity_cli.user import user_name

if TYPE_CHECKING:
    import dagster as dg

    from fixity.catalog import Catalog

_SETTINGS = Path(__file__).with_name("dagster.yaml")
_LOCATION = "fixity"
"""The code location that the UI loads, as workspace.yaml names it."""


def home_of(catalog_file: Path) -> Path:
    """The folder of the Dagster instance: DAGSTER_HOME, else `.dagster` beside the catalog."""
    return Path(os.environ.get("DAGSTER_HOME") or catalog_file.with_name(".dagster")).expanduser().absolute()


def prepare_home(catalog_file: Path) -> Path:
    """Make the folder of the Dagster instance, with this project's settings, and set DAGSTER_HOME to it.

    Arguments: catalog_file: the catalog; the folder is `.dagster` beside it unless DAGSTER_HOME is set.
    Returns: the folder. Settings that are there already stay as they are.
    Raises: OSError, saying what to do, when the folder cannot be made or written.
    """
    home = home_of(catalog_file)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # runs' logs name objects
        _make(home)
    except OSError as error:
        raise OSError(
            f"{home}: Dagster cannot keep its runs there ({error.strerror}): "
            "set DAGSTER_HOME to a folder that you can write to"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"  # also where the folder has settings of its own
    return home


def _make(home: Path) -> None:
    """Make the settings and the SQLite databases of a folder, unless they are there.

    Of several commands that start at once on a new machine, one makes them and the others wait: Dagster would
    have each of them make the same tables. Raises OSError.
    """
    settings, databases = (
        home / "dagster.yaml",
        home / "schedules" / "schedules.db",
    )  # the last one to be made
    with (home / "making.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not settings.exists():
            shutil.copyfile(_SETTINGS, settings)
        if databases.exists():
            return
        import yaml

        said = yaml.safe_load(settings.read_text(encoding="utf-8")) or {}
        if not said.keys() & {"storage", "run_storage", "event_log_storage", "schedule_storage"}:
            import dagster as dg

            dg.DagsterInstance.local_temp(str(home)).dispose()


@contextmanager
def instance_that_is_there(home: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a folder. Nothing is made: opened otherwise, one without tables gets them.

    Raises WrongUsage where there is none; and what the libraries raise that its dagster.yaml names.
    """
    import dagster as dg
    import yaml

    file = home / "dagster.yaml"
    if not file.is_file():
        raise WrongUsage(
            f"{home} has no dagster.yaml, so that it is not the folder of a Dagster instance: set "
            "DAGSTER_HOME as the daemon has it, or start: fixity dev"
        )
    settings = yaml.safe_load(file.read_text()) or {}
    storage = settings.get("storage") or {}
    if not storage.keys() - {"sqlite"} and "run_storage" not in settings:
        place = (storage.get("sqlite") or {}).get("base_dir", home)
        place = os.environ.get(place["env"], "") if isinstance(place, dict) else place
        if not (Path(place) / "history" / "runs.db").is_file():
            raise _no_tables(str(place))
    for kind in storage.keys() & {"postgres", "mysql"}:
        storage[kind]["should_autocreate_tables"] = False
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / "dagster.yaml"
        changed.write_text(yaml.safe_dump(settings))
        with dg.DagsterInstance.from_config(str(home), str(changed)) as instance:
            at = instance.run_storage.alembic_version()
            if at is not None and at[0] is None:
                raise _no_tables("the database")
            yield instance


def _no_tables(place: str) -> WrongUsage:
    return WrongUsage(
        f"{place} has no tables of Dagster: see that dagster.yaml names the right place, or make them: "
        "dagster instance migrate"
    )


@contextmanager
def lake_of_command(catalog: Catalog, verb: str) -> Iterator[Lake]:
    """The lake for a verb that keeps evidence without a run: where it has a log, what is kept is noted.

    Arguments: `verb`, for people. Raises LakeError, OSError.
    """
    lake = open_lake(catalog)
    if catalog.log is None:
        yield lake
        return
    import dagster as dg

    from resources.kept import keeper_of_command

    with dg.DagsterInstance.local_temp(str(prepare_home(catalog.file))) as instance:
        lake.keeper = keeper_of_command(lake, catalog, instance, f"{user_name()}, fixity {verb}")
        yield lake


def runs_belong_to_the_location(instance: dg.DagsterInstance) -> None:
    """Have the runs that this process executes belong to the code location of the UI.

    Without it, Dagster can neither re-execute such a run nor show it in the timeline and the history of its
    job.
    """
    import dagster as dg

    # Dagster has no setting for it: each run that is made here is given the origin on its way.
    create = instance.create_run_for_job

    def create_in_location(job_def: dg.JobDefinition, **said: object) -> dg.DagsterRun:
        origin = dg.deserialize_value(json.dumps(_origin(job_def.name)))
        more: Any = {**said, "remote_job_origin": origin}
        return create(job_def, **more)

    instance.create_run_for_job = create_in_location  # type: ignore[method-assign,assignment]  # see above


def _origin(job: str) -> dict[str, object]:
    """Where the UI has a job from, as Dagster keeps it with a run."""
    location = {"__class__": "RegisteredRepositoryLocationOrigin", "location_name": _LOCATION}
    repository = {
        "__class__": "ExternalRepositoryOrigin",
        "repository_location_origin": location,
        "repository_name": "__repository__",  # what Dagster calls the only one of a location
    }
    return {
        "__class__": "ExternalPipelineOrigin",
        "external_repository_origin": repository,
        "pipeline_name": job,
    }
