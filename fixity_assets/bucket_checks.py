"""The asset checks of `checksums`: whether any object is damaged or lost, and whether reads can be trusted.

How checks are judged is in `fixity.ledger`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from fixity.humanize import reasons_text
from fixity.ledger.damage import DAMAGE_COLUMNS, Damage, damage_rows
from fixity.ledger.judge import COMPOSITE_CHECKSUM
from fixity.ledger.lost import known_damaged
from fixity.ledger.refresh import FilesState
from fixity.ledger.unread import UNSTABLE_COLUMNS
from fixity_assets.describe import rows_table

ASSET = "checksums"
NO_DAMAGE, ALL_READ, LEDGER_READABLE = "no_damage", "all_read", "ledger_readable"
NOTHING_LOST, READS_STABLE = "nothing_lost", "reads_stable"
CLAIMS = {
    NO_DAMAGE: "Of no object that was read, the bytes have changed although the object was not replaced "
    "(same version; without versions, same ETag, time and size). Stays red until a check finds the right "
    "bytes again, or the object is replaced.",
    ALL_READ: "This run read every object that it had to read. A warning, if some were there and were not "
    "read (archived, or overwritten since they were listed) or have a COMPOSITE checksum, which is compared "
    "with nothing: nothing is known of their bytes now; "
    "or if nothing is listed and never was, which may be a mistyped prefix. Red, if "
    "one could not be read, or if a run over the whole bucket read nothing, because all objects were "
    "skipped, or because nothing is listed any more. A run over some objects, as a batch is, leaves it so "
    "while others could not be read.",
    LEDGER_READABLE: "Every file of the bucket's ledger can be read. Without one of them, damage that it "
    "proves may be missing: restore it from a copy of the lake.",
    NOTHING_LOST: "No object that was listed or checked before vanished, by runs over the whole bucket or "
    "over what is due. Only a warning, because people delete objects; an error if one of them was known to "
    "be damaged.",
    READS_STABLE: "What differed from what is expected was read twice, and both reads gave the same bytes. "
    "Otherwise the network or memory between the store and the reader is at fault, not the archive.",
}
"""The checks, and what each claims."""
_SHOWN = 100
_LOST_COLUMNS = ("key", "version_id", "last_seen", "good_at", "damaged_at")


def evaluations(
    bucket: str,
    damaged: Sequence[Damage],
    not_read: dict[str, int],
    ledger: FilesState,
    passed_over: str = "",
) -> Iterator[dg.AssetCheckResult]:
    """The results of the checks that are not about lost objects or unstable reads.

    Arguments: `damaged`, all damaged objects of the bucket; `not_read`, of this run, by reason; `ledger`, the
    state of its files; `passed_over`, what was there and was not read although nothing failed, for people.
    """
    files = "; ".join(f"{file.name} {file.why}" for file in ledger.left_out[:5])
    wrong: dict[str, tuple[str, dict[str, Any]]] = {
        ALL_READ: (reasons_text(not_read), {"failed": sum(not_read.values()), "reasons": not_read}),
        LEDGER_READABLE: (
            files,
            {
                "unreadable": len(ledger.left_out),
                "not_proved": ledger.not_proved,
                **{f"accepted on {day}": count for day, count in ledger.accepted.items()},
            },
        ),
    }
    yield damage_evaluation(bucket, damaged)
    for name, (text, metadata) in wrong.items():
        if name == ALL_READ and passed_over and not text:
            yield _evaluation(name, passed_over, metadata, dg.AssetCheckSeverity.WARN)
        else:
            yield _evaluation(name, text, metadata)


def passed_over_text(reasons: Mapping[str, int]) -> str:
    """How many objects were not read or compared though nothing failed, and why, for people; '' for none."""
    if not reasons:
        return ""
    what = "not read or not compared" if COMPOSITE_CHECKSUM in reasons else "not read"
    return f"{sum(reasons.values()):,} {what}: {reasons_text(reasons)}"


def damage_evaluation(bucket: str, damaged: Sequence[Damage]) -> dg.AssetCheckResult:
    """The result of `no_damage`. Arguments: `damaged`, all damaged objects of the bucket."""
    suspects = sum(each.suspect for each in damaged)
    not_twice = f", {suspects:,} of them not looked at twice" if suspects else ""
    text = f"{len(damaged):,} damaged{not_twice}" if damaged else ""
    found = {"damaged": len(damaged), "objects": damage_table({bucket: damaged})}
    return _evaluation(NO_DAMAGE, text, found)


def _evaluation(
    name: str,
    text: str,
    metadata: dict[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=ASSET,
        check_name=name,
        passed=not text,
        severity=severity,
        description=text or None,
        metadata=metadata,
    )


def lost_evaluation(lost: pa.Table) -> dg.AssetCheckResult:
    """The result of `nothing_lost`. Arguments: `lost`, all lost objects (LOST of `fixity.ledger.lost`)."""
    damaged = known_damaged(lost)
    text = f"{lost.num_rows:,} lost" + (f", {damaged:,} of them known to be damaged" if damaged else "")
    columns = [dg.TableColumn(name) for name in _LOST_COLUMNS]
    return dg.AssetCheckResult(
        asset_key=ASSET,
        check_name=NOTHING_LOST,
        passed=not lost.num_rows,
        severity=dg.AssetCheckSeverity.ERROR if damaged else dg.AssetCheckSeverity.WARN,
        description=text if lost.num_rows else None,
        metadata={
            "lost": lost.num_rows,
            "known_damaged": damaged,
            "objects": rows_table(lost.slice(0, _SHOWN).to_pylist(), columns),
        },
    )


def reads_evaluation(unstable: pa.Table, store: str) -> dg.AssetCheckResult:
    """The result of `reads_stable`. Arguments: `unstable`, of this run (`fixity.ledger.unread`)."""
    count = unstable.num_rows
    text = (
        f"{count:,} objects gave different bytes when they were read again: the network or memory between "
        f"{store} and the reader is at fault, not the archive"
    )
    return dg.AssetCheckResult(
        asset_key=ASSET,
        check_name=READS_STABLE,
        passed=not count,
        severity=dg.AssetCheckSeverity.WARN,
        description=text if count else None,
        metadata={
            "unstable": count,
            "store": store,
            "objects": rows_table(
                unstable.slice(0, _SHOWN).to_pylist(), [dg.TableColumn(name) for name in UNSTABLE_COLUMNS]
            ),
        },
    )


def log_evaluation(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, result: dg.AssetCheckResult, bucket: str
) -> None:
    """Report the result of a bucket's check from a run of another asset; the result names its own."""
    assert result.asset_key is not None
    evaluation = dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=str(result.check_name),
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        partition=bucket,
    )
    context.log_event(evaluation)  # type: ignore[arg-type]  # Dagster takes it, but its type does not say so


def damage_table(damaged: Mapping[str, Sequence[Damage]]) -> dg.TableMetadataValue:
    """The first damaged objects of each bucket, as a table of the UI."""
    rows = (row for bucket, each in damaged.items() for row in damage_rows(bucket, each))
    return rows_table(rows, [dg.TableColumn(name) for name in DAMAGE_COLUMNS])
