"""Policies: named and shared, `fixity_every` as their short form, windows, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fixity.catalog import Policy, Window
from tests.fixity.catalog.conftest import Load, Problems, with_bucket

DAY = timedelta(days=1)
BY_S3 = (
    's3_batch: {account_id: "111122223333", role_arn: "arn:aws:iam::111122223333:role/x", report_bucket: r}\n'
)


def test_buckets_share_a_policy_by_its_name_or_write_their_own(load: Load) -> None:
    catalog = load(
        'lake: ./lake\npolicies: {often: {bytes: 30d, stored: 7d, sample: 1%/d, window: "20:00-06:00"}}\n'
        "buckets: {a: {policy: often}, b: {policy: often, path: b}, c: {policy: {bytes: 90d, by: s3_batch}}, "
        "d: {fixity_every: 90d}, e: }\n" + BY_S3
    )
    a, b, c, d, e = catalog.buckets.values()
    assert a.schedule == b.schedule and a.fixity_every == 30 * DAY and a.is_rolled
    assert a.schedule and (a.schedule.stored, a.schedule.sample) == (7 * DAY, 0.01)
    assert (c.engine, c.fixity_every, c.is_rolled) == ("s3_batch", 90 * DAY, False) and c.s3_batch
    assert d.schedule == Policy(bytes=90 * DAY) and d.schedule.stored == DAY
    assert e.schedule is None and e.fixity_every is None


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("policy: nix", "buckets.a.policy: 'nix' is no policy of this catalog: write it here"),
        ("policy: {stored: 7d}", "buckets.a.policy.bytes: is missing"),
        ("policy: {bytes: 0s}", "buckets.a.policy.bytes: 0s is too short"),
        ("policy: {bytes: 90d, stored: 36h}", "is no number of days"),
        ("policy: {bytes: 90d, stored: 91d}", "`stored` (91 days) is longer than `bytes` (90 days)"),
        (
            "policy: {bytes: 90d, sample: 1.2%/d}",
            "`sample` draws 108% of the objects within `bytes` (90 days)",
        ),
        ("policy: {bytes: 90d, sample: 1%}", "write percent a day, such as 1%/d"),
        ("policy: {bytes: 90d, window: 22-06}", 'such as "20:00-06:00"'),
        ('policy: {bytes: 90d, window: "00:00-24:00"}', "midnight is 00:00"),
        ('policy: {bytes: 90d, window: "06:00-06:00"}', "begins where it ends"),
        ('policy: {bytes: 90d, window: "20:00-20:59"}', "is shorter than an hour"),
        (
            'policy: {bytes: 90d, window: "20:00-22:00"}, batch_interval: 3h',
            "the policy's `window` (2:00:00) is shorter than `batch_interval` (3:00:00)",
        ),
        ("policy: {bytes: 90d, sample: 0.01}", "0.01 is no share of the objects"),
        ("policy: {bytes: 90d, sample: -1.0}", "-1.0 is no share of the objects"),
        ("policy: {bytes: 90d, sample: .nan}", "nan is no share of the objects"),
        ("policy: {bytes: 90d}, fixity_every: 90d", "`fixity_every` is short for `policy: {bytes: …}`"),
        ("policy: {bytes: 90d, by: step_functions}, engine: stream", "its policy, which says `by: step_func"),
    ],
)
def test_what_makes_no_sense_is_told_once(problems: Problems, keys: str, problem: str) -> None:
    (found,) = problems(with_bucket(keys))
    assert problem in found


def test_a_policy_says_in_a_line_what_it_wants(load: Load) -> None:
    keys = 'bytes: 90d, stored: 7d, sample: 0.5%/d, window: "20:00-06:00", monthly_egress: 2TiB'
    policy = load(with_bucket(f"policy: {{{keys}}}") + "timezone: Europe/Oslo\n").buckets["a"].schedule
    assert str(policy) == (
        "checked every 90 days, listed every 7 days, sample 0.5%/d, window 20:00-06:00 Europe/Oslo, "
        "monthly_egress 2.0 TiB"
    )


@pytest.mark.parametrize(
    "keys", ["fixity_every: 12h", "policy: {bytes: 12h}", "policy: {bytes: 12h, stored: 1d}"]
)
def test_a_term_below_a_day_is_listed_once_a_day(load: Load, keys: str) -> None:
    assert load(with_bucket(keys)).buckets["a"].schedule == Policy(bytes=DAY / 2)


def test_a_wrong_policy_is_told_where_it_is_written_and_not_again_of_each_bucket(problems: Problems) -> None:
    text = "lake: ./lake\npolicies: {p: {bytes: 90}}\nbuckets: {a: {policy: p}, b: {policy: p}}\n"
    (found,) = problems(text)
    assert "policies.p.bytes: 90 is not a duration" in found
    (found,) = problems(text.replace("policy: p}}", "policy: P}}").replace("bytes: 90", "bytes: 90d"))
    assert "buckets.b.policy: 'P' is no policy of this catalog: one of p; did you mean p?" in found


def test_composite_checksums_and_a_zone_that_nobody_knows_are_refused(problems: Problems) -> None:
    composite = BY_S3.replace("{account", "{checksum_type: COMPOSITE, account")
    (found,) = problems(with_bucket("fixity_every: 90d, engine: s3_batch") + composite)
    assert "a COMPOSITE checksum is compared with nothing" in found
    (found,) = problems(with_bucket("fixity_every: 90d") + "timezone: Mars/Olympus\n")
    assert "'Mars/Olympus' is no time zone" in found


@pytest.mark.parametrize(
    ("hours", "open_at", "closed_at", "length"),
    [
        ("08:00-12:30", ("08:00", "12:29"), ("07:59", "12:30", "00:00"), 4.5),
        ("20:00-06:00", ("20:00", "23:59", "00:00", "05:59"), ("06:00", "19:59"), 10),
        ("00:00-23:59", ("00:00", "23:58"), ("23:59",), 23 + 59 / 60),
        ("22:00-00:00", ("22:00", "23:59"), ("00:00", "21:59"), 2),
    ],
)
def test_a_window_includes_its_beginning_and_not_its_end_also_over_midnight(
    load: Load, hours: str, open_at: tuple[str, ...], closed_at: tuple[str, ...], length: float
) -> None:
    policy = load(with_bucket(f'policy: {{bytes: 90d, window: "{hours}"}}')).buckets["a"].policy
    assert policy and policy.window
    assert policy.window.length / timedelta(hours=1) == pytest.approx(length)
    for clocks, is_open in ((open_at, True), (closed_at, False)):
        for clock in clocks:
            moment = datetime.fromisoformat(f"2026-07-01T{clock}:30+00:00")
            assert policy.window.is_open(moment) is is_open, clock


def test_windows_are_utc_unless_the_catalog_names_a_zone_whose_clocks_are_changed(load: Load) -> None:
    text = with_bucket('policy: {bytes: 90d, window: "20:00-06:00"}')
    zones = {}
    for zone in ("UTC", "Europe/Oslo"):
        policy = load(f"{text}timezone: {zone}\n").buckets["a"].policy
        assert policy and isinstance(policy.window, Window)
        moments = (datetime(2026, month, 1, 18, 30, tzinfo=UTC) for month in (1, 7))
        zones[zone] = [policy.window.is_open(moment) for moment in moments]
    # 18:30 UTC is 19:30 in Oslo in winter, and 20:30 in summer.
    assert zones == {"UTC": [False, False], "Europe/Oslo": [False, True]}


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        (
            'max_bandwidth: 1MiB, policy: {bytes: 10d, window: "20:00-06:00"}',
            "needs 102.4 GiB a day, but `max_bandwidth` in `window` allows 35.2 GiB",
        ),
        (
            "policy: {bytes: 10d, monthly_egress: 1TiB}",
            "needs 102.4 GiB a day, but `monthly_egress` of the policy allows 34.1 GiB",
        ),
        (
            "batch_items: 10, policy: {bytes: 10d}",
            "(10 days) needs 1,000 objects a day, but `batch_items` in 48 batches a day (`batch_interval`) "
            "allows 480 objects",
        ),
        ("fixity_every: 10d, batch_bytes: 1GiB", "but `batch_bytes` in 48 batches a day"),
    ],
)
def test_a_policy_that_its_limits_cannot_do_is_refused_with_the_numbers(
    load: Load, problems: Problems, keys: str, numbers: str
) -> None:
    (found,) = problems(with_bucket(f"holds: {{objects: 10000, bytes: 1TiB}}, {keys}"))
    assert "10,000 objects of 1.0 TiB cannot be read within the policy's limits" in found
    assert numbers in found
    assert load(with_bucket(f"holds: {{objects: 1000, bytes: 10GiB}}, {keys}"))


def test_a_budget_that_does_for_each_bucket_of_a_store_and_not_for_all_is_refused(
    load: Load, problems: Problems
) -> None:
    each = "store: far, fixity_every: 30d, holds: {objects: 10, bytes: 60GiB}"
    text = (
        "lake: ./lake\nstores: {far: {endpoint_url: 'http://far', monthly_egress: 100GiB}}\n"
        f"buckets: {{a: {{{each}}}%s}}\n"
    )
    assert load(text % "")
    (found,) = problems(text % f", b: {{{each}}}")
    assert "stores.far.monthly_egress: its buckets need 120.0 GiB in 30 days" in found
    assert "allows 100.0 GiB" in found
