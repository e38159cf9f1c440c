"""All results of a map run in one object, of the form that the National Archives' checks hand on.

`{"results": [every output], "statuses": {…}, "redactedResults": {…}}`, in the order of the manifest.
The outputs stand in it as the map wrote them, so a second run writes the same bytes to the same key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, NamedTuple

from fixity.engines.step_functions.elements import Element, decode, elements
from fixity.engines.step_functions.errors import ResultsRefused
from fixity.engines.step_functions.manifest import ResultsManifest, read_manifest
from fixity.engines.step_functions.map_run import MapRun
from fixity.engines.step_functions.results_bucket import ResultsBucket, StoredObject

OnFailed = Literal["refuse", "include"]
"""What to do where executions failed or were never started."""

_BEGIN = '{"results": ['
_END = '], "statuses": {"statuses": []}, "redactedResults": {"redactedFiles": [], "errors": []}'
_BUFFER = 1024 * 1024
_QUOTED = 3  # errors that a refusal quotes

# What Step Functions says of an execution, where it does not write the outputs alone.
_OF_AN_EXECUTION = {
    *("ExecutionArn", "Input", "InputDetails", "Name", "Output", "OutputDetails"),
    *("RedriveCount", "RedriveDate", "RedriveStatus", "RedriveStatusReason"),
    *("StartDate", "StateMachineArn", "StateMachineAliasArn", "StateMachineVersionArn", "Status", "StopDate"),
}


class MapOutput(NamedTuple):
    """An output, decoded; when its execution began and ended (UTC; None where the map does not say)."""

    output: object
    began: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Gathered:
    """What was gathered: `results` and `failed` count elements; `manifest` as it was when it was read."""

    bucket: str
    key: str
    results: int
    failed: int
    files: int
    manifest: StoredObject

    @property
    def message(self) -> dict[str, str]:
        """What the state machine's next step is told."""
        return {"key": self.key, "bucket": self.bucket}


def gather(
    bucket: ResultsBucket,
    run: MapRun,
    results_key: str,
    on_failed: OnFailed = "refuse",
    each: Callable[[MapOutput], object] = lambda result: None,
) -> Gathered:
    """Read all result files of a map run and write its results object, whole or not at all.

    Arguments: `results_key`, the object's key; `each` is given every result as it passes by, also
    those of a run that is refused in the end.
    Raises ResultsRefused: something is not as it must be, and nothing was written; BucketUnreachable.
    """
    manifest = read_manifest(bucket, run)
    if on_failed == "refuse":
        _refuse_unless_clean(bucket, run, manifest)
    counts = {"results": 0, "failed": 0}
    document = _document(bucket, manifest, on_failed, each, counts)
    bucket.put(results_key, _encoded(document), manifest.size)
    return Gathered(
        run.bucket, results_key, counts["results"], counts["failed"], len(manifest.succeeded), manifest.head
    )


def _document(
    bucket: ResultsBucket,
    manifest: ResultsManifest,
    on_failed: OnFailed,
    each: Callable[[MapOutput], object],
    counts: dict[str, int],
) -> Iterator[str]:
    yield _BEGIN
    for key in manifest.succeeded:
        for element in _elements(bucket, key):
            text, result = _result(bucket.url(key), element)
            each(result)
            yield f", {text}" if counts["results"] else text
            counts["results"] += 1
    yield _END
    if on_failed == "include":
        yield ', "failed": ['
        for keys in manifest.others.values():
            for key in keys:
                for element in _elements(bucket, key):
                    text = _safe(element.text, element.value)
                    yield f", {text}" if counts["failed"] else text
                    counts["failed"] += 1
        yield "]"
    yield "}"


def _encoded(document: Iterator[str]) -> Iterator[bytes]:
    waiting: list[str] = []
    size = 0
    for text in document:
        waiting.append(text)
        size += len(text)
        if size >= _BUFFER:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    yield "".join(waiting).encode()


def _elements(bucket: ResultsBucket, key: str) -> Iterator[Element]:
    head = bucket.head(key)
    if head is None:
        raise ResultsRefused(f"the manifest lists {bucket.url(key)}, which is not there")
    if not head.size:
        raise ResultsRefused(f"{bucket.url(key)} is empty: not even an empty JSON array stands in it")
    return elements(bucket.url(key), bucket.pieces(head))


def _result(file: str, element: Element) -> tuple[str, MapOutput]:
    """An output's text, fit for UTF-8, and the result."""
    said = element.value
    if not isinstance(said, dict) or not _is_execution(said):
        return _safe(element.text, said), MapOutput(said, None, None)
    name = f"{_name(said) or f'element {element.position + 1:,}'} of {file}"
    if said.get("Status", "SUCCEEDED") != "SUCCEEDED":
        raise ResultsRefused(f"the execution {name} did not succeed: its Status is {said['Status']!r}")
    output = said.get("Output")
    if not isinstance(output, str):
        raise ResultsRefused(f"the execution {name} has no Output that is text")
    try:
        value = decode(output)
    except ValueError as error:
        raise ResultsRefused(f"the Output of the execution {name} is not JSON: {error}") from error
    result = MapOutput(value, parse_time(said.get("StartDate")), parse_time(said.get("StopDate")))
    return _safe(output.strip(), value), result


def _is_execution(said: dict[str, object]) -> bool:
    """Whether this is what the service says of an execution, and not an output by itself."""
    return ("ExecutionArn" in said and "Status" in said) or (
        "Output" in said and said.keys() <= _OF_AN_EXECUTION
    )


def _name(said: dict[str, object]) -> str | None:
    name = said.get("Name") or said.get("ExecutionArn")
    return name if isinstance(name, str) else None


def _safe(text: str, value: object) -> str:
    try:
        text.encode()
        return text
    except UnicodeEncodeError:  # JSON may hold halves of characters, which UTF-8 cannot: written as \ud800
        return json.dumps(value)


def parse_time(said: object) -> datetime | None:
    """A time as Step Functions or an output writes it: ISO 8601 with its zone, or seconds or
    milliseconds since 1970. None where it is none."""
    try:
        if isinstance(said, str):
            time = datetime.fromisoformat(said)
            return time.astimezone(UTC) if time.tzinfo else None
        if isinstance(said, int | float) and not isinstance(said, bool):
            return datetime.fromtimestamp(said / 1000 if said > 1e11 else said, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _refuse_unless_clean(bucket: ResultsBucket, run: MapRun, manifest: ResultsManifest) -> None:
    found = [
        (status, element)
        for status, keys in manifest.others.items()
        for key in keys
        for element in islice(_elements(bucket, key), _QUOTED)
    ]
    if not found:
        return
    quoted = "; ".join(_quoted(status, element) for status, element in found[:_QUOTED])
    raise ResultsRefused(
        f"not all executions of the map run succeeded: {run.url} lists "
        f"{' and '.join(f'{len(keys)} {status} files' for status, keys in manifest.others.items())}. "
        f"The first: {quoted}. Nothing was written; redrive the map run, or set `on_failed: include`"
    )


def _quoted(status: str, element: Element) -> str:
    said = element.value if isinstance(element.value, dict) else {}
    name = _name(said) or "an execution that was not started"
    why = ": ".join(str(said[part])[:200] for part in ("Error", "Cause") if said.get(part))
    return f"{name} ({said.get('Status', status)}{': ' + why if why else ''})"
