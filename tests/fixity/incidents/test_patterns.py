"""Rows that are alike have one diagnosis, and it is the one that each has by itself."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from fixity.incidents import findings
from fixity.incidents.patterns import alike
from fixity.lake.paths import checksums_file, inventory_file
from fixity.reports.columns import SUSPECTS
from fixity.tables import CHECKSUMS, INVENTORY, Provenance
from tests.fixity.incidents.archive import PAIR, Archive
from tests.fixity.support import keep_table

DAY = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = 60


def _md5(key: str, body: str) -> str:
    return hashlib.md5(f"{key}{body}".encode()).hexdigest()


def _object(random: Random, key: str, version: str | None) -> dict[str, Any]:
    """What is written under a key: with an ETag that is an MD5, or not."""
    return {
        "key": key,
        "version_id": version and f"{version}-of-{key}",
        "size": len(key) + int(key),
        "etag": random.choice([_md5(key, "x"), _md5(key, "y").upper(), f"none-{key}"]),
        "last_modified": DAY
        + timedelta(days=random.choice([0, 0, 1]), minutes=random.randrange(3), microseconds=int(key)),
        "storage_class": "STANDARD",
        "is_latest": True,
    }


def _check(random: Random, of: dict[str, Any], number: int) -> dict[str, Any]:
    """A check of it, which found one of two contents."""
    key, body = of["key"], random.choice("xxxy")
    by = random.choice(["first_seen", "first_seen", "manifest", "s3-checksum", None])
    expected = random.choice("xy") if by else None
    return of | {
        "algorithm": "SHA256",
        "checksum_type": "FULL_OBJECT",
        "checksum": hashlib.sha256(f"{key}{body}".encode()).hexdigest(),
        "status": "succeeded",
        "bytes_read": of["size"],
        "evidence": "streamed",
        "checked_at": DAY + timedelta(days=2 + number, seconds=random.randrange(3), microseconds=int(key)),
        "run_id": f"run-{number}",
        "expected": expected and hashlib.sha256(f"{key}{expected}".encode()).hexdigest(),
        "expected_algorithm": "SHA256" if by else None,
        "expected_from": by,
        "verdict": ("matched" if expected == body else "differs") if by else "registered",
        "reads": random.choice([1, 1, 2]),
        "other_checksums": [("MD5", _md5(key, body))] if random.random() < 0.5 else None,
    }


def _vary(checks: list[dict[str, Any]], how: int) -> None:
    first, second, last = checks
    if how == 1:
        first["reads"] = 3 - first["reads"]
    elif how == 2:
        first["checked_at"], second["checked_at"] = second["checked_at"], first["checked_at"]
    elif how == 3:
        first["checksum"] = second["checksum"] = last["checksum"]


def _suspects(archive: Archive, seed: int) -> pa.Table:
    """Keep checks of many objects on both sides; returns rows that are to be diagnosed."""
    keys = [str(100 + each) for each in range(KEYS)]
    rows: list[dict[str, Any]] = [dict.fromkeys(SUSPECTS.names) | {"key": key} for key in keys]
    for side, bucket in (("source", "a"), ("replica", "b"), ("", "c")):
        checks: dict[int, list[dict[str, Any]]] = {0: [], 1: [], 2: []}
        listed = []
        for place, row in enumerate(rows):
            # Of five rows each, two are alike, and each of the others differs from these in one thing.
            random = Random(f"{seed} {side} {place % 12}")
            versioned = random.random() < 0.2
            objects = [_object(random, keys[place], f"v{each}" if versioned else None) for each in (0, 1)]
            own = random.choice(objects)
            made = [_check(random, random.choice(objects), number) for number in (0, 1)]
            made.append(_check(random, own, 2))
            if side:
                _vary(made, place // 12)
            for number, check in enumerate(made):
                if number == 2 or random.random() < 0.6:
                    checks[number].append(check)
            listed.append(own | {"checksum_algorithm": None})
            if side:
                row["status"] = "mismatch"
                row |= {f"{side}_{name}": made[-1].get(name) for name in CHECKSUMS.names if name != "key"}
        for number, of_run in checks.items():
            schema = Provenance(bucket, f"run-{number}", "i", DAY, partial=True).attach(CHECKSUMS)
            keep_table(
                archive.lake, checksums_file(bucket, f"run-{number}"), pa.Table.from_pylist(of_run, schema)
            )
        inventory = pa.Table.from_pylist(listed, Provenance(bucket, "i", "i", DAY).attach(INVENTORY))
        keep_table(archive.lake, inventory_file(bucket, "i"), inventory)
    return pa.Table.from_pylist(rows, SUSPECTS)


@pytest.mark.parametrize("seed", range(2))
def test_rows_that_are_alike_have_the_diagnosis_that_each_has_by_itself(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.of(
            Path(folder),
            {name: {"path": f"./{name}"} for name in "abc"},
            {PAIR: {"replica": "b"}, "other": {"source": "a", "replica": "c"}},
        )
        suspects = _suspects(archive, seed)
        pair = archive.catalog.pairs[PAIR]
        found = findings.findings(archive.lake, archive.catalog, pair, suspects, archive.folder)
        asked: list[int] = []

        def by_itself(*known: Any) -> tuple[list[int], list[Any]]:
            first_alike, times = alike(*known)
            asked.extend(first_alike)
            return list(range(KEYS)), times

        monkeypatch.setattr(findings, "alike", by_itself)
        alone = findings.findings(archive.lake, archive.catalog, pair, suspects, archive.folder)
    assert found.to_pylist() == alone.to_pylist()
    assert 12 < len(set(asked)) < len(asked) == KEYS
    assert len(set(found["diagnosis"].to_pylist())) > 2


CHECKS = pa.schema(
    [
        ("key", pa.string()),
        ("checksum", pa.string()),
        ("etag", pa.string()),
        ("checked_at", pa.timestamp("us", "UTC")),
        ("status", pa.string()),
        ("storage_class", pa.string()),
        ("other_checksums", pa.map_(pa.string(), pa.string())),
    ]
)
Check = tuple[Any, ...]


def _are_alike(*of_keys: Sequence[Check]) -> list[bool]:
    """Whether what is known of each key is like what is known of the first. Its checks have these columns."""
    checks = [
        dict(zip(CHECKS.names, (str(key), *check), strict=False))
        for key, of_key in enumerate(of_keys)
        for check in of_key
    ]
    rows = pa.table({"key": [str(key) for key in range(len(of_keys))]})
    first_alike, _ = alike(rows, [pa.Table.from_pylist(checks, CHECKS), CHECKS.empty_table()])
    return [first == 0 for first in first_alike]


def test_rows_are_alike_by_what_is_the_same_by_the_order_of_times_and_by_days() -> None:
    one, later, next_day = DAY, DAY + timedelta(hours=1), DAY + timedelta(days=1)
    last = DAY + timedelta(hours=23, minutes=59)
    alike = [
        (("x", "x", one, "ok"), ("y", None, later, "ok")),
        (("v", "v", later, "ok"), ("w", None, last, "ok")),
        (("x", "x", one, "ok", "STANDARD"), ("y", None, later, "ok", "GLACIER")),
    ]
    others: list[Sequence[Check]] = [
        (("x", "y", one, "ok"), ("y", None, later, "ok")),  # its ETag is another one
        (("x", "X", one, "ok"), ("y", None, later, "ok")),  # is written in another way
        (("x", "x", one, "ok"), ("x", None, later, "ok")),  # the same bytes twice
        (("x", "x", later, "ok"), ("y", None, one, "ok")),  # in another order
        (("x", "x", one, "ok"), ("y", None, one, "ok")),  # at the same time
        (("x", "x", one, "ok"), ("y", None, next_day, "ok")),  # on another day
        (("x", "x", one, "ok"), ("y", None, later, "failed")),
        (("x", "x", one, "ok"), ("y", None, None, "ok")),
        (("x", "x", one, "ok"), ("", None, later, "ok")),
        (("x", "x", one, "ok", None, [("MD5", "x")]), ("y", None, later, "ok")),
        (("x", "x", one, "ok", None, [("MD5", "z")]), ("y", None, later, "ok")),
        (("x", "x", one, "ok"), ("y", None, later, "ok", None, [("MD5", "z")])),
        (("x", "x", one, "ok", None, [("SHA1", "z")]), ("y", None, later, "ok")),
        (("x", "x", one, "ok"),),
        (),
    ]
    assert _are_alike(*alike) == [True] * len(alike)
    for number, other in enumerate(others):
        assert _are_alike(alike[0], other, *others[:number]) == [True, *[False] * (number + 1)]
