"""The verb of drills: `fixity drill`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    BucketArgument,
    CatalogOption,
    Exit,
    VerboseOption,
    end,
    load_bucket,
    stop_unless_done,
    stop_verified,
)
from fixity_cli.user import user_name

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def drill(
    bucket: BucketArgument,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Draw the plan from this number. Default: a new number."),
    ] = None,
    objects: Annotated[
        int, typer.Option("--objects", min=6, max=1000, help="How many objects are damaged.")
    ] = 12,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Damage objects in a bucket made for it, so that the schedule must find them; or say how far a drill is.

    The catalog names such buckets in `drills`. Where a drill goes on, none begins. Status 1 if an object was
    not found within `fixity_every` and a day.
    """
    from fixity_cli.runs import runner
    from jobs.names import DRILL_JOB, DRILLS_ASSET

    loaded, _ = load_bucket(catalog, bucket)
    if bucket not in loaded.drills:
        end(
            Exit.WRONG_USE,
            f"'{bucket}' is not among `drills` of the catalog: a drill damages only a bucket made for it",
        )
    config: dict[str, Any] = {"begin": True, "objects": objects, "person": user_name()}
    if seed is not None:
        config["seed"] = seed
    with runner(loaded, verbose) as runs:
        ended = runs.run(DRILL_JOB, bucket, {"ops": {DRILLS_ASSET: {"config": config}}})
    stop_unless_done(ended)
    said = ended.metadata[DRILLS_ASSET]
    for record in said["objects"].records:
        row = record.data
        output.row(f"{row['key']}: {row['damage']}: {row['result']}", **row)
    counted = {name: said[name] for name in ("drill", "seed", "goes_on", "damaged", "found")}
    output.add("results", of=bucket, **counted)
    state = "goes on" if said["goes_on"] else "is over"
    output.say(
        f"{bucket}: the drill {said['drill']} (seed {said['seed']}) {state}: "
        f"{said['found']:,} of {said['damaged']:,} found"
    )
    stop_verified(ended)
