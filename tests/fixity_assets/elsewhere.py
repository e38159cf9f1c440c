"""Jobs as another process builds them: a step of the multiprocess executor imports this, and no test.

Dagster keeps a reconstructed job by its name for the whole process: a test that needs other settings has a
function of its own.
"""

from __future__ import annotations

import sys

import dagster as dg

from jobs.names import CHECKSUMS_JOB, REPORT_JOB


def job_of_environment(job: str) -> dg.JobDefinition:
    """A job of the catalog that the environment names."""
    from fixity.catalog import load_catalog
    from fixity_assets.definitions import build_definitions

    return build_definitions(load_catalog()).resolve_job_def(job)


def in_shards(shard: int, part: int = 2_000, job: str = CHECKSUMS_JOB) -> dg.JobDefinition:
    """A job in shards and parts of so many objects, in whatever process it is built."""
    import fixity.engines.stream.pace
    import fixity.engines.stream.shards

    fixity.engines.stream.pace.SHARD_OBJECTS, fixity.engines.stream.shards.PART_OBJECTS = shard, part
    return job_of_environment(job)


def two_shards_job() -> dg.JobDefinition:
    """Twelve objects in two shards. Dagster wants a function without arguments.

    A step builds it in a process that has imported all that a step needs.
    """
    assert "fixity_assets.checksums_read" in sys.modules
    return in_shards(shard=6, part=4)


def four_shards_job() -> dg.JobDefinition:
    """Twenty objects in four shards."""
    return in_shards(shard=5)


def shards_of_forty_job() -> dg.JobDefinition:
    """Shards of forty objects, in parts of ten."""
    return in_shards(shard=40, part=10)


def in_parts(job: str) -> dg.JobDefinition:
    """A job that folds and compares parts of a few keys, in whatever process it is built."""
    import fixity.ledger.by_key
    import fixity.ledger.fold_plan
    import fixity.reports.pair_steps

    fixity.ledger.by_key._RANGE_ROWS, fixity.ledger.by_key._MOST_READS = 1, 1000
    fixity.ledger.fold_plan._RANGES_OF_PART = 1
    vars(fixity.reports.pair_steps).update(RANGE_BYTES=2_000, _RANGES_OF_STEP=20)
    return in_shards(shard=40, part=10, job=job)


def parts_to_check_job() -> dg.JobDefinition:
    """The job that checks a bucket, in such parts."""
    return in_parts(CHECKSUMS_JOB)


def parts_to_report_job() -> dg.JobDefinition:
    """The job that reports a pair, in such parts."""
    return in_parts(REPORT_JOB)


def docker_job() -> dg.JobDefinition:
    """A job whose steps are containers."""
    return job_of_environment(CHECKSUMS_JOB)


def k8s_job() -> dg.JobDefinition:
    """A job whose steps are jobs of Kubernetes."""
    return job_of_environment(CHECKSUMS_JOB)


def ecs_job() -> dg.JobDefinition:
    """A job whose steps are tasks of ECS."""
    return job_of_environment(CHECKSUMS_JOB)


def silent_broker_job() -> dg.JobDefinition:
    """A job whose broker does not answer."""
    return job_of_environment(CHECKSUMS_JOB)
