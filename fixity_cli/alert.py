"""The verb `fixity alert`: the targets of alerts, and a test message to each.

When something is told by itself does not belong here; that is in `fixity.alerts`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, Exit, end, known, load

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def alert(
    target: Annotated[
        str | None, typer.Argument(metavar="[TARGET]", help="A target of `alerts`. Default: all.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Send a test message, now.")] = False,
    catalog: CatalogOption = None,
) -> None:
    """Show the targets of alerts and what waits for each; with --test, send a message to each.

    Status 3 if a target is down. URLs are never printed.
    """
    from fixity.alerts import send, targets_of
    from fixity.lake import open_lake

    loaded = load(catalog)
    rules = loaded.alerts
    if rules is None or not rules.targets:
        end(Exit.WRONG_USE, "the catalog has no targets of alerts: add the key `alerts`")
    if target is not None:
        known(target, rules.targets, "target")
    names = [target] if target else list(rules.targets)
    states = targets_of(open_lake(loaded), rules).targets
    why = {name: states[name].why for name in names}
    if test:
        text = (f"fixity: a test of '{loaded.file.name}'", "This is a test. Alerts will be sent here.")
        with ThreadPoolExecutor() as pool:
            sent = pool.map(lambda name: send(rules.targets[name].url_from, *text), names)
        why = dict(zip(names, sent, strict=True))
    for name in names:
        waiting = len(states[name].waiting) + states[name].left_out
        waits = "" if test else f"{waiting:,} waiting"
        said = "; ".join(filter(None, (waits, why[name]))) or "the test was sent"
        output.row(f"{name}: {said}", target=name, why=why[name] or None, waiting=waiting)
        if why[name]:
            output.add_error(f"{name}: {why[name]}")
    raise typer.Exit(Exit.NOT_DONE if any(why.values()) else Exit.VERIFIED)
