"""What a worker runs: `celery -A fixity_assets.workers.app worker`, or `fixity worker`.

The definitions, and what steps import only when they need it, are loaded once, before Celery makes its
processes, so that a step begins at once. A worker keeps what it has loaded: after a change of the catalog it
is started again.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from importlib import import_module
from typing import Any

from celery.worker.control import inspect_command
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from fixity_assets import definitions
from fixity_assets.executors import EXECUTOR_VARIABLE
from fixity_assets.workers.broker import PATIENCE, broker_url, settings
from fixity_assets.workers.steps import ASK_WORKERS, StepTask, made_with

os.environ[EXECUTOR_VARIABLE] = "celery"  # runs may have it from their environment
StepTask.made_with = made_with()  # of the file as it is loaded, not as it is later
definitions.defs()
for name in (
    "dagster_postgres",
    "fixity.buckets.s3.reader",
    "fixity.catalog.clients",
    "fixity.rolling.batches",
):
    with suppress(ModuleNotFoundError):  # an extra: the instance may be kept elsewhere
        import_module(name)
app = make_app({"broker": broker_url(), "backend": broker_url(), "task_cls": StepTask})
# The result of a step waits for a broker that is away. A run does not ask in this way: it watches.
app.conf.update(settings(), result_backend_always_retry=True, result_backend_max_retries=PATIENCE // 10)
execute_plan = create_task(app)


@inspect_command(name=ASK_WORKERS)  # type: ignore[untyped-decorator]  # Celery has no types
def answer(_state: Any) -> dict[str, str]:  # noqa: ANN401 - Celery's
    """What this worker is made with, for `fixity doctor`."""
    return dict(StepTask.made_with)


gc.freeze()  # so that the processes share what is loaded
