"""The verbs of incidents: list them, show one, close or dismiss it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from fixity.humanize import printable
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    CatalogOption,
    Exit,
    known,
    load,
    print_figures,
    say_errors,
)
from fixity_cli.user import user_name

if TYPE_CHECKING:
    from datetime import datetime

    from fixity.catalog import Catalog
    from fixity.incidents.state import Incident
    from fixity.lake import Lake

_SHOWN = 100


class _ShowsById(TyperGroup):
    """`fixity incident ID` is `fixity incident show ID`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer keeps its types to itself
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


verbs = typer.Typer()
incident_verbs = typer.Typer(
    cls=_ShowsById,
    no_args_is_help=True,
    help="Show an incident (`fixity incident ID`), or close or dismiss it with a reason.",
)
verbs.add_typer(incident_verbs, name="incident")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="An incident, as `fixity incidents` lists it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why. It is kept with the incident.")]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who says so. Default: your user of this system.")
]


@verbs.command(epilog=STATUS_HELP)
def incidents(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    bucket: Annotated[str | None, typer.Option("--bucket", help="Only those of this bucket.")] = None,
    catalog: CatalogOption = None,
) -> None:
    """List what was found wrong: each incident with its state. Status 1 if any of these is not over."""
    from fixity.incidents.state import incidents_now
    from fixity.incidents.summary import summary, what
    from fixity.lake import open_lake

    loaded = load(catalog)
    if bucket is not None:
        known(bucket, loaded.buckets, "bucket")
    listed = [
        each
        for each in incidents_now(open_lake(loaded))
        if not (only_open and each.is_over) and (bucket is None or bucket in _buckets(loaded, each))
    ]
    for each in listed:
        said = summary(each)
        line = f"{each.id:<18} {each.state:<10}{what(each)}; {said['diagnosis']}; last: {each.last_event}"
        lines = [line, *([f"        {said['note']}"] if said["note"] else [])]
        output.row("\n".join(printable(line, 2000) for line in lines), **said)
    if not listed:
        output.say("no incidents")
    raise typer.Exit(_status(listed))


@incident_verbs.command("show", epilog=STATUS_HELP)
def show(incident_id: IdArgument, catalog: CatalogOption = None) -> None:
    """Show an incident: its objects, and what happened when. Status 1 if it is not over."""
    from fixity.incidents.closing import find_incident
    from fixity.incidents.state import incidents_now
    from fixity.incidents.summary import right_text
    from fixity.lake import open_lake

    loaded = load(catalog)
    lake = open_lake(loaded)
    incident = find_incident(incidents_now(lake), incident_id)
    print_figures(
        f"Incident {incident.id}: {incident.state}",
        {
            "Opened": f"{_time(incident.opened_at)} by the run {incident.run_id or '-'}",
            "Buckets": ", ".join(incident.buckets) or "unknown",
            "Pairs": ", ".join(incident.pairs) or "-",
            "Objects": f"{len(incident.objects):,}",
            "To do": printable(_to_do(lake, loaded, incident), 2000) or "-",
        },
        of=incident.id,
    )
    for each in incident.objects[:_SHOWN]:
        version = f" ({each.version_id})" if each.version_id else ""
        place = each.bucket or f"the pair {each.pair}"
        right = f"since then {right_text(each)}" if each.right_since else None
        facts = [each.state, right, each.diagnosis, each.rests_on, each.detail]
        line = f"{each.key}{version} of {place}: {'; '.join(filter(None, facts))}"
        output.row(
            printable(line, 2000),
            key=each.key,
            version_id=each.version_id,
            bucket=each.bucket,
            pair=each.pair,
            state=each.state,
            diagnosis=each.diagnosis,
            right_since=each.right_since,
        )
    if len(incident.objects) > _SHOWN:
        output.note(
            f"… and {len(incident.objects) - _SHOWN:,} more; `fixity sql` has them all, as `incidents`"
        )
    _print_history(incident)
    raise typer.Exit(_status([incident]))


@incident_verbs.command("close", epilog=STATUS_HELP)
def close(
    incident_id: IdArgument, reason: ReasonOption, by: ByOption = None, catalog: CatalogOption = None
) -> None:
    """Close an incident: what was wrong is right again. Damage that is found after it opens a new one."""
    _end("closed", incident_id, reason, by, catalog)


@incident_verbs.command("dismiss", epilog=STATUS_HELP)
def dismiss(
    incident_id: IdArgument, reason: ReasonOption, by: ByOption = None, catalog: CatalogOption = None
) -> None:
    """Dismiss an incident: its objects are accepted as they were found.

    They open a new one only if their bytes change again. Checks of the bucket stay red.
    """
    _end("dismissed", incident_id, reason, by, catalog)


def _end(event: str, incident_id: str, reason: str, by: str | None, catalog: Path | None) -> None:
    from fixity.incidents.closing import end_by_person
    from fixity_cli.instance import lake_of_command
    from fixity_cli.runs import runner
    from jobs.names import INCIDENTS_JOB

    loaded = load(catalog)
    with lake_of_command(loaded, f"incident {'close' if event == 'closed' else 'dismiss'}") as lake:
        incident = end_by_person(lake, incident_id, event, by or user_name(), reason)
    output.say(f"{incident.id} is {event}")
    output.row(incident=incident.id, event=event)
    with runner(loaded, verbose=False) as runs:  # so that the UI says the same
        ended = [runs.run(INCIDENTS_JOB, bucket) for bucket in _buckets(loaded, incident)]
    for each in ended:
        say_errors(each)
    if not all(each.success for each in ended):
        raise typer.Exit(Exit.NOT_DONE)


def _buckets(catalog: Catalog, incident: Incident) -> list[str]:
    """The buckets of the catalog that an incident is about, over or not."""
    of_pairs = {
        bucket
        for each in incident.objects
        if each.bucket is None and each.pair in catalog.pairs
        for bucket in (catalog.pairs[each.pair].source, catalog.pairs[each.pair].replica)
    }
    return [
        bucket
        for bucket in catalog.buckets
        if incident.unknown or bucket in of_pairs or bucket in incident.buckets
    ]


def _to_do(lake: Lake, catalog: Catalog, incident: Incident) -> str:
    """What a person should know or do about an incident; '' for nothing."""
    from fixity.clock import utc_now
    from fixity.incidents.summary import note
    from fixity.status import status_of
    from fixity.status.advice import before_repair_of

    first = before_repair_of(incident, status_of(lake, catalog, utc_now()), catalog)
    in_pair = incident.pairs or any(catalog.pairs_of(bucket) for bucket in incident.buckets)
    hint = f"`fixity repair {incident.id}` shows what a repair would do"
    said = "; ".join(filter(None, (first, note(incident))))
    return said or (hint if in_pair and not incident.is_over else "")


def _print_history(incident: Incident) -> None:
    """Print the events, those of one moment together."""
    moments = Counter(
        (each.happened_at, each.event, each.person or f"run {each.run_id}", each.reason)
        for each in incident.events
    )
    for (at, event, who, reason), count in moments.items():
        objects = f" {count:,} objects" if count > 1 else ""
        output.show(
            printable(f"{_time(at)}  {event}{objects} by {who}{f': {reason}' if reason else ''}", 2000)
        )


def _status(incidents: list[Incident]) -> Exit:
    return Exit.VERIFIED if all(each.is_over for each in incidents) else Exit.NOT_VERIFIED


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
