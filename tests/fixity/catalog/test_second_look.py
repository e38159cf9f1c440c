"""The key `second_look`: its defaults, and what is refused."""

from __future__ import annotations

import pytest

from tests.fixity.catalog.conftest import Load, Problems, with_bucket


def test_a_run_reads_ten_thousand_suspects_twice_unless_the_catalog_says_otherwise(load: Load) -> None:
    usual = load(with_bucket("")).second_look
    assert (usual.objects, usual.bytes) == (10_000, 2**40)
    fewer = load(with_bucket("") + "second_look: {objects: 0, bytes: 5GiB}\n").second_look
    assert (fewer.objects, fewer.bytes) == (0, 5 * 2**30)


@pytest.mark.parametrize("keys", ["objects: -1", "objects: many", "bytes: 1Tb", "shares: 3"])
def test_a_limit_that_is_none_is_refused(problems: Problems, keys: str) -> None:
    (found,) = problems(with_bucket("") + f"second_look: {{{keys}}}\n")
    assert f"second_look.{keys.partition(':')[0]}" in found
