"""Where the steps of runs are executed: `executor: celery`, or `executor: {kind: ecs, settings: …}`.

What is done with it belongs to those who make the definitions.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from fixity.catalog.base import Part
from fixity.catalog.units import Duration

ExecutorName = Literal["in_process", "multiprocess", "celery", "k8s", "ecs", "docker"]
EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)
"""The names of all executors."""

_WITH_SETTINGS = ("k8s", "ecs", "docker")
_LEAST = timedelta(seconds=2)


def _check_silence(silence: timedelta) -> timedelta:
    if silence < _LEAST:
        raise ValueError("that is too short: a busy worker would be taken for a dead one; write 45s or more")
    return silence


class Executor(Part):
    """Who executes the steps of runs that the UI, schedules or sensors start. Commands execute their own."""

    kind: ExecutorName = "in_process"
    """The executor: this process, two processes of this machine, or workers on any machines; see
    [several machines](../how-to/several-machines.md). `FIXITY_EXECUTOR` names another one."""
    dead_after: Annotated[Duration, AfterValidator(_check_silence)] = timedelta(seconds=45)
    """How long a worker of `celery` may be silent until its step is given to another one."""
    settings: dict[str, Any] = Field(default={})
    """The settings of Dagster's executor of that name (`k8s`, `ecs`, `docker`), as Dagster's manual lists
    them."""

    @model_validator(mode="before")
    @classmethod
    def _from_its_name(cls, content: object) -> object:
        return {"kind": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def _has_only_what_it_uses(self) -> Self:
        if self.settings and self.kind not in _WITH_SETTINGS:
            raise ValueError(
                f"`settings` do nothing for `{self.kind}`: only {', '.join(_WITH_SETTINGS)} have"
            )
        if "dead_after" in self.model_fields_set and self.kind != "celery":
            raise ValueError(f"`dead_after` does nothing for `{self.kind}`: only `celery` has it")
        return self
