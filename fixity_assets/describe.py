"""What the UI shows of assets: tables, metadata, checks, and failures without a stack trace."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import dagster as dg
import pyarrow as pa

from fixity.errors import FixityError, WrongUsage, plain_words
from fixity.humanize import bytes_text
from fixity.lake import Lake
from fixity.ledger.inventory import Inventory
from fixity.ledger.write import Checksums
from fixity.reports import Verdict
from jobs.names import WRONG_USAGE

# Checks with partitions are a preview in Dagster 1.13; the lock pins the version that was tried.
warnings.filterwarnings("ignore", message="Specifying a partitions_def", category=dg.PreviewWarning)

GROUP = "fixity"

RETRIES = dg.RetryPolicy(max_retries=3, delay=12, backoff=dg.Backoff.LINEAR)
"""For a bucket, lake or service that is unavailable for about a minute: waits of 12, 24 and 36 seconds.
Errors that are `final` are not retried."""


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """A table's columns for the UI, with their types and meanings."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                str(field.type),
                description=(field.metadata or {}).get(b"description", b"").decode(),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )


def inventory_metadata(lake: Lake, taken: Inventory) -> dict[str, Any]:
    """The metadata of an inventory."""
    return {
        "dagster/row_count": taken.objects,
        "bytes": taken.size,
        "size": bytes_text(taken.size),
        "excluded": taken.excluded,
        "listed_at": dg.MetadataValue.timestamp(taken.listed_at),
        "table": dg.MetadataValue.path(lake.location(taken.file)),
        "notes": list(taken.notes),
        **({"taken_from": taken.taken_from} if taken.taken_from else {}),
    }


def counts_metadata(kept: Checksums) -> dict[str, Any]:
    """The counts of a run's checks, as metadata."""
    return {
        "dagster/row_count": kept.objects,
        "succeeded": kept.succeeded,
        "failed": kept.failed,
        "skipped": kept.skipped,
        "bytes_read": kept.bytes_read,
        "size": bytes_text(kept.bytes_read),
        "reasons": kept.reasons,
    }


def checksums_metadata(lake: Lake, kept: Checksums, algorithm: str, inventory: str) -> dict[str, Any]:
    """The metadata of a table of checksums. `inventory`: its name in the lake."""
    return {
        **counts_metadata(kept),
        "algorithm": algorithm,
        "inventory": dg.MetadataValue.path(lake.location(inventory)),
        "table": dg.MetadataValue.path(lake.location(kept.file)),
    }


def rows_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[dg.TableColumn]) -> dg.TableMetadataValue:
    """Rows as a table of the UI; NULL is an empty text."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({column.name: _cell(row[column.name]) for column in columns}) for row in rows
        ],
        schema=dg.TableSchema(columns=columns),
    )


def _cell(value: object) -> str | int | float:
    return value if isinstance(value, str | int | float) else "" if value is None else str(value)


def check_specs(
    asset: str, claims: Mapping[str, str], partitions: dg.PartitionsDefinition[str] | None = None
) -> list[dg.AssetCheckSpec]:
    """The specs of an asset's checks, from their names and what each claims."""
    return [
        dg.AssetCheckSpec(name, asset=asset, description=claim, partitions_def=partitions)
        for name, claim in claims.items()
    ]


def check_results(
    verdicts: Iterable[Verdict], more: Mapping[str, dict[str, Any]] = MappingProxyType({})
) -> list[dg.AssetCheckResult]:
    """The results of an asset's checks. Arguments: `more`, metadata of some checks, by name."""
    return [
        dg.AssetCheckResult(
            check_name=each.name,
            passed=each.passed,
            severity=dg.AssetCheckSeverity[each.severity],
            description=each.description,
            metadata={"rows": each.rows, **more.get(each.name, {})},
        )
        for each in verdicts
    ]


@contextmanager
def failures_in_plain_words() -> Iterator[None]:
    """End a step with the text of an error that can happen in use; a bug keeps its stack trace.

    A step is retried unless the error is final: a new attempt does not renew expired credentials.
    """
    try:
        yield
    except Exception as error:
        text = plain_words(error)
        if text is None:
            raise
        final = isinstance(error, FixityError) and error.final
        wrong = {WRONG_USAGE: True} if isinstance(error, WrongUsage) else None
        raise dg.Failure(description=text, metadata=wrong, allow_retries=not final) from error
