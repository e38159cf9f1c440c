"""No place under two names, and no lake within a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixity.catalog.conftest import Load, Problems

STORES = """
stores:
  here: {endpoint_url: 'https://s3.example'}
  same: {endpoint_url: 'https://S3.example:443', region: x}
  tenant: {endpoint_url: 'https://s3.example', profile: other}
  below: {endpoint_url: 'https://s3.example/Below/'}
  there: {endpoint_url: 'https://s3.example:8443'}
  us: {region: us-east-1}
  eu: {region: eu-west-1, profile: other}
  china: {region: cn-north-1}
"""


def two(a: str, b: str, lake: str = "./lake") -> str:
    return f"lake: {lake}\n{STORES}\nbuckets: {{a: {{{a}}}, b: {{{b}}}}}\n"


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ("", "bucket: a", "a and b are one place (s3://a/)"),
        ("bucket: x, store: here", "bucket: x, store: same", "a and b are one place (s3://x/)"),
        ("bucket: x, store: us", "bucket: x, store: eu", "a and b are one place (s3://x/)"),
        ("bucket: x", "bucket: x, prefix: p/", "a and b overlap (s3://x/ and s3://x/p/)"),
        ("bucket: x, prefix: p/q/", "bucket: x, prefix: p/q", "b and a overlap (s3://x/p/q and s3://x/p/q/)"),
        ("bucket: x, prefix: p", "bucket: x, prefix: part/", "a and b overlap (s3://x/p and s3://x/part/)"),
        ("path: d", "path: d/../d", "a and b are one place (/"),
        ("path: d/e", "path: d", "b and a overlap (/"),
        ("path: linked", "path: d/e", "b and a overlap (/"),
    ],
)
def test_one_place_under_two_names_is_refused_naming_both(
    problems: Problems, folder: Path, a: str, b: str, told: str
) -> None:
    (folder / "d/e/f").mkdir(parents=True)
    (folder / "linked").symlink_to("d/e/f")
    (found,) = problems(two(a, b))
    assert found.startswith(f"fixity.yaml: buckets.{told[told.index(' and ') + 5]}: {told}")
    assert "name the place once" in found


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("bucket: x, prefix: p/", "bucket: x, prefix: q/"),
        ("bucket: x, prefix: p/", "bucket: y, prefix: p/"),
        ("bucket: x, store: here", "bucket: x, store: there"),
        ("bucket: x, store: here", "bucket: x, store: tenant"),
        ("bucket: x, store: here", "bucket: x, store: below"),
        ("bucket: x, store: us", "bucket: x, store: china"),
        ("path: d", "path: d2"),
        ("path: d/e", "path: d/f"),
    ],
)
def test_two_places_are_two_even_where_they_look_alike(load: Load, a: str, b: str) -> None:
    assert set(load(two(a, b)).buckets) == {"a", "b"}


def test_each_of_many_names_of_a_place_is_told(problems: Problems) -> None:
    found = problems("lake: l\nbuckets: {c: {bucket: x, prefix: p/}, a: {bucket: x}, b: {bucket: x}, d: }")
    assert [problem.split(": ")[1] for problem in found] == ["buckets.b", "buckets.c"]


@pytest.mark.parametrize(
    ("lake", "a"),
    [
        ("./d/lake", "path: d"),
        ("./d", "path: d"),
        ("./linked/lake", "path: d"),
        ("s3://x/lake", "bucket: x"),
        ("s3://x", "bucket: x"),
        ("s3://x/lake", "bucket: x, prefix: lake/"),
        ("s3://x/lake", "bucket: x, prefix: la"),
    ],
)
def test_a_lake_in_a_bucket_is_refused(problems: Problems, folder: Path, lake: str, a: str) -> None:
    (folder / "d").mkdir()
    (folder / "linked").symlink_to("d")
    (found,) = problems(two(a, "bucket: elsewhere", lake))
    assert found.startswith("fixity.yaml: lake: the lake (") and "is within the bucket a (" in found
    assert found.endswith("move the lake elsewhere")


@pytest.mark.parametrize(
    ("lake", "a"),
    [
        ("./d-lake", "path: d"),
        ("./d", "path: d/letters"),
        ("s3://x/lake", "bucket: x, prefix: data/"),
        ("s3://x/lake", "bucket: x, prefix: lake2/"),
        ("s3://x/lake", "bucket: x, store: here"),
        ("s3://x/lake", "bucket: y"),
    ],
)
def test_a_lake_beside_a_bucket_is_fine(load: Load, lake: str, a: str) -> None:
    assert load(two(a, "bucket: elsewhere", lake)).lake


def test_overlapping_places_are_told_together_with_what_else_is_wrong(problems: Problems) -> None:
    found = problems("lake: 5\nbuckets: {a: {bucket: x}, b: {bucket: x}}")
    assert [problem.split(": ")[1] for problem in found] == ["lake", "buckets.b"]
