"""What a restore costs, printed before it is requested."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fixity.buckets import DEFAULT_CONCURRENCY, ObjectError
from fixity.buckets.s3.attributes import Attributes, open_attributes
from fixity.catalog import Catalog
from fixity.humanize import bytes_text, printable
from fixity.ingest.restore.archives import Archive, archive_of, estimate, tier_for
from fixity.ingest.restore.objects import Archived, archived_of
from fixity.lake import open_lake
from fixity.ledger.inventory import fetch_inventory, newest_inventory
from fixity_cli.output import output


def say_estimate(catalog: Catalog, bucket: str) -> None:
    """Print how much is archived, and what its restore costs. Raises TableMissing, LakeError."""
    entry = catalog.buckets[bucket]
    lake = open_lake(catalog)
    attributes = open_attributes(catalog, entry, DEFAULT_CONCURRENCY)
    assert attributes is not None
    with lake.workspace() as workspace, ThreadPoolExecutor(DEFAULT_CONCURRENCY) as pool:
        inventory = fetch_inventory(lake, newest_inventory(lake, bucket), workspace)
        rows = archived_of(lake, bucket, inventory, workspace)
        answers = list(pool.map(lambda row: _archive(attributes, row), rows))
        found = [
            (archive, row.size)
            for archive, row in zip(answers, rows, strict=True)
            if archive and not isinstance(archive, ObjectError)
        ]
    for archive in dict.fromkeys(archive for archive, _ in found):
        part = estimate([each for each in found if each[0] == archive], entry.restore)
        tier, said = tier_for(archive, entry.restore.tier)
        text = f"{archive}: {part.objects:,} objects, {bytes_text(part.size)}, {tier}, {_dollars(part.total)}"
        output.row(
            f"{text}\n    {said}" if said else text,
            archive=archive,
            objects=part.objects,
            size=part.size,
            tier=tier,
            dollars=round(part.total, 2),
        )
    unknown = [(row, said) for said, row in zip(answers, rows, strict=True) if isinstance(said, ObjectError)]
    if unknown:
        row, error = unknown[0]
        output.row(
            f"Not in the estimate, because their storage tier is unknown: {len(unknown):,} objects, "
            f"{bytes_text(sum(row.size for row, _ in unknown))} ({printable(f'{row.key}: {error}')})",
            archive=None,
            objects=len(unknown),
            size=sum(row.size for row, _ in unknown),
        )
    whole = estimate(found, entry.restore)
    output.show(
        f"Archived in {bucket}: {whole.objects:,} objects, {bytes_text(whole.size)}, "
        f"{bytes_text(entry.restore.at_once)} at a time"
    )
    output.show(
        f"Estimate: {_dollars(whole.total)} (retrieval {_dollars(whole.retrieval)}, "
        f"requests {_dollars(whole.requests)}, copies for {entry.restore.days} days "
        f"{_dollars(whole.copies)}; list prices of us-east-1, without reading and transfer)"
    )


def _archive(attributes: Attributes, row: Archived) -> Archive | ObjectError | None:
    if row.storage_class != "INTELLIGENT_TIERING":
        return archive_of(row.storage_class, None)
    try:
        return archive_of(row.storage_class, attributes.head(row.key, row.version_id, row.etag))
    except ObjectError as error:
        return error


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}"
