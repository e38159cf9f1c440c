"""How many steps of all runs read at once, over all machines: the limit of a pool of Dagster's instance.

Where several machines execute steps, nobody but Dagster counts them. What a step does with its share of a
bucket's limits does not belong here.
"""

from __future__ import annotations

import os

import dagster as dg

from fixity.errors import WrongUsage

POOL = "hash_objects"
"""The pool of the steps that read objects."""


class NoPoolLimit(WrongUsage):
    """Nobody has said how many steps may read at once. The message says how to."""


_OF_CONTAINERS = ("DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS", "DAGSTER_RUN_STEP_KEY")
"""What Dagster sets where it executes one step in a container of its own."""


def steps_at_once(instance: dg.DagsterInstance, of_executor: int | None) -> int:
    """How many steps read at once, at most.

    Arguments: `of_executor`, what the executor says; None: the pool. Raises NoPoolLimit, WrongUsage.
    """
    if of_executor is None:
        return _pool_limit(instance)
    if not os.environ.keys().isdisjoint(_OF_CONTAINERS):
        raise WrongUsage(
            "this step has a container of its own, but its catalog and its environment name no executor that "
            "does so: name the same `executor` in the catalog for all containers"
        )
    return of_executor


def _pool_limit(instance: dg.DagsterInstance) -> int:
    config = instance.get_concurrency_config().pool_config
    if config.pool_granularity is not None and config.pool_granularity.value == "run":
        raise NoPoolLimit(
            f"the pool '{POOL}' limits runs, not steps, so nobody knows how many steps read a bucket at "
            "once: set concurrency: {pools: {granularity: op}} in dagster.yaml"
        )
    for pool in instance.event_log_storage.get_pool_limits():
        if pool.name == POOL and not pool.from_default and pool.limit:
            return int(pool.limit)
    raise NoPoolLimit(
        f"the pool '{POOL}' has no limit, so nobody knows how many steps read a bucket at once and share its "
        f"limits: dagster instance concurrency set {POOL} N, where N is how many steps your workers execute "
        "at once"
    )
