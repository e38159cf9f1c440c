"""The asset checks of `checksums`: whether any object is damaged, and whether all could be read.

How checks are judged is in `fixity.ledger`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from fixity.ledger.damage import Damage
from fixity.ledger.files import LeftOut
from fixity.tables import FAILED

ASSET = "checksums"
NO_DAMAGE, ALL_READ, LEDGER_READABLE = "no_damage", "all_read", "ledger_readable"
_CHECKS = {
    NO_DAMAGE: "No object's bytes have changed although the object was not replaced (same version; without "
    "versions, same ETag, time and size). Stays red until a check finds the right bytes again, or the object "
    "is replaced.",
    ALL_READ: "This run could read every object that it had to read.",
    LEDGER_READABLE: "Every file of the bucket's ledger can be read. Without one of them, damage that it "
    "proves may be missing: restore it from a copy of the lake.",
}
_SHOWN = 100
_COLUMNS = ("key", "version_id", "algorithm", "expected", "actual", "good_at", "damaged_at")


def check_specs(buckets: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """The specs of all checks, one partition for each bucket."""
    return [
        dg.AssetCheckSpec(name, asset=ASSET, description=text, partitions_def=buckets)
        for name, text in _CHECKS.items()
    ]


def check_names() -> tuple[str, ...]:
    """The names of all checks."""
    return tuple(_CHECKS)


def unread(run_file: Path) -> dict[str, int]:
    """How many objects of a run's file of the ledger could not be read, by reason."""
    table = pq.read_table(run_file, columns=["error_code"], filters=[("status", "==", FAILED)])
    reasons = Counter(code or "unknown" for code in table.column("error_code").to_pylist())
    return dict(sorted(reasons.items()))


def evaluations(
    damaged: Sequence[Damage], not_read: dict[str, int], left_out: Sequence[LeftOut]
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
        metadata={"damaged": len(damaged), "objects": _table(damaged)},
    )
    yield dg.AssetCheckResult(
        asset_key=ASSET,
        check_name=ALL_READ,
        passed=not not_read,
        severity=dg.AssetCheckSeverity.ERROR,
        description=", ".join(f"{reason}: {count:,}" for reason, count in not_read.items()) or None,
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
    for result in evaluations(damaged, not_read, left_out):
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


def _table(damaged: Sequence[Damage]) -> dg.TableMetadataValue:
    """The first damaged objects, as a table of the UI."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: str(getattr(each, name) or "") for name in _COLUMNS})
            for each in damaged[:_SHOWN]
        ],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in _COLUMNS]),
    )
