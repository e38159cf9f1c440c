"""Writes all results of a map run into one object, in the form that the National Archives' checks use.

`{"results": [every output], "statuses": {…}, "redactedResults": {…}}`, in the order of the manifest. Outputs
are copied as the map wrote them, so a second run writes the same bytes to the same key. Checks for the ledger
do not belong here.
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
"""What to do if executions failed or never started."""

_BEGIN = '{"results": ['
_END = '], "statuses": {"statuses": []}, "redactedResults": {"redactedFiles": [], "errors": []}'
_BUFFER = 1024 * 1024
_QUOTED = 3  # how many errors a refusal quotes

# The members of Step Functions' description of an execution, written unless it writes only the outputs.
_OF_AN_EXECUTION = {
    *("ExecutionArn", "Input", "InputDetails", "Name", "Output", "OutputDetails"),
    *("RedriveCount", "RedriveDate", "RedriveStatus", "RedriveStatusReason"),
    *("StartDate", "StateMachineArn", "StateMachineAliasArn", "StateMachineVersionArn", "Status", "StopDate"),
}


class MapOutput(NamedTuple):
    """A decoded output, and when its execution began and ended (UTC; None if unknown)."""

    output: object
    began: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Gathered:
    """What was gathered: `results` and `failed` count elements; `manifest`, the version that was read."""

    bucket: str
    key: str
    results: int
    failed: int
    files: int
    manifest: StoredObject

    @property
    def message(self) -> dict[str, str]:
        """The message for the next step of the state machine."""
        return {"key": self.key, "bucket": self.bucket}


def gather(
    bucket: ResultsBucket,
    run: MapRun,
    results_key: str,
    on_failed: OnFailed = "refuse",
    each: Callable[[MapOutput], object] = lambda result: None,
) -> Gathered:
    """Read all result files of a map run and write its results object, whole or not at all.

    Arguments: `results_key`, the object's key; `each` is called with every result, even of a run that is
    refused later.
    Raises ResultsRefused if the results are incomplete or malformed (nothing was written);
    BucketUnreachable.
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
        raise ResultsRefused(f"the manifest lists {bucket.url(key)}, but there is no such object")
    if not head.size:
        raise ResultsRefused(f"{bucket.url(key)} is empty: it must have a JSON array or JSON Lines")
    return elements(bucket.url(key), bucket.pieces(head))


def _result(file: str, element: Element) -> tuple[str, MapOutput]:
    """An output's text, encodable in UTF-8, and the result."""
    content = element.value
    if not isinstance(content, dict) or not _is_execution(content):
        return _safe(element.text, content), MapOutput(content, None, None)
    name = f"{_name(content) or f'element {element.position + 1:,}'} of {file}"
    if content.get("Status", "SUCCEEDED") != "SUCCEEDED":
        raise ResultsRefused(f"the execution {name} did not succeed: its Status is {content['Status']!r}")
    output = content.get("Output")
    if not isinstance(output, str):
        raise ResultsRefused(f"the execution {name} has no Output that is text")
    try:
        value = decode(output)
    except ValueError as error:
        raise ResultsRefused(f"the Output of the execution {name} is not JSON: {error}") from error
    result = MapOutput(value, parse_time(content.get("StartDate")), parse_time(content.get("StopDate")))
    return _safe(output.strip(), value), result


def _is_execution(content: dict[str, object]) -> bool:
    """Whether this is the service's description of an execution, not an output alone.

    The service may add members. Then an `Output` that is the text of a JSON object or array shows it.
    """
    if "ExecutionArn" in content and "Status" in content:
        return True
    return "Output" in content and (content.keys() <= _OF_AN_EXECUTION or _is_encoded(content["Output"]))


def _is_encoded(output: object) -> bool:
    try:
        return isinstance(output, str) and isinstance(decode(output), dict | list)
    except ValueError:
        return False


def _name(execution: dict[str, object]) -> str | None:
    name = execution.get("Name") or execution.get("ExecutionArn")
    return name if isinstance(name, str) else None


def _safe(text: str, value: object) -> str:
    try:
        text.encode()
        return text
    except UnicodeEncodeError:  # JSON can have half characters (\ud800), which UTF-8 cannot encode
        return json.dumps(value)


def parse_time(value: object) -> datetime | None:
    """A time as Step Functions or an output writes it: ISO 8601 with a time zone, or seconds or milliseconds
    since 1970. None for any other value."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time.astimezone(UTC) if time.tzinfo else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
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
    execution = element.value if isinstance(element.value, dict) else {}
    name = _name(execution) or "an execution that was not started"
    why = ": ".join(str(execution[part])[:200] for part in ("Error", "Cause") if execution.get(part))
    return f"{name} ({execution.get('Status', status)}{': ' + why if why else ''})"
