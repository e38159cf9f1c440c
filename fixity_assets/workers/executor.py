"""The executor `celery`: the run's process sends steps to workers, and watches over them.

It is Dagster's own, with our tasks in place of Celery's.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_celery import celery_executor
from dagster_celery.executor import CeleryExecutor
from dagster_celery.make_app import make_app

from fixity_assets.workers.broker import BROKER_VARIABLE, ask_broker, broker_url, settings_of_run
from fixity_assets.workers.steps import StepTask, made_with


def on_workers(dead_after: float) -> dg.ExecutorDefinition:
    """The executor. Arguments: `dead_after`, seconds for which a worker may be silent. Raises WrongUsage."""
    broker_url()
    from_environment = {"env": BROKER_VARIABLE}  # so it is not kept with the run

    @dg.executor(
        name="celery",
        config_schema=celery_executor.config_schema,
        requirements=dg.multiple_process_executor_requirements(),
    )
    def celery(context: dg.InitExecutorContext) -> _OnWorkers:
        made = celery_executor.executor_creation_fn(context)
        of_run = {"dead_after": dead_after, "made_with": made_with()}
        return _OnWorkers(made, type("StepTask", (StepTask,), of_run))

    config = {"broker": from_environment, "backend": from_environment, "config_source": settings_of_run()}
    return celery.configured(config, "celery")


class _OnWorkers(CeleryExecutor):  # type: ignore[misc]  # Dagster's has no types
    def __init__(self, made: CeleryExecutor, task: type[StepTask]) -> None:
        super().__init__(made.retries, made.broker, made.backend, made.include, vars(made.config_source))
        self._task = task

    def app_args(self) -> dict[str, Any]:
        """What Celery's app is made of."""
        return {**super().app_args(), "task_cls": self._task}

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:  # noqa: ANN401
        """See Dagster's Executor. Raises BrokerSilent and WrongUsage before anything is sent."""
        ask_broker(make_app(self.app_args()).backend.client, self.broker)
        # Dagster makes its task anew for each step.
        warnings.filterwarnings("ignore", "Task name 'execute_plan' is already registered")
        yield from super().execute(plan_context, execution_plan)
