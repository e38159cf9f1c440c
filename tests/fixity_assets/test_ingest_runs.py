"""Ingest over a few objects, and again after a failure: what it says of the whole bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fixity.errors import WrongUsage
from fixity.ledger.selection import keep_selection
from fixity_assets import checksums_read, ingest_report
from jobs.names import INGEST_BUCKET_JOB, INGEST_SELECTED_JOB, INVENTORY_JOB, SELECTION
from tests.fixity_assets.elsewhere import job_of_environment
from tests.fixity_assets.test_ingest import MD5, WRONG, ingest, lake_of, put, shown
from tests.platform import PAIR, Platform


def test_a_run_over_a_few_objects_looks_at_these_alone(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    put(platform, "old")
    put(platform, "new", tags=f"computed-md5={MD5}")
    put(platform, "bag/data/new")
    put(platform, "bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    put(platform, "bag/manifest-md5.txt", f"{MD5}  data/new\n{MD5}  data/still-on-its-way\n".encode())
    wanted = [("new", None), ("bag/data/new", None), ("deleted", None)]
    name = keep_selection(lake_of(platform), PAIR, wanted)
    rows, checks, _ = ingest(platform, instance, INGEST_SELECTED_JOB, {SELECTION: name})
    assert {key: shown(row) for key, row in rows.items()} == {
        "bag/data/new": ("MATCHED", "manifest"),
        "new": ("MATCHED", "object-tagging"),
        "deleted": ("SKIPPED", "none"),
    }
    # Named and not there is told; of the bucket it is not wrong, for nothing says that it should be there.
    assert rows["deleted"]["detail"] == "it was to be read, but the bucket does not have it"
    assert all(checks.values())


def test_ingest_reads_in_shards_which_a_step_each_can_take(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 2)
    for number in range(5):
        put(platform, f"new-{number}", tags=f"computed-md5={MD5}")
    rows, _, _ = ingest(platform, instance)
    assert [shown(row) for row in rows.values()] == [("MATCHED", "object-tagging")] * 5
    (run,) = instance.get_runs(dg.RunsFilter(job_name=INGEST_BUCKET_JOB))
    steps = {stats.step_key for stats in instance.get_run_step_stats(run.run_id)}
    assert {step for step in steps if "hash_objects" in step} == {
        f"checksums.hash_objects[{shard}]" for shard in range(3)
    }


def test_a_small_run_says_nothing_of_the_objects_that_it_did_not_read(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    put(platform, "good", tags=f"computed-md5={MD5}")
    put(platform, "wrong", tags=f"computed-md5={WRONG}")
    put(platform, "bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    put(platform, "bag/manifest-md5.txt", f"{MD5}  data/lost\n".encode())
    _, whole, said = ingest(platform, instance)
    latest = Path(said["latest_csv"]).read_bytes()

    def small(*keys: str) -> dict[str, bool]:
        name = keep_selection(lake_of(platform), PAIR, [(key, None) for key in keys])
        rows, checks, of_few = ingest(platform, instance, INGEST_SELECTED_JOB, {SELECTION: name})
        assert set(rows) == set(keys)
        assert (of_few["objects"], "latest_csv" in of_few) == (len(keys), False)
        return checks

    assert small("good") == whole
    assert (whole["no_notmatched"], whole["no_missing"]) == (False, False)
    assert Path(said["latest_csv"]).read_bytes() == latest
    # What is mended and read again is in order, without the others being read.
    put(platform, "wrong", tags=f"computed-md5={MD5}")
    put(platform, "bag/data/lost")
    mended = small("wrong", "bag/data/lost")
    assert (mended["no_notmatched"], mended["no_missing"]) == (True, True)
    put(platform, "wrong", tags=f"computed-md5={WRONG}")
    assert not small("wrong")["no_notmatched"]
    # What was deleted before the bucket was listed anew counts no more; what was never read is not compared.
    platform.s3.delete_object(Bucket=platform.source, Key="wrong")
    put(platform, "never-read")
    platform.definitions().resolve_job_def(INVENTORY_JOB).execute_in_process(
        instance=instance, partition_key=PAIR
    )
    last = small("good")
    assert (last["no_notmatched"], last["all_compared"]) == (True, False)


def ingest_bucket_job() -> dg.JobDefinition:
    """Dagster wants a function without arguments, to run a job again."""
    return job_of_environment(INGEST_BUCKET_JOB)


def test_a_re_execution_makes_the_report_of_the_checks_that_are_kept_and_counts_like_any_other_run(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(platform, "a")
    put(platform, "b/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    put(platform, "b/manifest-md5.txt", f"{MD5}  data/lost\n".encode())
    monkeypatch.setenv("FIXITY_CATALOG", str(platform.file))
    job, tags = dg.reconstructable(ingest_bucket_job), {"dagster/partition": PAIR}

    def broken(*arguments: Any, **more: Any) -> None:
        raise WrongUsage("what no retry helps")

    with dg.DagsterInstance.local_temp(str(tmp_path)) as local:
        last = ""
        # The first attempt fails while it reads, the second with its report.
        for module, name in (
            (checksums_read, "hash_shard"),
            (ingest_report, "make_ingest_report"),
            (None, ""),
        ):
            again = dg.ReexecutionOptions.from_failure(last, local) if last else None
            with monkeypatch.context() as patch:
                if module is not None:
                    patch.setattr(module, name, broken)
                with dg.execute_job(job, local, tags=tags, reexecution_options=again) as result:
                    assert result.success is (module is None)
                    steps = {event.step_key for event in result.all_events if event.is_step_start}
                    last = result.run_id
        assert steps == {"ingest_report"}
        name = keep_selection(lake_of(platform), PAIR, [("a", None)])
        rows, checks, _ = ingest(platform, local, INGEST_SELECTED_JOB, {SELECTION: name})
        assert (set(rows), checks["no_missing"], checks["all_compared"]) == ({"a"}, False, True)
