"""Pairs with several replicas in the catalog: what they become, and what is refused."""

from __future__ import annotations

import pytest

from tests.fixity.catalog.conftest import Load, Problems

_BUCKETS = "lake: l\nbuckets: {a: {path: a}, b: {path: b}, c: {path: c}}\npairs:\n  a: "


def test_each_replica_is_a_pair_of_its_own_and_all_are_reported_together(load: Load) -> None:
    catalog = load(
        f"{_BUCKETS}{{replicas: [b, c], replication_lag: 1h, repair: both}}\n  d: {{source: b, replica: c}}"
    )
    assert [(pair.name, pair.source, pair.replica, pair.repair) for pair in catalog.pairs.values()] == [
        ("a-to-b", "a", "b", "both"),
        ("a-to-c", "a", "c", "both"),
        ("d", "b", "c", "replica"),
    ]
    assert catalog.copies["a"].pairs == (catalog.pairs["a-to-b"], catalog.pairs["a-to-c"])
    assert catalog.reported == {"a": ("a", "b", "c"), "d": ("b", "c")}
    assert list(catalog.compared) == ["a", "a-to-b", "a-to-c", "d"]
    assert catalog.copies_with("a-to-c") is catalog.copies["a"] and catalog.copies_with("d") is None


def test_one_replica_in_a_list_is_the_same_as_one_alone(load: Load) -> None:
    listed, alone = load(f"{_BUCKETS}{{replicas: [b]}}"), load(f"{_BUCKETS}{{replica: b}}")
    assert listed.pairs == alone.pairs and not listed.copies and listed.reported == alone.reported


def test_versions_are_compared_only_where_every_bucket_lists_them(load: Load) -> None:
    said = (
        "lake: l\nbuckets: {a: {versions: all}, b: {versions: all}, c: {%s}}\npairs: {a: {replicas: [b, c]}}"
    )
    assert {pair.match for pair in load(said % "versions: all").pairs.values()} == {"version"}
    assert {pair.match for pair in load(said % "").pairs.values()} == {"key"}


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        ("{replicas: [b, b]}", "a.replicas[1]: 'b' is named twice: name each copy once"),
        (
            "{replicas: [b, a]}",
            "a.replicas[1]: 'a' is the source as well: name the bucket that holds the copy",
        ),
        ("{replicas: [b, d]}", "a.replicas[1]: 'd' is not a bucket of this catalog: one of a, b, c"),
        ("{replicas: [b, c], replica: b}", "a: has both `replica` and `replicas`: keep one of them"),
        ("{replicas: []}", "a: has empty `replicas`: name the buckets that hold copies"),
        ("{replicas: b}", "a.replicas: 'b' is not a list: write [one, another], or one a line after '- '"),
        ("{replicas: [1, b]}", "a.replicas[0]: YAML reads 1 as a number: put it in quotes"),
        ("{source: d, replicas: [b, c]}", "a.source: 'd' is not a bucket of this catalog: one of a, b, c"),
        (
            "{replicas: [b, c]}\n  a-to-C: {source: b, replica: c}",
            "a.replicas[1]: this copy is the pair 'a-to-c', but the catalog has a pair 'a-to-C': rename "
            "that one",
        ),
    ],
)
def test_a_wrong_list_of_replicas_is_refused(problems: Problems, pair: str, problem: str) -> None:
    assert problems(_BUCKETS + pair) == [f"fixity.yaml: pairs.{problem}"]


def test_a_drill_is_refused_in_any_of_the_replicas(problems: Problems) -> None:
    (found, *_) = problems(f"{_BUCKETS}{{replicas: [b, c]}}\ndrills: [c]")
    assert "'c' is in the pair 'a', and a drill damages objects" in found
