"""What assets say of themselves in the UI: column schemas, and failures without a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pyarrow as pa

from fixity.buckets import StoreUnreachable
from fixity.catalog import CatalogError
from fixity.engines.s3_batch.errors import NothingToIngest, NotInInventory, ReportUnusable, S3ControlError
from fixity.humanize import bytes_text
from fixity.lake import Lake, LakeError
from fixity.ledger.inventory import TableMissing
from fixity.ledger.write import Checksums
from fixity.reports import TableNotConsistent, TableNotSorted
from fixity.tables import AnotherPlace, TableUnreadable

GROUP = "fixity"

RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL)
"""For a lake or a service that is away for a moment; `told_plainly` says which failures are final."""

_FINAL = (
    AnotherPlace,
    CatalogError,
    NotInInventory,
    NothingToIngest,
    ReportUnusable,
    TableMissing,
    TableNotConsistent,
    TableNotSorted,
    TableUnreadable,
)
"""What another attempt a moment later would not change."""


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


def checksums_metadata(lake: Lake, kept: Checksums, algorithm: str, inventory: str) -> dict[str, Any]:
    """What a table of checksums says of itself. `inventory`: its name in the lake."""
    return {
        "dagster/row_count": kept.objects,
        "succeeded": kept.succeeded,
        "failed": kept.failed,
        "skipped": kept.skipped,
        "bytes_read": kept.bytes_read,
        "size": bytes_text(kept.bytes_read),
        "algorithm": algorithm,
        "reasons": kept.reasons,
        "inventory": dg.MetadataValue.path(lake.location(inventory)),
        "table": dg.MetadataValue.path(lake.location(kept.file)),
    }


@contextmanager
def told_plainly() -> Iterator[None]:
    """Failures that the domain foresees end a step with their own message.

    A step is retried only where another attempt may go well: expired credentials will not.
    """
    try:
        yield
    except _FINAL as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except StoreUnreachable as error:
        raise dg.Failure(description=str(error), allow_retries=error.passing) from error
    except (S3ControlError, LakeError, OSError) as error:  # a full disk among them
        raise dg.Failure(description=str(error)) from error
    except Exception as error:
        # By its name: the import takes a tenth of a second, which hashing does not need.
        library = type(error).__module__.partition(".")[0].lstrip("_")
        if library not in ("duckdb", "pyarrow"):
            raise
        raise dg.Failure(description=f"{library}, which reads the lake's tables: {error}") from error
