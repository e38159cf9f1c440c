"""The partitions (buckets, pairs and reports), and which report depends on which buckets."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from fixity.catalog import Catalog


@dataclass(frozen=True)
class Partitions:
    """The partitions of a catalog, and the mapping from buckets to the reports that contain them.

    reports: the pairs, and all copies of a pair together where it has several replicas.
    """

    buckets: dg.StaticPartitionsDefinition
    pairs: dg.StaticPartitionsDefinition
    reports: dg.StaticPartitionsDefinition
    buckets_to_reports: dg.StaticPartitionMapping

    @classmethod
    def of(cls, catalog: Catalog) -> Partitions:
        """The partitions of a catalog, in its own order."""
        members: dict[str, list[str]] = {}
        for report, buckets in catalog.compared.items():
            for bucket in buckets:
                members.setdefault(bucket, []).append(report)
        return cls(
            dg.StaticPartitionsDefinition(list(catalog.buckets)),
            dg.StaticPartitionsDefinition(list(catalog.pairs)),
            dg.StaticPartitionsDefinition(list(catalog.compared)),
            dg.StaticPartitionMapping(members),
        )
