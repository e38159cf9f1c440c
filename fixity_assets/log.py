"""Is the evidence still as it was kept? Verifies all that was sealed, and seals what was kept since.

Every table, report and event of the lake is evidence. A seal in `log/seals/` is a signed list of their
SHA-256, with that of the seal before. A file that is edited, deleted, added or put back is found and named.
Only what Dagster's event log knows to be kept by a run is sealed: these notes are this asset's observations.
`fixity log verify` verifies by hand, and needs no right to write.
"""

from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from fixity.catalog import Log
from fixity.clock import utc_now
from fixity.log.errors import LogError
from fixity.log.kms import signer
from fixity.log.known import verify_all
from fixity.log.outside import Outside, prove, verdict
from fixity.log.seals import Sealed, Sealer
from fixity.log.verify import Verified
from fixity.status.log import UNBROKEN, WITNESS_RECENT, broken_text
from fixity_assets.describe import GROUP, check_specs, failures_in_plain_words, rows_table
from fixity_assets.keep_status import keep_status
from jobs.names import LOG_ASSET
from resources import CatalogResource, LakeResource
from resources.kept import EventLog, heads_in

_CLAIMS = {
    WITNESS_RECENT: "The newest time stamp and the newest copy at the witness are younger than two days "
    "(else a warning), and than a week.",
    UNBROKEN: "Every file that was sealed is as it was, no seal is missing or changed, and no file was added "
    "that no run kept. Restore what it names from a copy of the lake.",
}
_SHOWN = 1000


class SealConfig(dg.Config):
    """What a person vouches for."""

    accept: list[str] = Field(
        default=[], description="Runs, or names of files, that Dagster's event log does not have any more."
    )
    reason: str = Field(default="", description="Who vouches for them, and why.")


def log_asset(owners: list[str]) -> dg.AssetsDefinition:
    """The asset `log`."""

    @dg.asset(
        name=LOG_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"json"},
        owners=owners,
        check_specs=check_specs(LOG_ASSET, _CLAIMS),
    )
    def log(
        context: dg.AssetExecutionContext, config: SealConfig, catalog: CatalogResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        began = utc_now()
        with failures_in_plain_words():
            kept_in, settings = lake.open(), catalog.catalog.log
            assert settings is not None  # else there is no such asset
            key = signer(settings.key, catalog.catalog.stores["aws"])
            verified, heads = verify_all(kept_in, catalog.catalog, key.public, heads_in(context.instance))
            sealer = Sealer(kept_in, key, EventLog(context.instance), utc_now, lambda: heads)
            sealed, why_not = _seal(sealer, verified, dict.fromkeys(config.accept, config.reason))
            seals = {**verified.seals, sealed.seal.number: sealed.seal} if sealed else verified.seals
            outside = prove(kept_in, catalog.catalog, seals, utc_now())
        if why_not is not None:
            context.log.error(why_not)
        wrong = [
            *(_row(each.name, each.what, each.text, each.when) for each in verified.findings),
            *(_row(name, "not read", why) for name, why in verified.unread.items()),
            *(
                _row(name, "not sealed", why)
                for name, why in (sealed.waiting.refused if sealed else {}).items()
            ),
        ]
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={
                "dagster/row_count": verified.entries,
                **({"seals": sealed.seal.number, "sha256": sealed.seal.sha256} if sealed else {}),
                "sealed": sealed.files if sealed else 0,
                "waiting": len(sealed.waiting.later) if sealed else verified.waiting,
                "withdrawn": verified.withdrawn,
                "wrong": _table(wrong),
                "notes": verified.notes,
            },
            check_results=[_evaluation(wrong, why_not), _witnessed(settings, outside)],
        )
        return keep_status(context, kept_in, began, result)

    return log


def _seal(sealer: Sealer, verified: Verified, accept: Mapping[str, str]) -> tuple[Sealed | None, str | None]:
    """Seal what waits; or why nothing is sealed."""
    try:
        return sealer.seal([verified.note], accept), None
    except LogError as error:
        return None, str(error)


def _row(name: str, what: str, text: str, when: str = "") -> dict[str, str]:
    return {"file": name, "what": what, "text": text, "when": when}


def _evaluation(wrong: list[dict[str, str]], why_not: str | None) -> dg.AssetCheckResult:
    texts = (broken_text([(each["file"], each["what"], each["text"]) for each in wrong]), why_not)
    return dg.AssetCheckResult(
        check_name=UNBROKEN,
        passed=not wrong and why_not is None,
        description="; ".join(filter(None, texts)) or None,
        metadata={"wrong": len(wrong)},
    )


def _witnessed(settings: Log, outside: Outside) -> dg.AssetCheckResult:
    level, text = verdict(settings, outside, utc_now())
    return dg.AssetCheckResult(
        check_name=WITNESS_RECENT,
        passed=level is None,
        severity=dg.AssetCheckSeverity.ERROR if level == "ERROR" else dg.AssetCheckSeverity.WARN,
        description=text or None,
    )


def _table(wrong: list[dict[str, str]]) -> dg.TableMetadataValue:
    return rows_table(wrong[:_SHOWN], [dg.TableColumn(name) for name in ("file", "what", "text", "when")])
