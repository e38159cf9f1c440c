"""The incidents that are open, and which buckets and pairs each concerns.

What they make of a row's state does not belong here; that is in `now`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fixity.catalog import Catalog
from fixity.lake import Lake
from fixity.lake.paths import INCIDENTS, records_folder
from fixity.status.places import buckets_at

if TYPE_CHECKING:
    from fixity.incidents.state import Incident


@dataclass(frozen=True)
class OpenIncidents:
    """The open incidents that concern each bucket and each pair."""

    of_buckets: dict[str, list[Incident]]
    of_pairs: dict[str, list[Incident]]
    of_others: list[Incident]
    """Those that concern nothing that the catalog has now."""

    @classmethod
    def of(
        cls, catalog: Catalog, incidents: Iterable[Incident], places: Mapping[str | None, str | None]
    ) -> OpenIncidents:
        """Those of each row.

        Arguments: `incidents`, those that are open; `places`, where the newest report of each pair says that
        both buckets are, also of pairs that the catalog has no more.
        """
        of_buckets: dict[str, list[Incident]] = {name: [] for name in catalog.buckets}
        of_others: list[Incident] = []
        compared = catalog.compared
        of_pairs: dict[str, list[Incident]] = {name: [] for name in compared}
        for incident in incidents:
            left = {(each.bucket, each.pair) for each in incident.objects if not each.is_over}
            bad = {bucket for bucket, _ in left if bucket}
            unclear = {pair for bucket, pair in left if pair and not bucket}
            concerned = set(catalog.buckets) if incident.unknown else set(bad)
            # A pair that was renamed, or has several replicas now: its buckets may be there all the same.
            gone = [_of_gone(catalog, places.get(name)) for name in unclear - catalog.pairs.keys()]
            concerned = concerned.union(*gone)
            for name in unclear & catalog.pairs.keys():  # either copy may be the bad one
                concerned |= set(catalog.buckets_of(name))
                unclear |= {together.name} if (together := catalog.copies_with(name)) else set()
            for name, buckets in compared.items():
                of_gone = any(each and (each <= set(buckets) or set(buckets) <= each) for each in gone)
                if incident.unknown or name in unclear or of_gone or bad & set(buckets):
                    of_pairs[name].append(incident)
            for name in concerned & of_buckets.keys():
                of_buckets[name].append(incident)
            if not concerned & of_buckets.keys():
                of_others.append(incident)
        return cls(of_buckets, of_pairs, of_others)

    def notes(self) -> Iterable[str]:
        """What is to be said of those that no row shows."""
        ids = [each.id for each in self.of_others]
        if ids:
            which = "1 open incident is" if len(ids) == 1 else f"{len(ids):,} open incidents are"
            more = ", …" if len(ids) > 3 else ""
            yield (
                f"{which} of no bucket that the catalog has now ({', '.join(ids[:3])}{more}): "
                "see fixity incidents --open"
            )


def _of_gone(catalog: Catalog, places: str | None) -> set[str]:
    """The buckets that a pair had which the catalog has no more; all if nobody knows where they were."""
    return set(catalog.buckets) if places is None else buckets_at(catalog, places)


def open_incidents(lake: Lake) -> list[Incident]:
    """The incidents that are not over. Raises LakeError."""
    if not lake.list(INCIDENTS) and not lake.list(records_folder(INCIDENTS)):
        return []  # what reads them takes time to import
    from fixity.incidents.state import incidents_now

    return [each for each in incidents_now(lake) if not each.is_over]
