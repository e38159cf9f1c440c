"""The plan of a drill: drawn from its seed, with each kind of damage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fixity.drills.plan import DAMAGE, FEWEST, ONE_BIT, PREFIX, SWAPPED, draw, right_bytes


@given(st.integers(0, 2**31), st.integers(FEWEST, 40))
def test_a_plan_damages_every_object_in_a_way_that_can_be_told_and_each_kind_occurs(
    seed: int, objects: int
) -> None:
    plan = draw(seed, objects)
    assert plan == draw(seed, objects)
    assert [each.key for each in plan] == [f"{PREFIX}{number:04d}" for number in range(1, objects + 1)]
    assert {each.damage for each in plan} == set(DAMAGE)
    assert all(each.damaged != right_bytes(each.key) for each in plan)
    for each in (each for each in plan if each.damage == ONE_BIT):
        assert each.damaged is not None
        both = int.from_bytes(each.damaged), int.from_bytes(right_bytes(each.key))
        assert (both[0] ^ both[1]).bit_count() == 1
    swapped = {each.key: each.damaged for each in plan if each.damage == SWAPPED}
    assert sorted(map(right_bytes, swapped)) == sorted(body or b"" for body in swapped.values())


def test_another_seed_is_another_plan() -> None:
    assert draw(1, 12) != draw(2, 12)
