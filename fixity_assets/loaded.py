"""What a process does once, before runs or steps are copied from it: to import this is to have done it.

`fixity_cli.run_server` imports it, and so does Dagster's multiprocess executor (see `executors`).
It starts no threads, because a copy would lack them. What runs and steps do does not belong here.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from importlib import import_module

# The server of multiprocessing looks into the working directory first; the user may have a `duckdb.py` there.
with suppress(ValueError):
    sys.path.remove("")

import dagster as dg

from fixity_assets.definitions import defs

_ALSO_NEEDED = ("duckdb", "pyarrow.dataset", "upath.implementations.local")
"""What steps import by themselves: the rest of what takes them long."""

for _name in _ALSO_NEEDED:
    import_module(_name)
with suppress(Exception):  # each step says why not
    defs()


@dg.asset(check_specs=[dg.AssetCheckSpec("passes", asset="rehearsed")])
def rehearsed() -> dg.MaterializeResult:
    """Nothing. To run it once, in memory, has Dagster import and work out what every run needs."""
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


dg.materialize([rehearsed], run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
gc.collect()
gc.freeze()  # so that copies share what is loaded
