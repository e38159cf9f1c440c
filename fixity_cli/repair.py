"""The verb that repairs: `fixity repair`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixity.humanize import bytes_text, printable
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    CatalogOption,
    Exit,
    VerboseOption,
    end,
    load,
    say_errors,
    stop_verified,
)
from fixity_cli.user import user_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fixity.catalog import Catalog

verbs = typer.Typer()


class Side(StrEnum):
    """A side of a pair."""

    source = "source"
    replica = "replica"


class CopiedBy(StrEnum):
    """Who copies what S3 Batch can copy."""

    stream = "stream"
    s3_batch = "s3_batch"


@verbs.command(epilog=STATUS_HELP)
def repair(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PAIR|INCIDENT", help="A pair of the catalog, or an incident of `fixity incidents`."
        ),
    ],
    apply: Annotated[
        bool, typer.Option("--apply", help="Repair. Without it, only the plan is shown.")
    ] = False,
    take_from: Annotated[
        Side | None,
        typer.Option(
            "--from", help="Whose copy is the good one, where no diagnosis says it. Needs --reason."
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="How you know that. It is kept with the incident.")
    ] = None,
    no_quarantine: Annotated[
        bool,
        typer.Option(
            "--no-quarantine",
            help="Do not keep the bad bytes in a bucket without versions. By default they are kept below "
            ".fixity-quarantine/ in the same bucket, which no inventory lists.",
        ),
    ] = False,
    by: Annotated[
        CopiedBy | None,
        typer.Option(
            "--by",
            help="Who copies: s3_batch, a job of S3 Batch where it can; stream, never one. By default, a job "
            "if there are a thousand such objects or more.",
        ),
    ] = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Replace bad copies by good ones: show the plan, or carry it out with --apply.

    Only good copies that are proved by reading them are copied, and each new copy is read and checked.
    Status 1 if a bad copy is left, 3 if all are repaired but the pair could not be reported anew. What S3
    Batch copies is checked when its job has ended: `fixity dev` does it, or this command once more.
    """
    from fixity_cli.runs import runner
    from jobs.names import NOT_REPORTED, REPAIR_ASSET, REPAIR_JOB

    loaded = load(catalog)
    pairs, incident = _of(loaded, name)
    if take_from is Side.replica and len(pairs) > 1:
        end(
            Exit.WRONG_USE,
            f"{name} has several copies, and --from replica would mean another one for each: name the pair "
            f"of the good copy, one of {', '.join(pairs)}",
        )
    config: dict[str, Any] = {
        "apply": apply,
        "quarantine": not no_quarantine,
        "good_copy": take_from.value if take_from else "as_diagnosed",
        "person": user_name(),
        **({"by": by.value} if by else {}),
        **({"reason": reason} if reason else {}),
        **({"incident": incident} if incident else {}),
    }
    ended = []
    with runner(loaded, verbose) as runs:
        for pair in pairs:
            ended.append(runs.run(REPAIR_JOB, pair, {"ops": {REPAIR_ASSET: {"config": config}}}))
            say_errors(ended[-1])  # the other copies are repaired all the same
            if ended[-1].success:
                _say(pair, ended[-1].metadata[REPAIR_ASSET])
    not_reported = [each.metadata[REPAIR_ASSET].get(NOT_REPORTED) for each in ended if each.success]
    for text in filter(None, not_reported):
        output.warn(text)
    if any(not_reported) and not any(each.failed_checks for each in ended):
        raise typer.Exit(Exit.NOT_DONE)
    stop_verified(*ended)


def _of(catalog: Catalog, name: str) -> tuple[list[str], str | None]:
    """The pairs to repair, and the incident if it is one. Ends the command for an unknown name."""
    if name in catalog.compared:
        copies = catalog.copies.get(name)
        return [pair.name for pair in copies.pairs] if copies else [name], None
    from fixity.incidents.closing import NoIncident, find_incident
    from fixity.incidents.state import incidents_now
    from fixity.lake import open_lake

    incident = find_incident(incidents_now(open_lake(catalog)), name)
    of_buckets = [pair.name for bucket in incident.buckets for pair in catalog.pairs_of(bucket)]
    pairs = [pair for pair in dict.fromkeys([*incident.pairs, *of_buckets]) if pair in catalog.pairs]
    if not pairs and incident.unknown:
        raise NoIncident(f"it is not known which objects the incident {name} has: see fixity incident {name}")
    if not pairs and incident.pairs and not incident.buckets:
        raise NoIncident(
            f"the catalog has no pair {', '.join(incident.pairs)} any more, whose report found what the "
            f"incident {name} has. Run fixity verify for the pair that has its buckets now: what is still "
            f"wrong gets a new incident. Then end this one: fixity incident close {name} --reason …"
        )
    if not pairs:
        raise NoIncident(
            f"no pair of the catalog has a bucket of the incident {name}: there is no second copy"
        )
    return pairs, name


def _say(pair: str, said: Mapping[str, Any]) -> None:
    for record in said["objects"].records:
        row = record.data
        size = f", {bytes_text(row['bytes'])}" if row["how"] else ""  # of a refused one nobody looked it up
        where = f"{row['from_bucket']} -> {row['to_bucket']}{size}: " if row["from_bucket"] else ""
        lines = [f"{printable(row['key'], 1000)}: {where}{row['result']}"]
        how = "" if said["applied"] else row["how"]  # then the result says it
        good_by = f"good by {row['good_by']}" if row["good_by"] else ""
        lines += [f"        {text}" for text in (how, good_by) if text]
        output.row("\n".join(lines), **row)
    counted = ("applied", "to_repair", "repaired", "refused", "copying", "closed_incidents")
    output.add("results", of=pair, **{name: said[name] for name in counted if name in said})
    counts = ("repaired", "refused", "not_right", "copying") if said["applied"] else ("to_repair", "refused")
    if (more := sum(said.get(name, 0) for name in counts) - len(said["objects"].records)) > 0:
        output.say(f"… and {more:,} more objects")
    if said["applied"]:
        output.say(f"{pair}: {said['repaired']:,} repaired and right, {said['refused']:,} refused")
        if copying := said.get("copying"):
            output.say(f"{copying:,} are being copied by S3 Batch; at its end they are read and checked")
        if said["closed_incidents"]:
            output.say(f"closed: {', '.join(said['closed_incidents'])}")
        return
    output.say(f"{pair}: {said['to_repair']:,} to repair, {said['refused']:,} refused")
    if said["to_repair"]:
        output.say(f"        {said['cost']}")
        output.say("This was only the plan: add --apply to repair")
