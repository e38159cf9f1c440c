"""Is everything verified? One row for each bucket and each pair, the worst first.

**Red** here means that something is wrong somewhere, whatever ran last: the front pages of other assets show
their newest run only. The checks below say which buckets and pairs, and what; `fixity status` prints the same
with what to do next.

| state | colour | meaning |
|---|---|---|
| `problem` | red | a check is red, an incident is open, or the last run ended without a result |
| `unknown` | grey | never checked as a whole, or what was known of it is lost; never shown as green |
| `warning` | yellow | a check warns |
| `verified` | green | everything else |

It is made anew within a minute after every report, check, batch, coverage and incident, also of the command.
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from fixity.clock import utc_now
from fixity.status import COLOURS, PROBLEM, STATES, UNKNOWN, WARNING, StatusRow, status_of
from fixity.status.advice import finding_text, summary_line, wrong_with
from fixity_assets.describe import check_specs, failures_in_plain_words
from fixity_assets.status_page import state_chart, status_columns, status_table
from jobs.names import STATUS_ASSET
from resources import CatalogResource, LakeResource

GROUP = "at_a_glance"  # before `fixity`: the UI lists groups by their names
_BUCKETS, _PAIRS, _KNOWN, _PLATFORM, _NO_WARNINGS = (
    "all_buckets_verified",
    "all_pairs_verified",
    "all_known",
    "platform_works",
    "no_warnings",
)
_CLAIMS = {
    _BUCKETS: "No bucket is a problem: no check of it is red, no incident is open, and its last run had a "
    "result.",
    _PAIRS: "No pair is a problem: no check of it is red, no incident of its buckets is open, and its last "
    "report was made.",
    _KNOWN: "Each bucket was checked as a whole, each pair was compared, and what is known of them can be "
    "read.",
    _PLATFORM: "The newest runs of `coverage` and of `map_results` had a result.",
    _NO_WARNINGS: "No check of a bucket or a pair warns, no open incident is of a bucket that the catalog no "
    "longer has, the daemon ticks, all targets of alerts can be reached, and the log is sealed and proved in "
    "time.",
}
_TOLD = 20


def status_asset(deps: Sequence[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `fixity_status`. Arguments: `deps`, the assets whose checks it shows."""

    @dg.asset(
        name=STATUS_ASSET,
        description=__doc__,
        group_name=GROUP,
        owners=owners,
        deps=deps,
        check_specs=check_specs(STATUS_ASSET, _CLAIMS),
    )
    def fixity_status(
        context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        with failures_in_plain_words():
            status = status_of(lake.open(), catalog.catalog, utc_now())
        context.log.info(summary_line(status))
        rows = status.by_state()
        wrong = {
            _BUCKETS: _texts(row for row in rows[PROBLEM] if row.kind == "bucket"),
            _PAIRS: _texts(row for row in rows[PROBLEM] if row.kind == "pair"),
            _KNOWN: _texts(rows[UNKNOWN]),
            _PLATFORM: [finding_text(finding) for finding in status.platform],
            _NO_WARNINGS: [*status.notes, *_texts(row for row in status.rows if row.warnings)],
        }
        return dg.MaterializeResult(
            metadata={
                "summary": summary_line(status),
                **{f"{state} ({COLOURS[state]})": len(rows[state]) for state in STATES},
                "dagster/row_count": len(status.rows),
                "dagster/column_schema": status_columns(status, catalog.catalog),
                "chart": state_chart(status),
                "rows": status_table(status, catalog.catalog),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=name,
                    passed=not texts,
                    severity=dg.AssetCheckSeverity.WARN
                    if name == _NO_WARNINGS
                    else dg.AssetCheckSeverity.ERROR,
                    description=_first(texts) or None,
                    metadata={WARNING if name == _NO_WARNINGS else PROBLEM: len(texts)},
                )
                for name, texts in wrong.items()
            ],
        )

    return fixity_status


def _texts(rows: Iterable[StatusRow]) -> list[str]:
    return [f"{row.kind} {row.name}: {'; '.join(wrong_with(row))}" for row in rows]


def _first(texts: list[str]) -> str:
    more = f"\n… and {len(texts) - _TOLD:,} more" if len(texts) > _TOLD else ""
    return "\n".join(texts[:_TOLD]) + more
