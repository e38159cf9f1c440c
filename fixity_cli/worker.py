"""The verb that starts a worker, which executes steps of runs where the executor is `celery`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from fixity_cli.shared import CatalogOption, load

verbs = typer.Typer()


@verbs.command()
def worker(
    steps: Annotated[int, typer.Option(min=1, max=64, help="How many steps it executes at once.")] = 1,
    catalog: CatalogOption = None,
) -> None:
    """Start a worker: it executes steps of runs, for an `executor: celery`. Ctrl-C ends it after its steps.

    It gets them through the Redis that FIXITY_BROKER names, from any machine. It needs the same catalog and
    the same version as the runs, the same lake, and the credentials of the buckets.
    """
    from fixity.catalog import ENVIRONMENT
    from fixity_assets.executors import executor_of

    loaded = load(catalog)
    executor_of(loaded.executor, "celery")  # whether all that it needs is there
    os.environ[ENVIRONMENT] = str(loaded.file)
    words = ["-m", "celery", "-A", "fixity_assets.workers.app", "worker", "--loglevel=INFO"]
    words += [f"--concurrency={steps}", f"--hostname=fixity-{os.getpid()}@%h"]
    words += ["--without-gossip", "--without-mingle"]
    typer.echo(f"catalog {loaded.file}: a worker of {steps} steps at once", err=True)
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", *words])
