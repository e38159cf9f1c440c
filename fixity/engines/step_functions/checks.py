"""Extracts a map's checks from its outputs, with the catalog's mapping.

A map reports what it read, but not the object's listing. So its results are compared with an inventory that
is newer than the map run. A result is accepted only if the listed object is the one that the map read: the
same version, or last written before the read began. That comparison does not belong here; it is in
`keep_checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Algorithm, Bucket, LedgerMapping
from fixity.catalog.json_path import NOTHING, JsonPath, parse_json_path, value_at
from fixity.digests.algorithms import algorithm_named, as_hex
from fixity.engines.step_functions.gather import MapOutput, parse_time
from fixity.tables import FAILED, SKIPPED, SUCCEEDED

_UTC = pa.timestamp("us", tz="UTC")
MAP_CHECKS = pa.schema(
    [
        *((name, pa.string()) for name in ("bucket", "key", "version_id", "algorithm", "checksum")),
        *((name, pa.string()) for name in ("status", "error_code", "error_message")),
        ("began", _UTC),
        ("ended", _UTC),
        ("position", pa.int64()),
    ]
)
"""A map run's results for objects. `bucket` is the catalog's name; unknown times are NULL."""

_ROWS = 5_000  # held in memory


@dataclass(frozen=True)
class MapChecks:
    """The results of a map run for our buckets: a file of the schema MAP_CHECKS, the buckets in it, and
    counts of the results that were left out, by reason.
    """

    file: Path
    buckets: list[str]
    left_out: Counter[str]


class MapChecksWriter:
    """Takes the results of a map run one by one, and keeps those for the catalog's buckets.

    Arguments: `buckets` that the map may have read, all of one store; `file`, a new local Parquet file.
    """

    def __init__(self, mapping: LedgerMapping, buckets: Sequence[Bucket], file: Path) -> None:
        self._mapping = mapping
        self._buckets = buckets
        self._key = parse_json_path(mapping.key)
        self._checksum = parse_json_path(mapping.checksum)
        self._bucket = _text_or_path(mapping.bucket)
        self._algorithm = _text_or_path(mapping.algorithm)
        self._version, self._status, self._checked_at = (
            parse_json_path(path) if path else None
            for path in (mapping.version, mapping.status, mapping.checked_at)
        )
        self._statuses = {word.lower(): status for word, status in mapping.statuses.items()}
        self._file = file
        self._writer = pq.ParquetWriter(file, MAP_CHECKS, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._position = 0
        self._seen: dict[str, None] = {}
        self._left_out: Counter[str] = Counter()

    def take(self, result: MapOutput) -> None:
        """Take a result. An array as output is a batch of results, unless the mapping's paths begin with a
        position in an array."""
        batched = isinstance(result.output, list) and isinstance(self._key[0], str)
        for output in cast("list[object]", result.output) if batched else [result.output]:
            self._rows += self._rows_of(output, result)
            self._position += 1
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> MapChecks:
        """Finish the file, and return the results."""
        self._flush()
        self._writer.close()
        return MapChecks(self._file, list(self._seen), self._left_out)

    def abandon(self) -> None:
        """Close the unfinished file, which must not be used."""
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, MAP_CHECKS))
        self._rows = []

    def _rows_of(self, output: object, result: MapOutput) -> Iterator[dict[str, Any]]:
        name, key = _text(output, self._bucket), _text(output, self._key)
        if name is None or key is None:
            self._left_out["not_a_check"] += 1
            return
        matching = [
            bucket for bucket in self._buckets if bucket.real_name == name and key.startswith(bucket.prefix)
        ]
        if not matching:
            self._left_out["unknown_bucket"] += 1
        began = self._began(output, result)
        for bucket in matching:
            algorithm = self._algorithm_of(output, bucket)
            if algorithm != bucket.algorithm:
                self._left_out["other_algorithm"] += 1
                continue
            self._seen[bucket.name] = None
            yield {
                "bucket": bucket.name,
                "key": key.removeprefix(bucket.prefix),
                "version_id": _text(output, self._version),
                "algorithm": algorithm,
                **self._outcome(output, bucket.algorithm),
                "began": began,
                "ended": result.ended or began,
                "position": self._position,
            }

    def _began(self, output: object, result: MapOutput) -> datetime | None:
        """The earliest time when reading may have begun: the map's clock may be ahead of the service's."""
        if self._checked_at is None:
            return result.began
        time = parse_time(value_at(output, self._checked_at))
        return min(time, result.began) if time and result.began else time

    def _algorithm_of(self, output: object, bucket: Bucket) -> str | None:
        if self._algorithm is None:
            return bucket.algorithm
        return algorithm_named(_text(output, self._algorithm) or "")

    def _outcome(self, output: object, algorithm: Algorithm) -> dict[str, str | None]:
        status = SUCCEEDED
        if self._status:
            word = _text(output, self._status)
            status = self._statuses.get((word or "").lower(), "")
            if not status:
                return _not_checked(
                    FAILED, "UnknownStatus", f"the map's status {word!r} is not in `statuses` of the catalog"
                )
            if status != SUCCEEDED:
                code = "FailedInMap" if status == FAILED else "SkippedInMap"
                return _not_checked(status, code, f"the map's status is {word!r}")
        text = _text(output, self._checksum)
        if text is None:
            return _not_checked(FAILED, "NoChecksum", "the map's output has no checksum")
        checksum = as_hex(text, algorithm)
        if checksum is None:
            return _not_checked(
                FAILED, "InvalidChecksum", f"the map's output {text[:140]!r} is not a {algorithm} checksum"
            )
        return {"checksum": checksum, "status": SUCCEEDED, "error_code": None, "error_message": None}


def _not_checked(status: str, code: str, message: str) -> dict[str, str | None]:
    assert status in (FAILED, SKIPPED)
    return {"checksum": None, "status": status, "error_code": code, "error_message": message}


def _text_or_path(setting: str | None) -> str | JsonPath | None:
    return parse_json_path(setting) if setting and setting.startswith("$") else setting


def _text(output: object, where: str | JsonPath | None) -> str | None:
    """The text at a path, or the text given instead of a path; None if missing or empty."""
    found = where if isinstance(where, str) else value_at(output, where) if where else NOTHING
    if not isinstance(found, str) or not found:
        return None
    try:
        found.encode()
    except UnicodeEncodeError:  # half characters, which no key has
        return None
    return found
