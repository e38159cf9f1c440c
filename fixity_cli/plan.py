"""The verb `fixity plan`: what policies will read, request and cost. The reckoning does not belong here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, Exit, load

if TYPE_CHECKING:
    from fixity.rolling.plan import BucketPlan

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def plan(
    months: Annotated[int, typer.Option("--months", min=1, max=120, help="For how many months.")] = 12,
    catalog: CatalogOption = None,
) -> None:
    """Say what the policies will read, request and cost, and by when all is checked. Nothing is read.

    Rests on each bucket's newest inventory, else on what it `holds` by the catalog, as if nothing was checked
    before. Status 1 if the limits of a policy cannot do what it wants, 3 if an inventory cannot be read.
    """
    from fixity.catalog.prices import date_of_prices
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.rolling.plan import plan_of

    loaded = load(catalog)
    plans = plan_of(open_lake(loaded), loaded, utc_now(), months)
    for each in plans:
        figures = (f"        {name + ':':<20}{value}" for name, value in _figures(each).items())
        text = "\n".join([f"Plan of {each.bucket} for {months} months:", *figures])
        output.row(text, **_fields(each), months=months)
        for wrong in filter(None, (each.shortfall, each.unreadable)):
            output.fail(f"{each.bucket}: {wrong}")
    known = [each.cost for each in plans if each.cost is not None]
    planned = [each for each in plans if each.policy]
    more = (
        "" if len(known) == len(planned) else f", without {len(planned) - len(known)} whose cost is not known"
    )
    output.note(
        f"all together: {_dollars(sum(known))}{more}; list prices of {date_of_prices()}, where the catalog's "
        "`prices` say nothing else"
    )
    if any(each.unreadable for each in plans):
        raise typer.Exit(Exit.NOT_DONE)
    raise typer.Exit(Exit.NOT_VERIFIED if any(each.shortfall for each in plans) else Exit.VERIFIED)


def _figures(of: BucketPlan) -> dict[str, object]:
    from fixity.humanize import bytes_text, seconds_text

    if of.policy is None:
        return {"Policy": "none: it is checked by hand"}
    term = {"Term": seconds_text(of.policy.bytes.total_seconds())}
    if of.holding is None:
        why = "its inventory cannot be read" if of.unreadable else "list it, or say what it `holds`"
        return {**term, "Objects": f"not known: {why}"}
    archived = of.holding.archived
    return {
        **term,
        "Objects": f"{of.holding.objects:,}",
        "Bytes": bytes_text(of.holding.size),
        **({"Archived": f"{archived:,}, not counted as read by us"} if archived else {}),
        "Known by": of.holding.known_by,
        "Read by us": f"{of.reads:,} times an object, {bytes_text(of.bytes_read)} at most",
        "Jobs": of.jobs,
        "List requests": f"{of.lists:,}",
        "Cost": "not known: give `prices`" if of.cost is None else _dollars(of.cost),
        "All checked by": f"{of.covered_at:%Y-%m-%d}" if of.covered_at else "not known",
    }


def _fields(of: BucketPlan) -> dict[str, object]:
    """The plan as numbers, for `--json`."""
    holding = of.holding
    return {
        "bucket": of.bucket,
        "term_days": of.policy.bytes.total_seconds() / 86_400 if of.policy else None,
        "objects": holding.objects if holding else None,
        "bytes": holding.size if holding else None,
        "archived": holding.archived if holding else None,
        "known_by": holding.known_by if holding else None,
        "reads": of.reads,
        "bytes_read": of.bytes_read,
        "jobs": of.jobs,
        "list_requests": of.lists,
        "dollars": of.cost,
        "covered_at": of.covered_at,
        "shortfall": of.shortfall,
        "unreadable": of.unreadable,
    }


def _dollars(cost: float) -> str:
    return f"${cost:,.2f}"
