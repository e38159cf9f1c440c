"""The plan: what is read, requested and paid, held against figures that were reckoned by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from fixity.catalog import Catalog, CatalogError, load_catalog
from fixity.catalog.prices import date_of_prices
from fixity.lake import open_lake
from fixity.rolling.plan import BucketPlan, Holding, plan_bucket, plan_of
from fixity.status.coverage import count_coverage
from tests.fixity.support import MemoryStore, take_inventory

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_TB = "holds: {objects: 1000000, bytes: 10TB}"
Load = Callable[[str], Catalog]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(buckets: str) -> Catalog:
        file = tmp_path / "fixity.yaml"
        file.write_text(
            "lake: ./lake\n"
            "stores:\n"
            "  wasabi: {endpoint_url: 'https://s3.eu-central-1.wasabisys.com'}\n"
            "  ceph: {endpoint_url: 'http://c'}\n"
            's3_batch: {account_id: "111122223333", report_bucket: r, role_arn: '
            '"arn:aws:iam::111122223333:role/x"}\n'
            f"{buckets}",
            encoding="utf-8",
        )
        return load_catalog(file)

    return load_text


def _plans(catalog: Catalog, months: int = 12) -> dict[str, BucketPlan]:
    return {each.bucket: each for each in plan_of(open_lake(catalog), catalog, BEGIN, months)}


def test_what_the_platform_reads_is_the_term_and_the_sample_and_costs_requests_and_egress(load: Load) -> None:
    plan = _plans(load(f"buckets: {{a: {{{_TB}, policy: {{bytes: 73d, sample: 0.1%/d}}}}}}\n"))["a"]
    # 365 days: five terms of 73 days, and 0.1 % a day of all: 5.365 times 1,000,000 objects of 10 TB.
    assert (plan.reads, plan.bytes_read, plan.jobs) == (5_365_000, 53_650 * 10**9, 0)
    assert plan.lists == 365 * 1000
    assert plan.cost == pytest.approx(53_650 * 0.09 + 5_365 * 0.0004 + 365 * 0.005)
    # 2,500 objects every half an hour.
    assert plan.covered_at == BEGIN + timedelta(days=1_000_000 / (2500 * 48))


def test_a_job_of_s3_costs_by_the_job_the_object_and_the_byte_and_ends_within_the_term(load: Load) -> None:
    plan = _plans(load(f"buckets: {{a: {{{_TB}, policy: {{bytes: 90d, stored: 5d, by: s3_batch}}}}}}\n"))["a"]
    assert (plan.reads, plan.bytes_read, plan.jobs) == (0, 0, 6)  # one in 76 days, the second one earlier
    assert plan.lists == (6 + 73) * 1000  # each job lists, too
    one_job = 0.25 + 1 * 1.0 + 1 * 0.015 + 10_000 * 0.004
    assert plan.cost == pytest.approx(6 * one_job + 79 * 0.005)
    assert plan.covered_at == BEGIN + timedelta(days=14)


def test_a_price_that_nobody_knows_is_not_zero_and_the_catalog_s_own_counts(load: Load) -> None:
    buckets = (
        f"buckets: {{w: {{store: wasabi, {_TB}, fixity_every: 73d}}, "
        f"c: {{store: ceph, {_TB}, fixity_every: 73d}}, l: {{path: l, {_TB}, fixity_every: 73d}}}}\n"
    )
    plans = _plans(load(buckets))
    assert [plans[name].cost for name in "wcl"] == [0.0, None, 0.0]
    own = "prices: {ceph: {egress_gb: 0.01, get_1000: 0, list_1000: 0}, wasabi: {get_1000: 1}}\n"
    plans = _plans(load(buckets + own))
    assert plans["c"].cost == pytest.approx(50_000 * 0.01) and plans["w"].cost == pytest.approx(5000)
    with pytest.raises(CatalogError, match=r"prices\.nix: 'nix' is not a store of this catalog"):
        load(f"{buckets}prices: {{nix: {{get_1000: 0}}}}\n")
    assert date_of_prices() <= date(2026, 11, 29)


def test_an_inventory_counts_before_what_the_catalog_says_and_without_both_nothing_is_said(
    load: Load,
) -> None:
    catalog = load(f"buckets: {{a: {{{_TB}, fixity_every: 73d}}, b: {{fixity_every: 73d}}, c: {{{_TB}}}}}\n")
    store = MemoryStore()
    store.put("k", b"12345")
    take_inventory(store, open_lake(catalog), "a", "i", now=lambda: BEGIN)
    plans = _plans(catalog)
    assert (plans["a"].reads, plans["a"].bytes_read) == (5, 25)
    assert plans["a"].holding and plans["a"].holding.known_by == "the inventory of 2026-01-01"
    assert (plans["b"].holding, plans["b"].cost, plans["b"].covered_at) == (None, None, None)
    assert (plans["c"].policy, plans["c"].reads, plans["c"].cost) == (None, 0, None)


def test_of_a_bucket_that_others_read_the_platform_reads_the_sample(load: Load) -> None:
    policy = "policy: {bytes: 365d, sample: 0.2%/d, by: s3_batch}"
    plan = _plans(load(f"buckets: {{a: {{{_TB}, {policy}}}}}\n"))["a"]
    assert (plan.reads, plan.bytes_read, plan.jobs) == (730_000, 7300 * 10**9, 2)


def test_a_plan_that_its_limits_cannot_do_says_so_once_the_bucket_has_grown(load: Load) -> None:
    catalog = load("buckets: {a: {batch_items: 1, batch_interval: 24h, fixity_every: 2d}}\n")
    store = MemoryStore()
    for number in range(5):
        store.put(f"{number}", b"12345")
    take_inventory(store, open_lake(catalog), "a", "i", now=lambda: BEGIN)
    plan = _plans(catalog)["a"]
    assert (
        plan.shortfall
        and "(2 days) needs 2 objects a day, but `batch_items` in 1 batches a day" in plan.shortfall
    )
    assert plan.covered_at == BEGIN + timedelta(days=5)


def test_a_tiny_budget_is_planned_as_far_as_it_goes_and_costs_no_more(load: Load) -> None:
    catalog = load("buckets: {a: {policy: {bytes: 73d, monthly_egress: 1}}, b: {policy: {bytes: 73d}}}\n")
    store = MemoryStore()
    for number in range(4000):
        store.put(f"{number}", bytes(100))
    for name in "ab":
        take_inventory(store, open_lake(catalog), name, "i", now=lambda: BEGIN)
    plans = _plans(catalog)
    assert (plans["a"].covered_at, plans["a"].bytes_read) == (None, 13)  # 365 / 30
    assert plans["a"].shortfall and plans["b"].shortfall is None
    assert plans["b"].bytes_read == 5 * 400_000


def test_the_budget_of_a_store_is_shared_by_its_buckets(load: Load) -> None:
    file = load(
        "buckets: {a: {store: wasabi, fixity_every: 30d}, b: {store: wasabi, fixity_every: 30d}}\n"
    ).file
    file.write_text(file.read_text().replace("wasabisys.com'}", "wasabisys.com', monthly_egress: 1500}"))
    catalog, store = load_catalog(file), MemoryStore()
    store.put("k", bytes(1000))
    take_inventory(store, open_lake(catalog), "a", "i", now=lambda: BEGIN)
    assert _plans(catalog)["a"].shortfall is None
    take_inventory(store, open_lake(catalog), "b", "i", now=lambda: BEGIN)
    for plan in _plans(catalog).values():
        assert plan.shortfall and "of the store 'wasabi': its buckets need 2.0 KiB" in plan.shortfall
    rows, results = count_coverage(open_lake(catalog), catalog, "c", BEGIN)
    assert [row.shortfall for row in rows] == [plan.shortfall for plan in _plans(catalog).values()]
    assert [result.partition for result in results] == ["a", "b"]


def test_the_sample_counts_beside_the_term(load: Load) -> None:
    keys = "holds: {objects: 1000, bytes: 1000}, policy: {bytes: 10d, sample: %s, monthly_egress: 3660B}"
    assert load(f"buckets: {{a: {{{keys % '4%/d'}}}}}\n")  # 100 bytes a day, and 20 of the sample
    with pytest.raises(CatalogError, match=r"and `sample` \(5.00% a day\) needs 125 B a day"):
        load(f"buckets: {{a: {{{keys % '5%/d'}}}}}\n")


def test_what_is_archived_is_not_read_by_us_and_other_classes_cost_what_they_do(load: Load) -> None:
    catalog = load(
        "buckets: {a: {fixity_every: 73d}, s: {policy: {bytes: 90d, by: s3_batch}}}\n"
        "prices: {aws: {classes: {STANDARD_IA: {retrieval_gb: 0.02}}}}\n"
    )
    gb = 10**9
    classes = {
        "STANDARD": (1000, 10 * gb),
        "STANDARD_IA": (2000, 20 * gb),
        "GLACIER_IR": (3000, 30 * gb),
        "DEEP_ARCHIVE": (4000, 400 * gb),
    }
    holding = Holding(10_000, 460 * gb, "made up", classes)
    plan = plan_bucket(catalog, catalog.buckets["a"], holding, BEGIN, timedelta(days=365))
    assert (plan.reads, plan.bytes_read, holding.archived) == (5 * 6000, 5 * 60 * gb, 4000)
    requests = 5 * (1 * 0.0004 + 2 * 0.001 + 3 * 0.01)  # the catalog says nothing of those of STANDARD_IA
    retrieved = 5 * (20 * 0.02 + 30 * 0.03)
    listed = 365 * 10 / 1000 * 0.005
    assert plan.cost == pytest.approx(5 * 60 * 0.09 + requests + retrieved + listed)
    assert plan.covered_at is not None
    archive = Holding(1, gb, "made up", {"GLACIER": (1, gb)})
    assert plan_bucket(catalog, catalog.buckets["a"], archive, BEGIN, timedelta(days=365)).covered_at is None
    of_jobs = plan_bucket(catalog, catalog.buckets["s"], holding, BEGIN, timedelta(days=365))
    assert of_jobs.reads == 0 and of_jobs.jobs and of_jobs.cost
    assert of_jobs.cost >= of_jobs.jobs * 460 * 0.004  # S3's jobs read what is archived, too
