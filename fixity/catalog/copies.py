"""Pairs with several replicas: the pairs that they become, one for each copy.

Each copy is compared with the source as a pair of its own, so whatever works for a pair works for it. What
all copies say together does not belong here; that is in `fixity.reports.copies`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fixity.catalog.model import Pair


@dataclass(frozen=True)
class Copies:
    """A pair with several replicas. pairs: the source with each replica, in the catalog's order."""

    name: str
    pairs: tuple[Pair, ...]

    @property
    def source(self) -> str:
        """The name of the source bucket."""
        return self.pairs[0].source

    @property
    def buckets(self) -> tuple[str, ...]:
        """The names of all its buckets, the source first."""
        return (self.source, *(pair.replica for pair in self.pairs))

    @property
    def by_version(self) -> bool:
        """Whether versions are compared, not keys."""
        return self.pairs[0].match == "version"


def split(pair: Pair) -> tuple[Pair, ...]:
    """The pairs of two buckets that a pair of the file is: itself, or one for each of several replicas."""
    if len(pair.replicas) < 2:
        return (pair.model_copy(update={"replicas": ()}),)
    return tuple(
        pair.model_copy(update={"name": f"{pair.name}-to-{each}", "replica": each, "replicas": ()})
        for each in pair.replicas
    )
