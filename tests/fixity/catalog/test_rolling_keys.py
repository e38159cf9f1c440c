"""The keys of rolling fixity: their defaults, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fixity.catalog.conftest import Load, Problems, with_bucket, with_store


def test_a_bucket_is_in_the_rolling_only_where_it_has_a_term(load: Load) -> None:
    bucket = load(with_bucket("")).buckets["a"]
    assert (bucket.fixity_every, bucket.batch_items, bucket.batch_bytes) == (None, 2500, None)
    assert bucket.batch_interval == timedelta(minutes=30)
    bucket = load(with_bucket("fixity_every: 90d, batch_interval: 1h, batch_bytes: 1GiB")).buckets["a"]
    assert (bucket.fixity_every, bucket.batch_bytes) == (timedelta(days=90), 2**30)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("fixity_every: 0s", "0s is too short: write how old a check may be, such as 90d"),
        ("fixity_every: 90", "it has no unit"),
        ("batch_interval: 90s", "cannot be the interval of a schedule: write whole minutes from 1m to 24h"),
        ("batch_interval: 25h", "cannot be the interval of a schedule"),
        ("batch_items: 0", "batch_items"),
        ("batch_bytes: 0", "batch_bytes"),
    ],
)
def test_what_makes_no_sense_is_refused(problems: Problems, keys: str, problem: str) -> None:
    (found,) = problems(with_bucket(keys))
    assert problem in found


def test_a_bucket_that_others_read_has_a_term_and_is_not_rolled(load: Load) -> None:
    role = "arn:aws:iam::111122223333:role/x"
    batch = f'{{account_id: "111122223333", role_arn: "{role}", report_bucket: r}}'
    bucket = load(with_bucket(f"fixity_every: 90d, engine: s3_batch, s3_batch: {batch}")).buckets["a"]
    assert bucket.fixity_every == timedelta(days=90) and not bucket.is_rolled


def test_a_store_s_budget_is_a_size(load: Load, problems: Problems) -> None:
    assert load(with_store("monthly_egress: 2TiB")).stores["far"].monthly_egress == 2 * 2**40
    (found,) = problems(with_store("monthly_egress: 0"))
    assert "monthly_egress" in found
