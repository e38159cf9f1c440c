"""Checks that a map made, as rows of the ledger: taken from its outputs as the catalog's mapping says.

A map tells what it read, not what the listing said of it. So its results are held against an inventory
that is younger than the map run, and a result counts for an object only where the object as it is
listed is the one that was read: the same version, or written before the reading began and not since.
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
TOLD = pa.schema(
    [
        *((name, pa.string()) for name in ("bucket", "key", "version_id", "algorithm", "checksum")),
        *((name, pa.string()) for name in ("status", "error_code", "error_message")),
        ("began", _UTC),
        ("ended", _UTC),
        ("position", pa.int64()),
    ]
)
"""What a map run tells of objects; `bucket` is the catalog's name, times are NULL where it does not say."""

_ROWS = 5_000  # held in memory


@dataclass(frozen=True)
class Told:
    """What the outputs told: the file of it (of the schema TOLD), the buckets in it, what was left out."""

    file: Path
    buckets: list[str]
    left_out: Counter[str]


class ToldChecks:
    """Takes the results of a map run one by one, and keeps what they tell of the catalog's buckets.

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
        self._writer = pq.ParquetWriter(file, TOLD, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._position = 0
        self._seen: dict[str, None] = {}
        self._left_out: Counter[str] = Counter()

    def take(self, result: MapOutput) -> None:
        """Take what a result tells. An output that is an array is a batch of results, unless the
        mapping's paths begin with a position."""
        batched = isinstance(result.output, list) and isinstance(self._key[0], str)
        for output in cast("list[object]", result.output) if batched else [result.output]:
            self._rows += self._rows_of(output, result)
            self._position += 1
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> Told:
        """Everything that was told."""
        self._flush()
        self._writer.close()
        return Told(self._file, list(self._seen), self._left_out)

    def abandon(self) -> None:
        """Close the unfinished file, which nobody is to read."""
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, TOLD))
        self._rows = []

    def _rows_of(self, output: object, result: MapOutput) -> Iterator[dict[str, Any]]:
        named, key = _text(output, self._bucket), _text(output, self._key)
        if named is None or key is None:
            self._left_out["not_a_check"] += 1
            return
        holders = [
            bucket for bucket in self._buckets if bucket.real_name == named and key.startswith(bucket.prefix)
        ]
        if not holders:
            self._left_out["unknown_bucket"] += 1
        began = self._began(output, result)
        for bucket in holders:
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
        """When reading began, at the earliest: a clock in the map may be ahead of the service's own."""
        if self._checked_at is None:
            return result.began
        said = parse_time(value_at(output, self._checked_at))
        return min(said, result.began) if said and result.began else said

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
                    FAILED, "UnknownStatus", f"the map says {word!r} of it, not a known status"
                )
            if status != SUCCEEDED:
                code = "FailedInMap" if status == FAILED else "SkippedInMap"
                return _not_checked(status, code, f"the map says {word!r} of it")
        said = _text(output, self._checksum)
        if said is None:
            return _not_checked(FAILED, "NoChecksum", "the map gives no checksum of it")
        checksum = as_hex(said, algorithm)
        if checksum is None:
            return _not_checked(
                FAILED, "InvalidChecksum", f"the map gives {said[:140]!r}, which is no {algorithm} checksum"
            )
        return {"checksum": checksum, "status": SUCCEEDED, "error_code": None, "error_message": None}


def _not_checked(status: str, code: str, message: str) -> dict[str, str | None]:
    assert status in (FAILED, SKIPPED)
    return {"checksum": None, "status": status, "error_code": code, "error_message": message}


def _text_or_path(said: str | None) -> str | JsonPath | None:
    return parse_json_path(said) if said and said.startswith("$") else said


def _text(output: object, where: str | JsonPath | None) -> str | None:
    """The text at a path, or the text given instead; None where there is none or an empty one."""
    found = where if isinstance(where, str) else value_at(output, where) if where else NOTHING
    if not isinstance(found, str) or not found:
        return None
    try:
        found.encode()
    except UnicodeEncodeError:  # halves of characters, which no key has
        return None
    return found
