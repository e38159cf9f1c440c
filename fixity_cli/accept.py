"""The verbs `fixity lake accept` and `redate`: for tables without records, and for those of a wrong clock."""

from __future__ import annotations

from typing import Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, BucketArgument, CatalogOption, Exit, load, load_bucket

verbs = typer.Typer()
lake_verbs = typer.Typer(help="Work with the lake's own files.", no_args_is_help=True)
verbs.add_typer(lake_verbs, name="lake")


@lake_verbs.command("accept", epilog=STATUS_HELP)
def accept(
    lost: Annotated[
        bool,
        typer.Option(
            "--lost",
            help="Instead, accept that tables of ledgers are gone for good, of which something kept still "
            "names them. Restore them from a copy of the lake, if there is one.",
        ),
    ] = False,
    catalog: CatalogOption = None,
) -> None:
    """Accept the lake's tables as they are now, if the records that prove them (log/records/) are lost.

    Restore `log/` from a copy of the lake instead, if you have one: nothing proves that an accepted table had
    not changed before. Each table that still has its record is left alone, also one that its record refutes.
    The check `ledger_readable` tells how many files were accepted, and when.
    """
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.lake.accept import accept_all

    loaded = load(catalog)
    if lost:
        from fixity.ledger.refresh import accept_lost

        lake, given_up = open_lake(loaded), 0
        for bucket in loaded.buckets:
            for name in accept_lost(lake, bucket, utc_now()):
                given_up += 1
                output.row(f"{name}: accepted as lost", table=name)
        output.say(f"{given_up:,} tables accepted as lost. Nothing is known of the checks in them.")
        return
    found = dict(accept_all(open_lake(loaded), utc_now()))
    for name, why in found.items():
        if why is None:
            output.row(f"{name}: accepted", table=name)
        else:
            output.fail(why)
    accepted = list(found.values()).count(None)
    output.say(f"{accepted:,} accepted. Nothing proves that they had not changed before.")
    if accepted < len(found):
        raise typer.Exit(Exit.NOT_DONE)


@lake_verbs.command("redate", epilog=STATUS_HELP)
def redate_tables(bucket: BucketArgument, catalog: CatalogOption = None) -> None:
    """Go on with a bucket that has tables from a clock that was ahead, once that clock is set right.

    Until then nothing more is checked in it, because of several checks the one with the latest time counts.
    By this command you say that the clock of this machine is right: compare it first, with fixity doctor.
    Times of the bucket's tables that lie in the future then count as now. The tables stay as they are; a note
    beside them, TIMES.json, says it. If that note is lost or damaged, this writes it anew from its copy. Then
    run fixity verify.
    """
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.ledger.clocks import redate

    loaded, _ = load_bucket(catalog, bucket)
    redated = 0
    for name, at in redate(open_lake(loaded), bucket, utc_now(), output.say):
        redated += 1
        output.row(f"{name}: is dated {at:%Y-%m-%d %H:%M:%S} UTC", table=name)
    output.say(f"{redated:,} tables count as made now. They stay as they are.")
