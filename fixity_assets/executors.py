"""Executors by name: who executes the steps of runs that the UI, a schedule or a sensor starts.

A step passes nothing to the next one; all that they share is in the lake. So the same assets run on any of
them. How steps reach workers of Celery is in `workers`. The packages of the others are imported only where
they are asked for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import dagster as dg

from fixity.catalog import EXECUTORS, Executor
from fixity.errors import WrongUsage
from fixity.version import SOFTWARE

EXECUTOR_VARIABLE = "FIXITY_EXECUTOR"
PROCESSES = 2
"""Steps at once under the multiprocess executor: they share a bucket's limits."""

_OF_DAGSTER = {  # the module with an executor, its name there, and the extra that installs it
    "k8s": ("dagster_k8s", "k8s_job_executor", "k8s"),
    "ecs": ("dagster_aws.ecs", "ecs_executor", "aws"),
    "docker": ("dagster_docker", "docker_executor", "docker"),
}


@dataclass(frozen=True)
class Chosen:
    """An executor: its name, and how many steps it executes at once; None: as many as a pool says."""

    name: str
    definition: dg.ExecutorDefinition
    steps: int | None


def executor_of(said: Executor, name: str | None = None) -> Chosen:
    """The executor of a name, else of FIXITY_EXECUTOR, else of the catalog.

    Arguments: `said`, what the catalog says. Raises WrongUsage where it cannot be used.
    """
    name = name or os.environ.get(EXECUTOR_VARIABLE) or said.kind
    if name == "in_process":
        return Chosen(name, dg.in_process_executor, 1)
    if name == "multiprocess":
        # Each step is a copy of a process that has imported everything: a new Python takes it three seconds.
        copied = {"forkserver": {"preload_modules": ["fixity_assets.loaded"]}}
        definition = dg.multiprocess_executor.configured(
            {"max_concurrent": PROCESSES, "start_method": copied}
        )
        return Chosen(name, definition, PROCESSES)
    if name == "celery":
        made: dg.ExecutorDefinition = _imported(name, "fixity_assets.workers.executor", "celery").on_workers(
            said.dead_after.total_seconds()
        )
        return Chosen(name, made, None)
    if name in _OF_DAGSTER:
        module, attribute, extra = _OF_DAGSTER[name]
        found: dg.ExecutorDefinition = getattr(_imported(name, module, extra), attribute)
        return Chosen(name, found.configured(said.settings if name == said.kind else {}), None)
    raise WrongUsage(f"{EXECUTOR_VARIABLE} is '{name}'; it must be one of {', '.join(EXECUTORS)}")


def _imported(name: str, module: str, extra: str) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise WrongUsage(
            f"the executor '{name}' is not installed (there is no module {error.name}): "
            f"pip install '{SOFTWARE}[{extra}]'"
        ) from error
