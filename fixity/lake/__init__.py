"""The lake: where tables and reports are kept, and the only place that knows their paths.

The content of tables and reports does not belong here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fixity.lake.base import Lake, LakeError, LakeFile
from fixity.lake.local import LocalLake

if TYPE_CHECKING:
    from fixity.catalog import Catalog

__all__ = ["Lake", "LakeError", "LakeFile", "LocalLake", "open_lake"]


def open_lake(catalog: Catalog) -> Lake:
    """Open the lake of a catalog. Raises LakeError if its store cannot be opened."""
    if not catalog.lake.startswith("s3://"):
        return LocalLake(Path(catalog.lake))
    # boto3 takes a third of a second to import; a lake in a directory does not need it.
    from botocore.exceptions import BotoCoreError

    from fixity.lake.s3 import S3Lake

    bucket, _, prefix = catalog.lake.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    try:
        return S3Lake(bucket, f"{prefix}/" if prefix else "", catalog.stores[catalog.lake_store])
    except BotoCoreError as error:
        raise LakeError(f"the lake {catalog.lake} cannot be opened: {error}") from error
