"""Reads the manifest of a map run: the list of result files, by the status of their executions.

Step Functions defines its form. Reading the result files does not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fixity.engines.step_functions.errors import ResultsRefused
from fixity.engines.step_functions.map_run import MapRun
from fixity.engines.step_functions.results_bucket import ResultsBucket, StoredObject

_LARGEST = 64 * 1024 * 1024  # room for more result files than a map run can have


@dataclass(frozen=True)
class ResultsManifest:
    """A manifest.

    head: its object. succeeded: the keys of the files of successful executions. others: the keys of all
    other files, by their status in the manifest (FAILED, PENDING). size: bytes of all files according to
    the manifest.
    """

    head: StoredObject
    succeeded: list[str]
    others: dict[str, list[str]]
    size: int


def read_manifest(bucket: ResultsBucket, run: MapRun) -> ResultsManifest:
    """Read a map run's manifest. Raises ResultsRefused, BucketUnreachable."""
    head = bucket.head(run.manifest)
    if head is None:
        raise ResultsRefused(f"there is no {run.url}")
    if head.size > _LARGEST:
        raise ResultsRefused(f"{run.url} has {head.size:,} bytes, too many for a manifest")
    try:
        content = json.loads(b"".join(bucket.pieces(head)))
    except (ValueError, RecursionError) as error:
        raise ResultsRefused(f"{run.url} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ResultsRefused(f"{run.url} is not a manifest: it must be a JSON object")
    files = content.get("ResultFiles")
    if not isinstance(files, dict) or not isinstance(files.get("SUCCEEDED"), list):
        raise ResultsRefused(f"{run.url} is not a manifest: it lacks ResultFiles with a list of SUCCEEDED")
    destination = content.get("DestinationBucket", run.bucket)
    if destination != run.bucket:
        raise ResultsRefused(
            f"{run.url} names the bucket {destination!r} for its result files: "
            "they must be in the manifest's own bucket"
        )
    listed: dict[str, list[str]] = {}
    size = 0
    for status, of_status in files.items():
        if not isinstance(of_status, list):
            raise ResultsRefused(f"{run.url} is not a manifest: {status!r} in its ResultFiles is not a list")
        listed[status] = [_key(run, each) for each in of_status]
        size += sum(each["Size"] for each in of_status if isinstance(each.get("Size"), int))
    succeeded = listed.pop("SUCCEEDED")
    return ResultsManifest(head, succeeded, {status: keys for status, keys in listed.items() if keys}, size)


def _key(run: MapRun, file: object) -> str:
    if not isinstance(file, Mapping) or not isinstance(file.get("Key"), str) or not file["Key"]:
        raise ResultsRefused(f"{run.url} is not a manifest: it lists a result file without a Key")
    return str(file["Key"])
