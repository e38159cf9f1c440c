"""Where the buckets of a report are, as one text, and which of the catalog's buckets that text is of.

The result that has such a text is in `kept`. What follows from another place does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable

from fixity.catalog import Catalog

_AND = " and "


def places_of(catalog: Catalog, buckets: Iterable[str]) -> str:
    """Where the buckets of a pair are, as one text."""
    return _AND.join(catalog.place_of(catalog.buckets[name]) for name in buckets)


def same_in_any_order(one: str | None, other: str) -> bool:
    """Whether two such texts are of the same places, whichever is named first."""
    return sorted((one or "").split(_AND)) == sorted(other.split(_AND))


def buckets_at(catalog: Catalog, places: str) -> set[str]:
    """The buckets that the catalog has now at these places."""
    text = f"{_AND}{places}{_AND}"
    return {
        name for name, bucket in catalog.buckets.items() if f"{_AND}{catalog.place_of(bucket)}{_AND}" in text
    }
