"""The verb `fixity lake accept`, for tables of the lake whose records are lost."""

from __future__ import annotations

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, Exit, load

verbs = typer.Typer()
lake_verbs = typer.Typer(help="Work with the lake's own files.", no_args_is_help=True)
verbs.add_typer(lake_verbs, name="lake")


@lake_verbs.command("accept", epilog=STATUS_HELP)
def accept(catalog: CatalogOption = None) -> None:
    """Accept the lake's tables as they are now, if the records that prove them (log/records/) are lost.

    Restore `log/` from a copy of the lake instead, if you have one: nothing proves that an accepted table had
    not changed before. Each table that still has its record is left alone, also one that its record refutes.
    The check `ledger_readable` tells how many files were accepted, and when.
    """
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.lake.accept import accept_all

    found = dict(accept_all(open_lake(load(catalog)), utc_now()))
    for name, why in found.items():
        if why is None:
            output.row(f"{name}: accepted", table=name)
        else:
            output.fail(why)
    accepted = list(found.values()).count(None)
    output.say(f"{accepted:,} accepted. Nothing proves that they had not changed before.")
    if accepted < len(found):
        raise typer.Exit(Exit.NOT_DONE)
