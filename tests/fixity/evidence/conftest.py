"""A lake with a log in which much happened, its package for an auditor, and the tools that an auditor has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.tsa import TimeStampAuthority
from fixity.catalog import Catalog, load_catalog
from fixity.clock import utc_now
from fixity.drills.kept import Drill, DrillObject
from fixity.evidence.make import Package, make_package
from fixity.evidence.order import Order
from fixity.incidents.events import Event, append
from fixity.lake import Lake
from fixity.log.keys import make_key
from fixity.log.records import Kept, Run
from fixity.log.seals import Sealer
from fixity.log.stamps import certificates_of, stamp
from fixity.reports import stats
from fixity.reports.counts import Counts
from tests.fixity.rolling.support import BEGIN, BUCKET, Rolling

ODD = "a b&\"e',\r\n\x1b[31mé"
UNREAD = "un,\"\r\n#read'"
WITHDRAWN = "reports/2026-04-01/ingest/b_r1_ingest-report.csv"
TOOLS = (
    *("base64", "cat", "comm", "cut", "date", "dirname", "head", "mktemp", "realpath", "rm", "sha256sum"),
    *("sort", "tail", "wc", "sh", "openssl"),
)
_DUCKDB = """#!{python}
import sys
import duckdb
for row in duckdb.connect().execute(sys.stdin.read()).fetchall():
    print(*row)
"""


@dataclass
class Archive:
    """The bucket `b` with its lake, a catalog, and the public key of the log."""

    bucket: Rolling
    file: Path
    key: Path
    lake: Lake

    @property
    def catalog(self) -> Catalog:
        return load_catalog(self.file)

    def package(self, out: Path, since: str = "2026-01-01", until: str | None = None) -> Package:
        order = Order.of(self.catalog, since, until, (BUCKET,), self.bucket.time)
        return make_package(self.lake, self.catalog, order, out, now=self.bucket.now)

    def of_lake(self, lake: Lake) -> Archive:
        """The same with a copy of its lake."""
        return replace(self, lake=lake)


@dataclass
class Auditor:
    """Somebody with a shell, coreutils, openssl and DuckDB, and nothing else."""

    tools: Path

    def type(self, command: str, folder: Path) -> tuple[int, str]:
        done = subprocess.run(
            [str(self.tools / "sh"), "-c", command],
            cwd=folder,
            env={"PATH": str(self.tools)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    def follow(self, bag: Path, key: Path) -> list[tuple[int, str]]:
        """Type each command of the README."""
        readme = (bag / "data/README.txt").read_text()
        commands = re.findall(r"^ {4}(\S.*)$", readme, re.MULTILINE)
        return [self.type(each.replace("PUBLIC_KEY.pem", str(key)), bag) for each in commands]


@pytest.fixture(scope="session")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    tools = tmp_path_factory.mktemp("tools")
    for name in TOOLS:
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "duckdb").write_text(_DUCKDB.format(python=sys.executable))
    (tools / "duckdb").chmod(0o755)
    return Auditor(tools)


@pytest.fixture(scope="package")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """In April one object is damaged, one gone, one unreadable, one archived and one new.

    There are incidents, a drill, reports, and a log whose key was rotated.
    """
    folder = tmp_path_factory.mktemp("archive")
    bucket = Rolling(folder)
    file = folder / "fixity.yaml"
    (folder / BUCKET).mkdir()
    pair = {BUCKET: {"replica": "c"}}
    buckets = {BUCKET: {"path": BUCKET, "fixity_every": "90d"}, "c": {"path": "c"}, "b_2": {"path": "b_2"}}
    file.write_text(yaml.safe_dump({"lake": str(bucket.folder), "buckets": buckets, "pairs": pair}))
    key = make_key(folder / "key.pem")
    sealer = Sealer(bucket.lake, key, _trusts, bucket.now)
    sealer.begin()
    bucket.put("plain", ODD, "gone", UNREAD, "cold")
    bucket.store.unreadable = {UNREAD}
    item, body = bucket.store.objects["cold", None]
    bucket.store.objects["cold", None] = replace(item, storage_class="GLACIER"), body
    bucket.take_inventory()
    bucket.roll()
    sealed = sealer.seal().seal
    with TimeStampAuthority(tmp_path_factory.mktemp("tsa")) as tsa:
        authority = (tsa.endpoint_url, certificates_of(tsa.root))
        stamp(bucket.lake, sealed.number, sealed.text, authority, utc_now())
    bucket.store.damage("plain")
    bucket.time += timedelta(days=91)
    bucket.roll()
    del bucket.store.objects["gone", None]
    bucket.time += timedelta(days=1)
    bucket.put("new")
    bucket.take_inventory()
    _incidents(bucket)
    _drill(bucket)
    for day, run in (("2026-04-01", "r1"), ("2025-12-31", "r0")):
        name = f"metadata/{day}/checksums/stats/{run}/b_checksum-report.json"
        bucket.lake.put_text(name, json.dumps(stats(Counts(total_objects=3, matches=2, mismatches=1))))
    bucket.lake.put_text("reports/2026-04-01/ingest/b_2_r1_ingest-report.csv", "of another bucket\n")
    bucket.lake.put_text(WITHDRAWN, "its term is over soon\n")
    sealer.seal()
    new = make_key(folder / "new.pem")
    sealer.rotate(new.public)
    replace(sealer, key=new).withdraw([WITHDRAWN], "its term is over", "Ann")
    bucket.time += timedelta(days=5)
    return Archive(bucket, file, folder / "key.pem.pub", bucket.lake)


@pytest.fixture(scope="package")
def bag(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Package]:
    """The package of the whole archive."""
    out = tmp_path_factory.mktemp("package") / "evidence"
    return out, archive.package(out)


def _trusts(kept: Sequence[Kept]) -> Mapping[Kept, Run]:
    run = Run("run", "job", "Ann", BEGIN.isoformat(), BEGIN.isoformat(), "SUCCESS", "fixity 1", "")
    return dict.fromkeys(kept, run)


def _incidents(bucket: Rolling) -> None:
    at = bucket.time + timedelta(hours=1)
    place: dict[str, Any] = {"bucket": BUCKET, "run_id": "r"}
    append(
        bucket.lake,
        [
            Event("closed-one", "opened", at, key="plain", found="SHA256:aa", **place),
            Event("closed-one", "closed", at + timedelta(days=1), person="Ann", reason="restored, by hand"),
            Event("open-one", "opened", at, key="plain", **place),
            Event("open-one", "opened", at, key=ODD, **place),
            Event("open-one", "closed", at + timedelta(days=1), key="plain", **place),
            Event("elsewhere", "opened", at, bucket="b_2", key="plain"),
        ],
    )


def _drill(bucket: Rolling) -> None:
    begun = bucket.time
    found = DrillObject("k", "one_bit", "MD5:aa", begun, begun + timedelta(days=90), found_as="differs")
    late = DrillObject("l", "deleted", "MD5:aa", begun, begun + timedelta(hours=2))
    objects = [
        DrillObject(**vars(found) | {"found_at": begun + timedelta(hours=1)}),
        DrillObject(**vars(late) | {"found_at": begun + timedelta(hours=3), "found_as": "lost"}),
    ]
    for is_over in (False, True):
        Drill("drill-1", BUCKET, 1, "Ann", "r", objects if is_over else [found, late], is_over).keep(
            bucket.lake
        )
