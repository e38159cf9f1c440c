"""The catalog's `map_results`: where a Distributed Map writes its results, and how to use them.

Reading results and keeping checks do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fixity.catalog.base import Part
from fixity.catalog.fields import Prefix, RealName, Text
from fixity.catalog.json_path import parse_json_path
from fixity.catalog.messages import shown
from fixity.catalog.model import Bucket

DEFAULT_RESULTS_KEY = "{consignment_id}/{uuid}/results.json"
"""The default key of a map run's results object."""

ENGINE = "step_functions"
"""The engine of a bucket whose checksums a map computes."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def _check_results_key(key: str) -> str:
    placeholders = sorted(set(_PLACEHOLDER.findall(key)))
    if placeholders != ["consignment_id", "uuid"] or re.search(r"[{}]", _PLACEHOLDER.sub("", key)):
        raise ValueError(
            f"{shown(key)} must name {{consignment_id}} and {{uuid}}, and nothing else in braces: "
            "with less, two map runs would write one object"
        )
    if key.startswith("/") or key.endswith(("/", "/manifest.json")):
        raise ValueError(
            f"{shown(key)} is not the key of a results object: write it like {DEFAULT_RESULTS_KEY}"
        )
    return key


def _check_path(path: str) -> str:
    parse_json_path(path)
    return path


def _check_path_or_text(text: str) -> str:
    return _check_path(text) if text.startswith("$") else text


JsonPathText = Annotated[str, AfterValidator(_check_path)]
"""A path into an output, `$.checksum.sha256`."""

PathOrText = Annotated[Text, AfterValidator(_check_path_or_text)]
"""A path into an output if it begins with `$`, else the value itself."""


class LedgerMapping(Part):
    """Where the parts of a check are in an output of the map."""

    bucket: PathOrText
    """The bucket that was checked, by its real name: a path, or the name itself."""
    key: JsonPathText
    """The path of the object's key."""
    checksum: JsonPathText
    """The path of the checksum, in hex or base64."""
    version: JsonPathText | None = None
    """The path of the version that was read, for buckets with `versions: all`; by default, the map reads
    current versions."""
    algorithm: PathOrText | None = None
    """The algorithm: a path, or its name; by default the bucket's own."""
    status: JsonPathText | None = None
    """The path of the check's status; by default, a check with a checksum succeeded."""
    statuses: dict[str, Literal["succeeded", "failed", "skipped"]] = Field(
        default={"succeeded": "succeeded", "failed": "failed", "skipped": "skipped"}, min_length=1
    )
    """What each word of `status` means: succeeded, failed or skipped."""
    checked_at: JsonPathText | None = None
    """The path of the time when reading began, in ISO 8601. The earlier of this and the execution's start
    counts; by default, the start. Right bytes count from then."""


class MapResults(Part):
    """Where a Distributed Map's ResultWriter writes, and how to use its results."""

    bucket: RealName
    """The bucket that the map writes to, by its real name; the results object goes there too."""
    store: str = "aws"
    """The store of this bucket and of the buckets that the map checks."""
    prefix: Prefix = ""
    """The beginning of the keys of the map's results, before the consignment id."""
    state_machine: (
        Annotated[str, Field(pattern=r"^arn:[a-z-]+:states:[a-z0-9-]+:[0-9]{12}:stateMachine:\S+$")] | None
    ) = None
    """The state machine with the map: arn:aws:states:us-east-1:111122223333:stateMachine:name. With it, the
    platform starts it for buckets with a policy; its input names the bucket. Without it, you start it."""
    results_key: Annotated[str, AfterValidator(_check_results_key)] = DEFAULT_RESULTS_KEY
    """The key of the results object, with {consignment_id} and {uuid} in it."""
    on_failed: Literal["refuse", "include"] = "refuse"
    """If executions failed or never started: quote their errors and write nothing, or list them under
    `failed`."""
    ledger: LedgerMapping | None = None
    """Where the checksums are in the outputs; without it, no checks are kept."""


def stores_of_map_results(settings: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """The store that `map_results` names, with its path of keys.

    Arguments: `settings`, validated or as in the file.
    """
    if isinstance(settings, MapResults):
        yield ("map_results", "store"), settings.store
    elif isinstance(settings, Mapping) and isinstance(settings.get("store"), str):
        yield ("map_results", "store"), settings["store"]


def map_engine_problems(
    settings: MapResults | None, buckets: Mapping[str, Bucket]
) -> list[tuple[tuple[str, ...], str]]:
    """Buckets with `engine: step_functions` that can never get a checksum: path of keys and reason."""
    problems: list[tuple[tuple[str, ...], str]] = []
    for name, bucket in buckets.items():
        if bucket.engine != ENGINE:
            continue
        keys = ("buckets", name, "engine")
        if bucket.is_local:
            problems.append((keys, "a map does not read a local directory: leave `engine` out"))
        elif settings is None or settings.ledger is None:
            problems.append(
                (keys, f"'{ENGINE}' needs `map_results` with `ledger`, which says where the checksums are")
            )
        elif settings.store != bucket.store:
            problems.append(
                (
                    keys,
                    f"the maps of `map_results` read buckets of the store {shown(settings.store)}, "
                    f"and this one is in {shown(bucket.store)}",
                )
            )
    return problems
