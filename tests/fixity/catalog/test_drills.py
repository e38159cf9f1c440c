"""The key `drills`: only a bucket that is made for drills may be named."""

from __future__ import annotations

import pytest

from tests.fixity.catalog.conftest import Load, Problems

_CATALOG = """
lake: ./lake
buckets:
  a: {{path: a, fixity_every: 90d}}
  b: {{path: b, fixity_every: 90d}}
  fire: {{{fire}}}
pairs: {{a: {{replica: b}}}}
drills: {drills}
"""


def test_a_bucket_in_no_pair_with_a_term_is_one(load: Load) -> None:
    assert load(_CATALOG.format(fire="path: fire, fixity_every: 90d", drills="[fire]")).drills == ("fire",)


@pytest.mark.parametrize(
    ("fire", "drills", "said"),
    [
        ("path: fire, fixity_every: 90d", "[a]", "drills.0: 'a' is in the pair 'a', and a drill damages"),
        ("path: fire, fixity_every: 90d", "[fire, b]", "drills.1: 'b' is in the pair 'a', and a drill"),
        ("path: fire, fixity_every: 90d", "[fier]", "did you mean fire?"),
        ("path: fire, fixity_every: 90d", "[fire, fire]", "drills.1: 'fire' is named twice"),
        ("path: fire", "[fire]", "drills.0: 'fire' has no `fixity_every`"),
        ("fixity_every: 90d, versions: all", "[fire]", "drills.0: 'fire' lists all versions"),
        ("path: a/fire, fixity_every: 90d", "[fire]", "a and fire overlap"),
    ],
)
def test_any_other_is_refused(problems: Problems, fire: str, drills: str, said: str) -> None:
    (found,) = problems(_CATALOG.format(fire=fire, drills=drills))
    assert said in found
