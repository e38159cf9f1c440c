"""The partitions (buckets and pairs), and which pair depends on which buckets."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from fixity.catalog import Catalog


@dataclass(frozen=True)
class Partitions:
    """The partitions of a catalog, and the mapping from buckets to the pairs that contain them."""

    buckets: dg.StaticPartitionsDefinition
    pairs: dg.StaticPartitionsDefinition
    buckets_to_pairs: dg.StaticPartitionMapping

    @classmethod
    def of(cls, catalog: Catalog) -> Partitions:
        """The partitions of a catalog, in its own order."""
        members = {
            bucket: [pair.name for pair in catalog.pairs_of(bucket)]
            for bucket in catalog.buckets
            if catalog.pairs_of(bucket)
        }
        return cls(
            dg.StaticPartitionsDefinition(list(catalog.buckets)),
            dg.StaticPartitionsDefinition(list(catalog.pairs)),
            dg.StaticPartitionMapping(members),
        )
