"""The asset checks of `checksums`: whether any object is damaged, and whether all could be read.

How checks are judged is in `fixity.ledger`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from fixity.humanize import reasons_text
from fixity.ledger.damage import DAMAGE_COLUMNS, Damage, damage_rows
from fixity.ledger.files import LeftOut

ASSET = "checksums"
NO_DAMAGE, ALL_READ, LEDGER_READABLE = "no_damage", "all_read", "ledger_readable"
_CHECKS = {
    NO_DAMAGE: "No object's bytes have changed although the object was not replaced (same version; without "
    "versions, same ETag, time and size). Stays red until a check finds the right bytes again, or the object "
    "is replaced.",
    ALL_READ: "This run could read every object that it had to read. A run over the whole bucket that read "
    "nothing, because all objects were skipped, is red too.",
    LEDGER_READABLE: "Every file of the bucket's ledger can be read. Without one of them, damage that it "
    "proves may be missing: restore it from a copy of the lake.",
}


def check_specs(buckets: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """The specs of all checks, one partition for each bucket."""
    return [
        dg.AssetCheckSpec(name, asset=ASSET, description=text, partitions_def=buckets)
        for name, text in _CHECKS.items()
    ]


def check_names() -> tuple[str, ...]:
    """The names of all checks."""
    return tuple(_CHECKS)


def evaluations(
    bucket: str, damaged: Sequence[Damage], not_read: dict[str, int], left_out: Sequence[LeftOut]
) -> Iterator[dg.AssetCheckResult]:
    """The results of all checks.

    Arguments: `damaged`, all damaged objects of the bucket; `not_read`, of this run, by reason; `left_out`,
    files of the ledger that cannot be read.
    """
    yield dg.AssetCheckResult(
        asset_key=ASSET,
        check_name=NO_DAMAGE,
        passed=not damaged,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(damaged):,} damaged" if damaged else None,
        metadata={"damaged": len(damaged), "objects": damage_table({bucket: damaged})},
    )
    yield dg.AssetCheckResult(
        asset_key=ASSET,
        check_name=ALL_READ,
        passed=not not_read,
        severity=dg.AssetCheckSeverity.ERROR,
        description=reasons_text(not_read) or None,
        metadata={"failed": sum(not_read.values()), "reasons": not_read},
    )
    yield dg.AssetCheckResult(
        asset_key=ASSET,
        check_name=LEDGER_READABLE,
        passed=not left_out,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(f"{file.name} {file.why}" for file in left_out[:5]) or None,
        metadata={"unreadable": len(left_out)},
    )


def log_evaluations(
    context: dg.AssetExecutionContext,
    bucket: str,
    damaged: Sequence[Damage],
    not_read: dict[str, int],
    left_out: Sequence[LeftOut],
) -> None:
    """Report the results of all checks of a bucket from a run of another asset; see `evaluations`."""
    for result in evaluations(bucket, damaged, not_read, left_out):
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(ASSET),
                check_name=str(result.check_name),
                passed=result.passed,
                severity=result.severity,
                description=result.description,
                metadata=result.metadata,
                partition=bucket,
            )
        )


def damage_table(damaged: Mapping[str, Sequence[Damage]]) -> dg.TableMetadataValue:
    """The first damaged objects of each bucket, as a table of the UI."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: str(value or "") for name, value in row.items()})
            for bucket, each in damaged.items()
            for row in damage_rows(bucket, each)
        ],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in DAMAGE_COLUMNS]),
    )
