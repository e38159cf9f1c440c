"""The verb `fixity history`: one object's whole life on a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixity.humanize import printable
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    BucketArgument,
    CatalogOption,
    Exit,
    end,
    load_bucket,
    print_figures,
)

if TYPE_CHECKING:
    from fixity.evidence.lives import Lives

verbs = typer.Typer()

_LONGEST = 2000


@verbs.command(epilog=STATUS_HELP)
def history(
    bucket: BucketArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object's key, below the bucket's prefix.")],
    catalog: CatalogOption = None,
) -> None:
    """Show an object's whole life: versions, records, checks, verdicts, incidents, repairs, deletion.

    By what the lake holds; nothing is read from the bucket. Status 1 if the object is not right now, is in an
    incident that is not over, or a file of the lake that may tell of it cannot be used.
    """
    from fixity.evidence.lives import lives_of
    from fixity.lake import open_lake

    loaded, _ = load_bucket(catalog, bucket)
    life = lives_of(open_lake(loaded), loaded, bucket, [key])
    for text in life.not_read:
        output.red(f"ledger_readable: {text}")
    if not life.moments.num_rows:
        if life.not_read:
            raise typer.Exit(Exit.NOT_VERIFIED)
        end(Exit.WRONG_USE, printable(f"nothing is known of the object '{key}' in '{bucket}'", _LONGEST))
    said, is_right = _state(life)
    print_figures(printable(f"{key} of {bucket}: {said}", _LONGEST), _figures(life), of=key)
    for moment in life.moments.to_pylist():
        output.row(printable(_line(moment), _LONGEST), **moment)
    raise typer.Exit(Exit.VERIFIED if is_right and not life.not_read else Exit.NOT_VERIFIED)


def _state(life: Lives) -> tuple[str, bool]:
    """How the object stands now, for people, and whether nothing is wrong with it."""
    listed = [row for row in life.now if row["listed"]]
    damaged = [row for row in listed if row["damaged_at"]]
    if damaged:
        return f"damaged since {_time(damaged[0]['damaged_at'])}", False
    if life.lost:
        return f"gone, last seen {_time(life.lost[0]['last_seen'])}", False
    if life.open_incidents:
        return f"in an incident that is not over: {', '.join(life.open_incidents)}", False
    if not listed:
        return "not listed any more", True
    if any(row["failures"] for row in listed):
        return "could not be read when it was last checked", False
    if any(row["verified_at"] is None for row in listed):
        return "there, and not checked yet", True
    return f"right when it was last read, on {_time(min(row['verified_at'] for row in listed))}", True


def _figures(life: Lives) -> dict[str, object]:
    listed = [row for row in life.now if row["listed"]]
    row: Mapping[str, Any] = next(iter(listed or life.now), {})
    expected = f"{row['baseline_algorithm']}:{row['baseline']}" if row.get("baseline") else "nothing"
    since = f" since {_time(row['baseline_at'])}" if row.get("baseline_at") else ""
    return {
        "Expected": f"{expected} ({row['baseline_from']}{since})" if row.get("baseline") else expected,
        "Versions listed": len(listed),
        "Checks": sum(what == "check" for what in life.moments.column("what").to_pylist()),
        "Size": f"{row['size']:,} bytes" if row.get("size") is not None else "unknown",
    }


def _line(moment: Mapping[str, Any]) -> str:
    found, expected = moment["found"], moment["expected"]
    compared = "as expected" if expected == found else f"expected {expected}"
    if moment["expected_from"]:
        compared += f" ({moment['expected_from']})"
    by = moment["person"] or (f"run {moment['run_id']}" if moment["run_id"] else None)
    facts = (
        moment["outcome"],
        found,
        compared if expected else None,
        moment["detail"],
        f"version {moment['version_id']}" if moment["version_id"] else None,
        f"incident {moment['incident_id']}" if moment["incident_id"] else None,
        by,
    )
    return f"{_time(moment['at']):<23}  {moment['what']:<12}  {'; '.join(filter(None, facts))}"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "unknown"
