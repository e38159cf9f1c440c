"""What assets say of themselves in the UI: column schemas, and failures without a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pyarrow as pa

from fixity.catalog import CatalogError
from fixity.lake import LakeError
from fixity.ledger import TableMissing
from fixity.reports import TableNotConsistent, TableNotSorted
from fixity.shards import AnotherPlace
from fixity.stores import StoreUnreachable
from fixity.tables import TableUnreadable

GROUP = "fixity"


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


@contextmanager
def told_plainly() -> Iterator[None]:
    """Failures that the domain foresees end a step with their own message.

    A step is retried only where another attempt may go well: expired credentials will not.
    """
    try:
        yield
    except (
        AnotherPlace, CatalogError, TableMissing, TableNotConsistent, TableNotSorted, TableUnreadable
    ) as error:  # fmt: skip
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except StoreUnreachable as error:
        raise dg.Failure(description=str(error), allow_retries=error.passing) from error
    except (LakeError, OSError) as error:  # a full disk among them
        raise dg.Failure(description=str(error)) from error
    except Exception as error:
        # By its name: the import takes a tenth of a second, which hashing does not need.
        library = type(error).__module__.partition(".")[0].lstrip("_")
        if library not in ("duckdb", "pyarrow"):
            raise
        raise dg.Failure(description=f"{library}, which reads the lake's tables: {error}") from error
