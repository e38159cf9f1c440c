"""A pair of two places for a test of repairs: directories or buckets of the real server, checked, and then
damaged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import yaml

from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.buckets import BucketReader, open_bucket
from fixity.catalog import Bucket, Catalog, load_catalog
from fixity.clock import utc_now
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Reading, hash_shard
from fixity.engines.stream.shards import make_plan as make_plan_of_shards
from fixity.incidents.events import CONFIRMED, DIAGNOSED, OPENED, Event, append
from fixity.incidents.opening import record_damage
from fixity.incidents.state import Incident, incidents_now
from fixity.lake import Lake, LocalLake
from fixity.lake.paths import checksums_file
from fixity.ledger.damage import known_damage
from fixity.ledger.expected import expected_by_ledger
from fixity.ledger.fold import settings_of
from fixity.repair import Order, Planned, Repair, RepairRun, make_plan, repair
from fixity.repair.sides import Account, open_side
from tests.conftest import MakeBucket
from tests.fixity.support import sha256, take_inventory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

GOOD = b"the right bytes " * 40


@dataclass
class Places:
    """The pair `p` of the source `a` and the replica `b`, or of the replicas `b` and `c`.

    Kinds: `directory`, `s3` or `versions`; `elsewhere` is a bucket of the same server under another store's
    name, so that the store cannot copy it.
    """

    folder: Path
    s3: S3Client
    server: SeaweedFS
    make_bucket: MakeBucket
    kinds: dict[str, str]
    pair: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    account: Callable[[str], Account] | None = None
    endpoint_url: str | None = None

    def __post_init__(self) -> None:
        self.runs = count(1)
        self._loaded: tuple[str, Catalog] | None = None
        self.real: dict[str, str] = {}
        for name, kind in self.kinds.items():
            if kind == "directory":
                (self.folder / name).mkdir()
            else:
                self.real[name] = self.make_bucket(versioned=kind == "versions")

    @property
    def catalog(self) -> Catalog:
        store = {"endpoint_url": self.endpoint_url or self.server.endpoint_url, "region": "us-east-1"}
        buckets = {
            name: {"path": f"./{name}"}
            if kind == "directory"
            else {
                "store": "other" if kind == "elsewhere" else "real",
                "bucket": self.real[name],
                **self.settings,
            }
            for name, kind in self.kinds.items()
        }
        said = {
            "lake": "./lake",
            "stores": {"real": store, "other": store},
            "buckets": buckets,
            "pairs": {
                "p": {
                    "source": "a",
                    "replication_lag": "0s",
                    **({"replicas": ["b", "c"]} if "c" in self.kinds else {"replica": "b"}),
                    **self.pair,
                }
            },
        }
        text = yaml.safe_dump(said)
        if self._loaded is None or self._loaded[0] != text:
            file = self.folder / "fixity.yaml"
            file.write_text(text)
            self._loaded = text, load_catalog(file)
        return self._loaded[1]

    @property
    def lake(self) -> Lake:
        return LocalLake(self.folder / "lake")

    def put(self, bucket: str, key: str, body: bytes = GOOD, **more: Any) -> None:
        if self.kinds[bucket] == "directory":
            path = self.folder / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        else:
            self.s3.put_object(Bucket=self.real[bucket], Key=key, Body=body, **more)

    def both(self, *keys: str, body: bytes = GOOD) -> None:
        """Put objects into both buckets, and check both."""
        for key in keys:
            self.put("a", key, body)
            self.put("b", key, body)
        self.check()

    def get(self, bucket: str, key: str) -> bytes:
        if self.kinds[bucket] == "directory":
            return (self.folder / bucket / key).read_bytes()
        return self.s3.get_object(Bucket=self.real[bucket], Key=key)["Body"].read()

    def keys(self, bucket: str) -> set[str]:
        """All that is in a bucket, set aside or not."""
        if self.kinds[bucket] == "directory":
            root = self.folder / bucket
            return {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}
        listed = self.s3.list_objects_v2(Bucket=self.real[bucket])
        return {item["Key"] for item in listed.get("Contents", [])}

    def corrupt(self, bucket: str, key: str) -> bytes:
        """Change a byte of an object without anybody's noticing; returns its bytes now."""
        if self.kinds[bucket] == "directory":
            path = self.folder / bucket / key
            before, body = path.stat(), bytearray(path.read_bytes())
            body[len(body) // 2] ^= 0xFF
            path.write_bytes(body)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        else:
            name = self.real[bucket]
            version = self.s3.head_object(Bucket=name, Key=key).get("VersionId")
            corrupt_object(self.server, name, key, version_id=version)
        return self.get(bucket, key)

    def delete(self, bucket: str, key: str) -> None:
        if self.kinds[bucket] == "directory":
            (self.folder / bucket / key).unlink()
        else:
            self.s3.delete_object(Bucket=self.real[bucket], Key=key)

    def check(self, *buckets: str) -> None:
        """List and check buckets, by default both, and open incidents for what is damaged."""
        for bucket in buckets or ("a", "b"):
            run_id = f"check-{next(self.runs)}"
            entry = self.catalog.buckets[bucket]
            reader = open_bucket(self.catalog, entry)
            self._check(reader, entry, run_id)
            reader.close()
            with self.lake.workspace() as workspace:
                damaged = known_damage(self.lake, bucket, settings_of(entry), workspace)
            record_damage(self.lake, bucket, damaged, run_id, ["p"])

    def _check(self, reader: BucketReader, bucket: Bucket, run_id: str) -> None:
        """As the asset `checksums` does."""
        lake, scratch = self.lake, f"scratch/{run_id}/"
        taken = take_inventory(reader, lake, bucket.name, run_id, place=self.catalog.place_of(bucket))
        with lake.workspace() as workspace:
            inventory = lake.fetch(taken.file, workspace)
            expected = expected_by_ledger(lake, bucket, inventory, run_id, workspace)
            lake.put(f"{scratch}objects.parquet", expected, replace=True, keep=True)
            plan = make_plan_of_shards(f"{scratch}objects.parquet", expected, bucket.algorithm)
        for shard in plan.shards:
            hash_shard(Reading(reader, 3), lake, scratch, plan, shard, run_id)
        keep_checksums(lake, scratch, plan, bucket.name, run_id)

    def opened(
        self,
        key: str,
        bucket: str | None = "b",
        found: str | None = None,
        diagnosis: str | None = None,
        confirmed: bool = True,
        version: str | None = None,
    ) -> None:
        """Open an incident for an object, as a pair's report does. Arguments: `found`, its bad checksum."""
        run_id = f"report{next(self.runs)}"
        known = {"run_id": run_id, "pair": "p", "bucket": bucket, "key": key, "version_id": version}
        bad = found and f"SHA256:{found}"
        events = [Event(run_id, OPENED, utc_now(), found=bad, expected=f"SHA256:{sha256(GOOD)}", **known)]
        if confirmed:
            events.append(Event(run_id, CONFIRMED, utc_now(), **known))
        if diagnosis:
            events.append(Event(run_id, DIAGNOSED, utc_now(), diagnosis=diagnosis, **known))
        append(self.lake, events)

    @contextmanager
    def run(self) -> Iterator[RepairRun]:
        catalog = self.catalog
        with ExitStack() as opened:
            sides = {
                name: opened.enter_context(open_side(catalog, catalog.buckets[name], 2))
                for name in self.kinds
            }
            yield RepairRun(self.lake, f"repair-{next(self.runs)}", sides, account=self.account)

    def order(self, **more: Any) -> Order:
        return Order(self.catalog.pairs["p-to-b" if "c" in self.kinds else "p"], **more)

    def plan(self, **more: Any) -> list[Planned]:
        with self.run() as run:
            return make_plan(self.order(**more), run, incidents_now(self.lake))

    def repair(self, **more: Any) -> Repair:
        with self.run() as run:
            return repair(self.order(**more), run)

    @property
    def open_incidents(self) -> list[Incident]:
        return [each for each in incidents_now(self.lake) if not each.is_over]

    def ledger(self, bucket: str, run_id: str) -> list[dict[str, Any]]:
        with self.lake.workspace() as workspace:
            file = self.lake.fetch(checksums_file(bucket, run_id), workspace)
            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
            return rows
