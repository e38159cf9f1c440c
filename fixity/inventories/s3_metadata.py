"""The live inventory table of S3 Metadata, an Iceberg table that S3 keeps within an hour of the bucket.

A row an object version. No column names the current one, but in a key a larger `sequence_number` is newer.
Needs `pyiceberg`, the extra `s3-metadata`. How rows become those of an inventory does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from fixity.catalog import Bucket, Catalog
from fixity.catalog.clients import s3_client, store_session
from fixity.clock import EPOCH
from fixity.errors import BucketUnreachable
from fixity.humanize import printable
from fixity.inventories.folder import ListRefused
from fixity.inventories.rows import sort_rows
from fixity.inventories.s3_inventory import ProvidedList, refuse_of_the_future
from fixity.lake.database import quoted
from fixity.version import SOFTWARE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from pyiceberg.table import Table

_LAGS = timedelta(hours=1)
"""By how much the table may be behind the bucket."""
_READ = (
    "bucket",
    "key",
    "sequence_number",
    "version_id",
    "is_delete_marker",
    "size",
    "last_modified_date",
    "e_tag",
    "storage_class",
    "checksum_algorithm",
)
_ROWS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class S3Metadata:
    """A live inventory table, as it was when it was opened: what is written to it since is not seen."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def describe(self, name: str | None, bucket: Bucket, now: datetime) -> ProvidedList:
        """See `fixity.inventories.take.Provider`."""
        assert bucket.inventory is not None
        url = ".".join(self._table.name())
        snapshot = self._table.current_snapshot()
        if snapshot is None:
            raise ListRefused(f"the table {url} has nothing in it yet: wait until S3 has filled it")
        lacks = set(_READ) - set(self._table.schema().column_names)
        if lacks:
            raise ListRefused(
                f"the table {url} has no {', '.join(sorted(lacks))}: it is no live inventory of S3 Metadata"
            )
        listed_at = EPOCH + timedelta(milliseconds=snapshot.timestamp_ms) - _LAGS
        notes: tuple[str, ...] = ()
        # That the table did not change is no reason to refuse it: nothing may have changed in the bucket.
        if now - listed_at > bucket.inventory.max_age:
            notes = (
                f"the table {url} was last changed at {listed_at + _LAGS:%Y-%m-%d %H:%M} UTC: either nothing "
                "changed in the bucket since, or S3 does not keep the table any more, which this cannot tell",
            )
        provided = ProvidedList(
            str(snapshot.snapshot_id),
            f"{url}@{snapshot.snapshot_id}",
            listed_at,
            "Iceberg",
            (*_READ, "is_latest"),
            (),
            notes=notes,
        )
        refuse_of_the_future(provided, now)
        return provided

    def rows(
        self, provided: ProvidedList, bucket: Bucket, workspace: Path, note: Callable[[str], None]
    ) -> Path:
        """See `fixity.inventories.take.Provider`. A local copy, written batch by batch, is sorted."""
        from pyiceberg.exceptions import NoSuchTableError, RESTError

        file = workspace / "iceberg.parquet"
        scan = self._table.scan(selected_fields=_READ, snapshot_id=int(provided.name))
        try:
            with scan.to_arrow_batch_reader() as reader, pq.ParquetWriter(file, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
        except (OSError, RESTError, NoSuchTableError, pa.ArrowException) as error:
            raise BucketUnreachable(
                f"the table {provided.url} cannot be read: {printable(error)}. It may have been replaced "
                "meanwhile: this is tried again",
                final=False,
            ) from error
        return sort_rows(
            _ROWS.format(file=quoted(file)), provided, bucket, workspace, {str(file): provided.url}, note
        )


def live_table(catalog: Catalog, bucket: Bucket) -> Table:
    """The live inventory table of a bucket. Raises ListRefused, BucketUnreachable."""
    try:
        from pyiceberg.catalog.rest import RestCatalog
        from pyiceberg.exceptions import NoSuchTableError, RESTError
    except ModuleNotFoundError as error:
        raise ListRefused(
            f"'{bucket.name}' has `from: s3_metadata`, which needs pyiceberg: install {SOFTWARE}[s3-metadata]"
        ) from error
    store = catalog.store_of(bucket)
    try:
        arn, *name = table_of(s3_client(store), bucket)
        credentials = store_session(store).get_credentials()
        region = arn.split(":")[3]
        keys: dict[str, Any] = {}
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            keys = {
                "client.access-key-id": frozen.access_key,
                "client.secret-access-key": frozen.secret_key,
                **({"client.session-token": frozen.token} if frozen.token else {}),
            }
        tables = RestCatalog(
            "s3tables",
            uri=f"https://s3tables.{region}.amazonaws.com/iceberg",
            warehouse=arn,
            **{
                "rest.sigv4-enabled": "true",
                "rest.signing-name": "s3tables",
                "rest.signing-region": region,
                "client.region": region,
                **keys,
            },
        )
        table: Table = tables.load_table(tuple(name))
    except (BotoCoreError, RESTError, NoSuchTableError, OSError) as error:
        raise BucketUnreachable(
            f"the live inventory table of '{bucket.name}' cannot be opened: {printable(error)}", final=False
        ) from error
    return table


def table_of(client: S3Client, bucket: Bucket) -> tuple[str, str, str]:
    """Where S3 says that a bucket's live inventory is: the table bucket's ARN, the namespace, the table.

    Raises ListRefused where there is none that is complete, BucketUnreachable, BotoCoreError.
    """
    enable = f"enable S3 Metadata with a live inventory table for '{bucket.real_name}'"
    try:
        answer = client.get_bucket_metadata_configuration(Bucket=bucket.real_name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise ListRefused(f"'{bucket.name}' has no live inventory table: {enable}") from error
        raise BucketUnreachable(
            f"S3 does not say where the live inventory table of '{bucket.name}' is: {error}"
        ) from error
    found = answer["GetBucketMetadataConfigurationResult"]["MetadataConfigurationResult"]
    table, place = found.get("InventoryTableConfigurationResult"), found["DestinationResult"]
    if table is None or table["ConfigurationState"] != "ENABLED":
        raise ListRefused(f"'{bucket.name}' has no live inventory table: {enable}")
    status = table.get("TableStatus", "unknown")
    if status != "ACTIVE":  # while it is filled, most of the bucket is not in it
        why = table.get("Error", {}).get("ErrorMessage", "")
        raise ListRefused(
            f"the live inventory table of '{bucket.name}' is {printable(status, 50)}, not ACTIVE"
            f"{f' ({printable(why)})' if why else ''}: wait until S3 has filled it"
        )
    return place["TableBucketArn"], place["TableNamespace"], table["TableName"]
