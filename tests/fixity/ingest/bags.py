"""Bags and OCFL objects for tests, and a bucket that is looked at several times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq

from fixity.ingest.records import Gathering, Objects, take_baselines
from fixity.ingest.report import IngestReport
from fixity.ingest.verdict import verdict
from fixity.lake import LocalLake
from tests.fixity.ingest.test_ingest_report import Troubled, csv_rows, report
from tests.fixity.support import NOON, MemoryStore, take_inventory

MD5, SHA256, SHA512 = (hashlib.new(name, b"abc").hexdigest() for name in ("md5", "sha256", "sha512"))
V1 = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
OLD = b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n"
SOUND = {"bagit.txt": V1, "manifest-sha256.txt": f"{SHA256}  data/a\n".encode(), "data/a": b"abc"}


class Look:
    """A bucket in a lake that is ingested several times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = LocalLake(folder)
        self.runs = 0

    def __call__(self, files: Mapping[str, bytes], given: str = "") -> dict[str, dict[str, str]]:
        """The rows of the ingest report of these files, by key."""
        store = Troubled()
        for key, body in sorted(files.items()):
            store.put(key, body)
        self.runs += 1
        self.made: IngestReport = report(store, self.lake, given, f"r{self.runs}")
        return {row["key"]: row for row in csv_rows(self.lake, self.made)}

    def red(self) -> dict[str, str]:
        """The checks that did not pass, and how severe each is."""
        return {check.name: check.severity for check in verdict(self.made.counts) if not check.passed}


def bag(files: Mapping[str, bytes], number: int = 1) -> dict[str, bytes]:
    return {f"bags/{number}/{name}": body for name, body in files.items()}


def line(name: str) -> bytes:
    return f"{SHA256}  {name}\n".encode()


def ocfl(*versions: Mapping[str, str]) -> dict[str, bytes]:
    """An OCFL object: for each version, what its inventory says of each path."""
    files = {"o/0=ocfl_object_1.1": b"ocfl_object_1.1\n"}
    for number, manifest in enumerate(versions, 1):
        by_digest: dict[str, list[str]] = {}
        for path, digest in manifest.items():
            by_digest.setdefault(digest, []).append(path)
        inventory = json.dumps({"digestAlgorithm": "sha512", "manifest": by_digest}).encode()
        for folder in (f"o/v{number}/", "o/"):
            files[f"{folder}inventory.json"] = inventory
            sidecar = f"{hashlib.sha512(inventory).hexdigest()} inventory.json\n"
            files[f"{folder}inventory.json.sha512"] = sidecar.encode()
    return files


TWO_VERSIONS = {
    **ocfl({"v1/content/a": SHA512}, {"v1/content/a": SHA512, "v2/content/b": SHA512}),
    "o/v1/content/a": b"abc",
    "o/v2/content/b": b"abc",
}


def few(look: Look, files: Mapping[str, bytes], *keys: str) -> list[dict[str, Any]]:
    """The records of a run over a few objects."""
    store, selected = MemoryStore(), MemoryStore()
    for key, body in sorted(files.items()):
        store.put(key, body)
    selected.objects = {at: item for at, item in store.objects.items() if at[0] in keys}
    inventory = take_inventory(selected, look.lake, "other", str(uuid4()), now=lambda: NOON)
    with look.lake.workspace() as workspace:
        listed_here = look.lake.fetch(inventory.file, workspace)
        gathering = Gathering("b", store, None, 1, "SHA256")
        taken = take_baselines(gathering, Objects(listed_here, False), look.lake, "scratch/few/", workspace)
        rows: list[dict[str, Any]] = pq.read_table(taken.file).to_pylist()
        return rows
