"""The asset `fixity_status`: red when any row is, with what is wrong, a table and a chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fixity.catalog import Catalog, load_catalog
from fixity.clock import utc_now
from fixity.incidents.events import OPENED, Event, append
from fixity.lake import open_lake
from fixity.ledger.inventory import Inventory, take_inventory
from fixity.status import Check, Failure, Result, keep_failure, keep_result, places_of, status_of
from fixity_assets.definitions import build_definitions
from jobs.names import PAGES_ASSET, STATUS_ASSET, STATUS_JOB

CHECKS = ("all_buckets_verified", "all_pairs_verified", "all_known", "platform_works", "no_warnings")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "fixity.yaml").write_text(
        "lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}}\npairs: {a: {replica: b}}\n"
    )
    catalog = load_catalog(tmp_path / "fixity.yaml")
    lake, now = open_lake(catalog), utc_now()
    for name, bucket in catalog.buckets.items():
        keep_result(lake, Result("checksums", name, "r", now, place=catalog.place_of(bucket)))
    keep_result(
        lake, Result("fixity_report", "a", "r", now, place=places_of(catalog, catalog.buckets_of("a")))
    )
    return catalog


def _status(catalog: Catalog, instance: dg.DagsterInstance) -> tuple[set[str], dict[str, object], str]:
    """Which checks are not passed, the metadata, and all descriptions of checks."""
    done = build_definitions(catalog).resolve_job_def(STATUS_JOB).execute_in_process(instance=instance)
    checks = done.get_asset_check_evaluations()
    assert {check.check_name for check in checks} == set(CHECKS)
    (made,) = done.asset_materializations_for_node(STATUS_ASSET)
    texts = "\n".join(check.description or "" for check in checks)
    return (
        {check.check_name for check in checks if not check.passed},
        dict(made.metadata),
        texts,
    )


def test_each_way_to_be_wrong_has_its_check_and_all_are_green_where_nothing_is(
    catalog: Catalog, instance: dg.DagsterInstance
) -> None:
    lake = open_lake(catalog)
    assert _status(catalog, instance)[0] == set()
    append(lake, [Event("inc-1", OPENED, utc_now(), run_id="r", bucket="old", key="k")])
    noted, _, said = _status(catalog, instance)
    assert noted == {"no_warnings"} and "of no bucket that the catalog has now (inc-1)" in said
    damaged = Check("no_damage", False, "ERROR", "1 damaged: <img src=x> ![a](b)")
    keep_result(lake, Result("ingest_report", "b", "r", utc_now(), (damaged,)))
    keep_result(lake, Result("drills", "a", "r", utc_now(), (Check("all_found", False, "WARN", "no drill"),)))
    keep_failure(lake, "fixity_report", "a", Failure("dead", utc_now(), "no lake"))
    keep_failure(lake, "coverage", None, Failure("dead", utc_now(), "no daemon"))
    wrong, metadata, texts = _status(catalog, instance)
    assert wrong == {"all_buckets_verified", "all_pairs_verified", "platform_works", "no_warnings"}
    for text in ("bucket b: no_damage of ingest_report: 1 damaged", "last run of fixity_report: no lake"):
        assert text in texts
    table, columns = metadata["rows"], metadata["dagster/column_schema"]
    assert isinstance(table, dg.TableMetadataValue)
    assert isinstance(columns, dg.TableSchemaMetadataValue)
    assert [record.data["state"] for record in table.records] == ["problem", "problem", "warning"]
    first = columns.schema.columns[0]
    assert "data:image/svg+xml;base64," in (first.description or "") and "no daemon" in (
        first.description or ""
    )
    words = " ".join(column.description or "" for column in columns.schema.columns[1:])
    assert "<img" not in words and "![" not in words  # a key is no markup
    Path(lake.location("status/checksums/a.json")).unlink()
    assert "all_known" in _status(catalog, instance)[0]


def test_the_run_that_makes_the_status_makes_the_pages_too(
    catalog: Catalog, instance: dg.DagsterInstance
) -> None:
    done = build_definitions(catalog).resolve_job_def(STATUS_JOB).execute_in_process(instance=instance)
    (made,) = done.asset_materializations_for_node(PAGES_ASSET)
    first = Path(str(made.metadata["first_page"].value))
    assert first == catalog.file.parent / "lake/pages/index.html"
    assert "3 things are not known" in first.read_text()  # there are results, but no inventory and no report
    assert made.metadata["pages_made"].value == 4


def test_objects_of_a_listing_that_ran_while_a_check_over_an_earlier_one_ended_are_not_taken_for_checked(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing began before the check ended: by their times alone it is the older one."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b/old").write_text("x")
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {b: {path: b}}\n")
    catalog = load_catalog(tmp_path / "fixity.yaml")
    definitions = build_definitions(catalog)

    def run(asset: str) -> None:
        job = definitions.resolve_implicit_global_asset_job_def()
        selection = [dg.AssetKey(asset)]
        assert job.execute_in_process(instance=instance, partition_key="b", asset_selection=selection).success

    run("inventory")

    def listed_while_a_check_ends(*of: Any) -> Inventory:
        (tmp_path / "b/new").write_text("y")
        run("checksums")
        return take_inventory(*of)

    monkeypatch.setattr("fixity_assets.inventory.take_inventory", listed_while_a_check_ends)
    run("inventory")
    (row,) = status_of(open_lake(catalog), catalog, utc_now()).rows
    assert [each.text for each in row.warnings] == [
        "1 objects more are listed now than when all were checked"
    ]
    run("checksums")
    (row,) = status_of(open_lake(catalog), catalog, utc_now()).rows
    assert (row.state, row.waiting) == ("verified", ())
