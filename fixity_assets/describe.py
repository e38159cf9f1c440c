"""What the UI shows of assets: column schemas, metadata, and failures without a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pyarrow as pa

from fixity.errors import FixityError, WrongUsage, plain_words
from fixity.humanize import bytes_text
from fixity.lake import Lake
from fixity.ledger.write import Checksums
from jobs.names import WRONG_USAGE

GROUP = "fixity"

RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL)
"""For a lake or service that is unavailable for a moment. Errors that are `final` are not retried."""


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
    """The metadata of a table of checksums. `inventory`: its name in the lake."""
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
