"""A pair with several replicas through the real assets on a real server: report, status, page, repair."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.clock import utc_now
from fixity.lake import open_lake
from fixity.lake.paths import copies_file, report_file
from fixity.pages import make_pages
from fixity.reports import STATUSES
from fixity.status import status_of
from jobs.names import CHECKSUMS_JOB, REPAIR_JOB, REPORT_JOB
from tests.platform import PAIR, Platform, read_report

REPL, TAPE = f"{PAIR}-repl", "tape"
TO_REPL, TO_TAPE = f"{PAIR}-to-{REPL}", f"{PAIR}-to-{TAPE}"
KEYS = ("bad-copy", "bad-source", "fine", "lost")


def _settings(platform: Platform) -> dict[str, dict[str, object]]:
    return {
        PAIR: {"store": "real", "bucket": platform.source},
        REPL: {"store": "real", "bucket": platform.replica},
        TAPE: {"path": "./tape"},
    }


def _rows(platform: Platform) -> dict[str, dict[str, str]]:
    rows = read_report(platform.folder / "lake" / copies_file(PAIR, None))
    return {row["key"]: row for row in rows}


def _red(result: dg.ExecuteInProcessResult) -> dict[tuple[str | None, str], str | None]:
    """The red checks of the report, with what they say, by partition and name."""
    return {
        (each.partition, each.check_name): each.description
        for each in result.get_asset_check_evaluations()
        if each.asset_key.to_user_string() == "fixity_report" and not each.passed
    }


def test_three_copies_are_one_report_whose_majority_names_the_bad_ones_and_each_is_repaired(
    platform: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    for key in KEYS:
        platform.put(key, b"the bytes of " + key.encode())
    tape = platform.folder / TAPE
    tape.mkdir()
    for key in KEYS[:3]:
        (tape / key).write_bytes(b"the bytes of " + key.encode())
    corrupt_object(seaweedfs, platform.replica, "bad-copy")
    pair = {"replication_lag": "0s", "repair": "both"}
    platform.more = {
        "buckets": _settings(platform),
        "pairs": {PAIR: {"replicas": [REPL, TAPE], **pair}},
    }
    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    corrupt_object(seaweedfs, platform.source, "bad-source")
    for bucket in (PAIR, REPL, TAPE):
        assert platform.run(instance, CHECKSUMS_JOB, bucket).success
    result = platform.run(instance, REPORT_JOB, PAIR)

    assert result.success
    rows = _rows(platform)
    said = ("status", f"{REPL}:status", f"{TAPE}:status", "copies_compared", "differing", "bad_copies")
    assert {key: tuple(row[name] for name in said) for key, row in rows.items()} == {
        "bad-copy": ("mismatch", "mismatch", "ok", "3", REPL, REPL),
        "bad-source": ("mismatch", "mismatch", "mismatch", "3", PAIR, PAIR),
        "fine": ("ok", "ok", "ok", "3", "", ""),
        "lost": ("missing_replica", "ok", "missing_replica", "2", "", ""),
    }
    red = _red(result)
    assert red[PAIR, "no_mismatches"] == (
        f"{REPL}: 2 objects different in source and replica; {TAPE}: 1 object different in source and replica"
    )
    assert red[PAIR, "no_missing_replica"] == f"{TAPE}: 1 object missing in the replica"
    assert (TO_REPL, "no_missing_replica") not in red and (TO_TAPE, "no_missing_replica") in red
    made = {each.partition for each in result.get_asset_materialization_events()}
    assert made == {PAIR, TO_REPL, TO_TAPE}

    lake, catalog = open_lake(platform.catalog), platform.catalog
    states = {row.name: row.state for row in status_of(lake, catalog, utc_now()).rows if row.kind == "pair"}
    assert states == dict.fromkeys((PAIR, TO_REPL, TO_TAPE), "problem")
    assert f"pages/pair-{PAIR}.html" in make_pages(lake, catalog)
    page = (platform.folder / f"lake/pages/pair-{PAIR}.html").read_text()
    assert "1 of 4 objects are the same in all 3 buckets." in page
    assert f'<a href="pair-{TO_REPL}.html">{REPL}</a>' in page and STATUSES["ok"] not in page

    config = {"ops": {"repairs": {"config": {"apply": True}}}}
    repaired = (
        platform.definitions()
        .resolve_job_def(REPAIR_JOB)
        .execute_in_process(instance=instance, partition_key=TO_REPL, run_config=config)
    )
    assert {key: row["status"] for key, row in _rows(platform).items()} == {
        "bad-copy": "ok",
        "bad-source": "ok",
        "fine": "ok",
        "lost": "missing_replica",
    }
    assert _red(repaired) == {
        (name, "no_missing_replica"): text
        for name, text in (
            (PAIR, f"{TAPE}: 1 object missing in the replica"),
            (TO_TAPE, "1 object missing in the replica"),
        )
    }


def test_the_source_is_read_once_for_all_copies_and_what_differs_once_more(
    platform: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    platform.endpoint_url = faulty_proxy.endpoint_url
    copies = ("one", "two", "three")
    for key in KEYS:
        platform.s3.put_object(Bucket=platform.source, Key=key, Body=b"of " + key.encode())
    for name in copies:
        (folder := platform.folder / name).mkdir()
        for key in KEYS:
            (folder / key).write_bytes(b"of " + (b"others" if key == "bad-copy" else key.encode()))
    platform.more = {
        "buckets": {
            PAIR: {"store": "real", "bucket": platform.source},
            **{name: {"path": f"./{name}"} for name in copies},
        },
        "pairs": {PAIR: {"replicas": list(copies), "replication_lag": "0s"}},
    }
    for bucket in (PAIR, *copies):
        assert platform.run(instance, CHECKSUMS_JOB, bucket).success
    assert sorted(str(each.key) for each in faulty_proxy.gets()) == list(KEYS)
    faulty_proxy.forget()
    result = platform.run(instance, REPORT_JOB, PAIR)
    assert result.success and (PAIR, "no_mismatches") in _red(result)
    assert {key: row["bad_copies"] for key, row in _rows(platform).items()} == {
        **dict.fromkeys(KEYS, ""),
        "bad-copy": " ".join(copies),
    }
    # The object's ETag proves the source: each of the copies is bad, and the source was read for all of them.
    assert [str(each.key) for each in faulty_proxy.gets()] == ["bad-copy"]


def test_a_copy_is_reported_byte_for_byte_as_a_pair_is_also_where_another_copy_was_never_checked(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    platform = Platform(tmp_path, s3=None, endpoint_url="http://127.0.0.1:1", source="", replica="")  # type: ignore[arg-type]
    buckets = {name: {"path": f"./{name}"} for name in (PAIR, REPL, TAPE, "new")}
    for name in buckets:
        (tmp_path / name).mkdir()
        for key in ("a,b", "changed", "lost", "same"):
            (tmp_path / name / key).write_text("other bytes" if (key, name) == ("changed", REPL) else key)
    (tmp_path / REPL / "lost").unlink()
    alone = {"source": PAIR, "replication_lag": "0s"}
    pairs = {PAIR: {"replica": REPL, **alone}, "other": {"replica": TAPE, **alone}}
    platform.more = {"buckets": buckets, "pairs": pairs}
    for bucket in (PAIR, REPL, TAPE):
        assert platform.run(instance, CHECKSUMS_JOB, bucket).success
    assert platform.run(instance, REPORT_JOB, PAIR).success
    of_pair = (tmp_path / "lake" / report_file(PAIR, None)).read_bytes()
    assert of_pair.count(b"replica_damaged") == 1 and b"missing_replica" in of_pair

    platform.more = {"buckets": buckets, "pairs": {PAIR: {"replicas": ["new", REPL, TAPE], **alone}}}
    result = platform.run(instance, REPORT_JOB, PAIR)
    assert (tmp_path / "lake" / report_file(TO_REPL, None)).read_bytes() == of_pair
    states = status_of(open_lake(platform.catalog), platform.catalog, utc_now()).rows
    assert {row.name for row in states if row.failed_run} == {f"{PAIR}-to-new"}
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert "new" in str(failure.step_failure_data.error_display_string) and not result.success
