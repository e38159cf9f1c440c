"""The key `inventory` of a bucket: its defaults, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fixity.catalog.conftest import Load, Problems, with_bucket

GOOD = "from: s3_inventory, at: 's3://reports/lists/a/daily/'"


def test_a_list_may_be_two_days_old_unless_the_catalog_says_otherwise(load: Load) -> None:
    inventory = load(with_bucket(f"inventory: {{{GOOD}}}")).buckets["a"].inventory
    assert inventory and inventory.max_age == timedelta(days=2)
    assert inventory.folder == ("reports", "lists/a/daily/")


def test_azures_lists_may_stand_in_a_bucket_without_a_prefix(load: Load) -> None:
    inventory = (
        load(with_bucket("inventory: {from: azure_inventory, at: 's3://lists/'}")).buckets["a"].inventory
    )
    assert inventory and inventory.folder == ("lists", "")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("inventory: {at: 's3://r/lists'}", "buckets.a.inventory.from: is missing: what the list is"),
        ("inventory: {from: list, at: 's3://r/lists'}", "buckets.a.inventory.from: 'list' is not possible"),
        ("inventory: {from: s3_inventory, at: 's3://r'}", "'s3://r' is not a folder of lists: write s3://"),
        ("inventory: {from: s3_inventory}", "`from: s3_inventory` needs `at`, the folder with the lists"),
        (
            "versions: all, inventory: {from: gcs_inventory, at: 's3://r/lists'}",
            "`from: gcs_inventory` gives current versions only",
        ),
        (
            "versions: all, inventory: {from: azure_inventory, at: 's3://inventories'}",
            "`from: azure_inventory` gives current versions only",
        ),
        ("inventory: {from: s3_metadata, at: 's3://r/lists'}", "`from: s3_metadata` has no `at`"),
        ("inventory: {from: s3_inventory, at: ./here}", "'./here' is not a folder of lists: write s3://"),
        (f"inventory: {{{GOOD}, form: CSV}}", "did you mean from? (keys here: from, at, store, max_age)"),
        (f"inventory: {{{GOOD}, store: fra}}", "buckets.a.inventory.store: 'fra' is not a store"),
        (f"path: ./here, inventory: {{{GOOD}}}", "is a local directory and cannot have `inventory`"),
        (
            f"bucket: 'arn:aws:s3:us-east-1:111122223333:accesspoint/abc', inventory: {{{GOOD}}}",
            "is an access point: name its bucket, or leave `inventory` out",
        ),
    ],
)
def test_an_inventory_that_cannot_be_taken_is_refused_when_it_is_loaded(
    problems: Problems, keys: str, said: str
) -> None:
    (found,) = problems(with_bucket(keys))
    assert said in found
