"""The verb `fixity doctor`: whether a deployment can do its work, and what to do where it cannot.

What is looked at does not belong here; it is in `fixity.doctor` and `deployment`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fixity.humanize import printable
from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, BucketsArgument, CatalogOption, Exit, known, load

if TYPE_CHECKING:
    from fixity.catalog import Catalog
    from fixity.doctor import Finding

verbs = typer.Typer()
_LONGEST = 600  # characters of a finding


@verbs.command(epilog=STATUS_HELP)
def doctor(
    buckets: BucketsArgument = None,
    webserver: Annotated[
        str | None,
        typer.Option(
            "--webserver",
            metavar="URL",
            envvar="FIXITY_WEBSERVER",
            help="Also ask the webserver at this address, behind the login, whether the servers work.",
        ),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Check that a deployment can do its work, and say what to do where it cannot.

    Looks at the lake, its log, the buckets (default: all), queues, clocks, disks, installed versions,
    workers, and Dagster's database, daemon and servers. Reads a byte of each bucket, and has the log's key
    sign a text. Puts small files below scratch/ of the lake and beside the logs of steps, and removes them.
    Status 1 if anything is wrong; a warning is status 0.
    """
    from fixity.doctor import WRONG

    loaded = load(catalog)
    for name in buckets or ():
        known(name, loaded.buckets, "bucket")
    wrong = 0
    output.interrupted = "a small file below scratch/ of the lake may be left"
    for found in _findings(loaded, buckets or list(loaded.buckets), webserver):
        lines = [f"{found.state:<8} {found.about}: {printable(found.text, _LONGEST)}"]
        lines += [f"         To do: {printable(found.to_do, _LONGEST)}"] if found.to_do else []
        output.row("\n".join(lines), **asdict(found))
        wrong += found.state == WRONG
    raise typer.Exit(Exit.NOT_VERIFIED if wrong else Exit.VERIFIED)


def _findings(catalog: Catalog, buckets: list[str], webserver: str | None) -> Iterator[Finding]:
    from fixity.clock import utc_now
    from fixity.doctor import (
        WARNING,
        WRONG,
        Finding,
        look_at_buckets,
        look_at_disk,
        look_at_lake,
        look_at_log,
        look_at_packages,
        look_at_queues,
    )
    from fixity.lake import LakeError, open_lake
    from fixity_cli.deployment import look_at_executor, look_at_instance, look_at_webserver
    from fixity_cli.instance import home_of

    yield from look_at_packages()
    yield look_at_disk("disk of temporary files", Path(tempfile.gettempdir()))
    is_local = not catalog.lake.startswith("s3://")
    if is_local:
        yield look_at_disk("disk of the lake", Path(catalog.lake))
    if is_local and not Path(catalog.lake).exists():
        yield Finding("lake", WARNING, f"{catalog.lake} is not there", "mount its disk, unless it is new")
    else:
        try:
            yield from look_at_lake(open_lake(catalog), utc_now)
        except LakeError as error:
            yield Finding("lake", WRONG, str(error), "see `lake` and `lake_store` in the catalog")
    yield from look_at_log(catalog)
    yield from look_at_buckets(catalog, buckets, utc_now)
    yield from look_at_queues(catalog)
    home = home_of(catalog.file)
    if home.is_dir():
        yield look_at_disk("disk of DAGSTER_HOME", home)
    executor, steps = look_at_executor(catalog)
    yield from executor
    yield from look_at_instance(home, utc_now(), steps)
    if webserver is not None:
        yield from look_at_webserver(webserver)
