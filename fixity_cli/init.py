"""The verb `fixity init`: writes a catalog, from answers or from what an AWS account has.

Checking a catalog does not belong here; that is in `fixity.catalog`.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, CatalogOption, Exit, end

if TYPE_CHECKING:
    from fixity.catalog import Catalog

verbs = typer.Typer()

_HEADER = "# The catalog of fixity: your buckets, how to reach them, and which is the replica of which.\n"


@verbs.command(epilog=STATUS_HELP)
def init(
    from_account: Annotated[
        str | None,
        typer.Option(
            "--from-account",
            metavar="PROFILE",
            help="Write all buckets of this profile's AWS account, and a pair for each that S3 replicates as "
            "a whole. Default: ask for a bucket and its replica.",
        ),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Write a catalog (fixity.yaml). Never overwrites a file."""
    from fixity.catalog import ENVIRONMENT, FILE_NAME

    file = (catalog or Path(os.environ.get(ENVIRONMENT) or FILE_NAME)).expanduser().absolute()
    if file.exists():
        end(Exit.WRONG_USE, f"{file} is there already: move it away, or name another file with --catalog")
    content = _ask() if from_account is None else _of_account(from_account)
    written = _write(file, content)
    output.row(file=str(file), buckets=len(written.buckets), pairs=len(written.pairs))
    output.show(f"{file}: {len(written.buckets)} buckets, {len(written.pairs)} pairs")
    for name in list(written.pairs)[:1]:
        output.say(f"Next: fixity verify {name}")


def _of_account(profile: str) -> dict[str, Any]:
    from fixity.catalog.account import look_at

    account = look_at(profile)
    if not account.buckets:
        end(Exit.WRONG_USE, f"the account of the profile '{profile}' has no bucket")
    for note in account.notes:
        output.warn(note)
    pairs: dict[str, Any] = {}
    for source, replica in account.pairs:
        if source in pairs:
            pairs[f"{source}-to-{replica}"] = {"source": source, "replica": replica}
        else:
            pairs[source] = {"replica": replica}
    return {
        "lake": "./lake",
        "stores": {"aws": {"profile": profile}},
        "buckets": {name: {} for name in account.buckets},
        "pairs": pairs,
    }


def _ask() -> dict[str, Any]:
    """The content of a catalog of one bucket, and of its replica if it has one."""
    stores: dict[str, Any] = {}
    source, bucket = _ask_bucket(
        "Which bucket do you want to check? A name, or a directory", "source", stores
    )
    buckets, pairs = {source: bucket}, {}
    if typer.confirm("Has it a replica?", default=True):
        replica, bucket = _ask_bucket("Where is the replica? A name, or a directory", "replica", stores)
        replica = f"{replica}-repl" if replica == source else replica
        buckets[replica] = bucket
        pairs[source] = {"replica": replica}
    term = typer.prompt("Check each object again within (such as 90d; none: only on command)", default="none")
    if term != "none":
        for each in buckets.values():
            each["fixity_every"] = term
    lake = typer.prompt(
        "Where shall the results be kept? A directory, or s3://bucket/prefix", default="./lake"
    )
    return {
        "lake": lake,
        **({"stores": stores} if stores else {}),
        "buckets": buckets,
        **({"pairs": pairs} if pairs else {}),
    }


def _ask_bucket(question: str, side: str, stores: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A bucket's name in the catalog, and its keys. Arguments: `stores`, to which its store is added."""
    answer = typer.prompt(question)
    if "/" in answer or answer.startswith((".", "~")) or Path(answer).is_dir():
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(answer).expanduser().absolute().name).strip(".-_")
        return name or side, {"path": answer}
    endpoint = typer.prompt("The endpoint of its store (aws: AWS itself)", default="aws")
    profile = typer.prompt(
        "The profile with its credentials (none: as the AWS tools find them)", default="none"
    )
    store = {
        **({"endpoint_url": endpoint} if endpoint != "aws" else {}),
        **({"profile": profile} if profile != "none" else {}),
    }
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", answer)
    bucket = {"bucket": answer} if name != answer else {}
    if store:
        of_store = next((known for known, keys in stores.items() if keys == store), f"{side}-store")
        stores[of_store] = store
        bucket["store"] = of_store
    return name, bucket


def _write(file: Path, content: dict[str, Any]) -> Catalog:
    """Write a catalog that passes its check, and only such a one. Raises CatalogError."""
    import yaml

    from fixity.catalog import load_catalog

    text = _HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    with tempfile.NamedTemporaryFile("w", prefix=".fixity-", dir=file.parent, encoding="utf-8") as draft:
        draft.write(text)
        draft.flush()
        loaded = load_catalog(Path(draft.name))
        try:
            os.link(draft.name, file)  # unlike a rename, it never replaces a file
        except FileExistsError:
            end(Exit.WRONG_USE, f"{file} is there already: move it away, or name another file with --catalog")
    return loaded
