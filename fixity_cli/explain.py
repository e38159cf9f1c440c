"""The verb `fixity explain`: what a word of the platform means, and what to do about it.

The meanings are gathered from where the words are defined; what to do is in `fixity.words`, as are the codes
of errors. Deciding which word is said does not belong here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fixity.words import known_words
from fixity_cli.output import output
from fixity_cli.shared import STATUS_HELP, Exit, end

if TYPE_CHECKING:
    import dagster as dg

verbs = typer.Typer()


@dataclass(frozen=True)
class Word:
    """A word that the platform says. kind: where it says it. to_do: what a person does about it."""

    word: str
    kind: str
    means: str
    to_do: str


@verbs.command(epilog=STATUS_HELP)
def explain(
    word: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORD]",
            help="A status, a verdict, an asset check, a diagnosis or an error code, such as mismatch. "
            "Default: all of them.",
        ),
    ] = None,
) -> None:
    """Explain a word that fixity says: what it means, and what to do."""
    explained = list(words())
    if word is not None:
        explained = [each for each in explained if each.word.lower() == word.lower()] or _unknown(word)
    told = ""
    for each in explained:
        if each.word != told:
            output.show(each.word)
            told = each.word
        to_do = f"\n    To do: {each.to_do}" if each.to_do else ""
        output.row(f"    {each.kind}: {each.means}.{to_do}", **vars(each))


def words() -> Iterator[Word]:
    """All words that the platform itself says. A store's own error codes are not among them."""
    from fixity.incidents.diagnosis import DIAGNOSES
    from fixity.reports.columns import STATUSES

    known = known_words()
    kinds: list[tuple[str, dict[str, str]]] = [
        ("status in a pair's report", STATUSES),
        ("diagnosis of an incident", DIAGNOSES),
        ("status of a check", known["check_statuses"]),
        ("verdict on a check", known["verdicts"]),
        ("result in an ingest report", known["ingest_results"]),
        ("state of a bucket or pair", known["status_states"]),
        ("state of an incident", known["incident_states"]),
        ("state of a restore", known["restore_states"]),
        *((f"check of {asset}", claims) for asset, claims in _checks().items()),
    ]
    for kind, meanings in kinds:
        for word, means in meanings.items():
            yield Word(word, kind, means.rstrip("."), known["to_do"].get(word, ""))
    for word, code in known["error_codes"].items():
        yield Word(word, "error code", code["means"], code["to_do"])


def all_definitions() -> dg.Definitions:
    """The definitions of a catalog that has a use for every asset, job, schedule and sensor."""
    from fixity.catalog import Catalog, Queues
    from fixity_assets.definitions import build_definitions

    folder = Path.cwd()
    by_s3 = {
        "account_id": "1" * 12,
        "role_arn": f"arn:aws:iam::{'1' * 12}:role/a",
        "report_bucket": "reports",
    }
    queue = "https://sqs.us-east-1.amazonaws.com/111122223333/"
    catalog = Catalog.model_validate(
        {
            "file": folder / "fixity.yaml",
            "lake": "lake",
            "buckets": {
                "a": {"path": "a"},
                "b": {"path": "b"},
                "c": {"path": "c", "fixity_every": "90d"},
                "archived": {"archived": "restore"},
                "listed": {"inventory": {"from": "s3_inventory", "at": "s3://reports/lists"}},
                "by-s3": {"engine": "s3_batch", "s3_batch": by_s3, "fixity_every": "90d"},
            },
            "drills": ["c"],
            "keep_runs": "400d",
            "log": {"key": "log-key.pem"},
            "pairs": {"a": {"replica": "b"}},
            "map_results": {"bucket": "results"},
            "queues": {name: f"{queue}{name}" for name in Queues.model_fields},
        },
        context={"folder": folder},
    )
    return build_definitions(catalog)


def _checks() -> dict[str, dict[str, str]]:
    """What each asset check claims, by asset."""
    import dagster as dg

    found: dict[str, dict[str, str]] = {}
    for asset in all_definitions().assets or ():
        for check in asset.check_specs if isinstance(asset, dg.AssetsDefinition) else ():
            found.setdefault(check.asset_key.to_user_string(), {})[check.name] = check.description or ""
    return found


def _unknown(word: str) -> list[Word]:
    near = difflib.get_close_matches(word, [each.word for each in words()], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    end(
        Exit.WRONG_USE,
        f"fixity does not say '{word}'.{hint} A word that begins with a capital may be an error code of your "
        "store: the text beside it (error_message, detail) is the store's own",
    )
