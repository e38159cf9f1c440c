"""A lake written by an earlier version says the same today: reports, coverage, damage, checksums, events.

The lake and the answers of the version that wrote it are in `fixtures/lake_of_before`; its README says how
they were made. Every question goes through the command or a job, as far as there is one that reads no bucket.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from lxml import etree
from typer.testing import CliRunner

from fixity.buckets import Throttle
from fixity.catalog import Catalog, load_catalog
from fixity.ingest.counts import counts_of_bucket
from fixity.lake import open_lake
from fixity.ledger import ready
from fixity.ledger.damage import damaged_now
from fixity.ledger.fold import settings_of
from fixity.rolling import bucket_coverage
from fixity_assets.definitions import build_definitions
from fixity_cli.main import app
from jobs.names import PREMIS_JOB, REPORT_JOB
from tests.platform import read_report

LOST = {"deposits": ["deleted-later"]}
REPLICATED = {"letters-repl": 6, "deposits-repl": 4, "film-repl": 2, "mapped": 2}
"""How many rows of its pair's newest report are ok, by replica."""
"""Objects that vanished, by bucket. The version that wrote the lake did not tell them."""

FIXTURE = Path(__file__).parent / "fixtures" / "lake_of_before"
S3 = {"store": "real"}
LOCAL = {"exclude": ["*.tmp"]}
LONG = {"fixity_every": "36500d"}
BUCKETS: dict[str, dict[str, Any]] = {
    "letters": {"path": "/srv/fixity-fixture/letters", "fixity_every": "90d", "batch_items": 4, **LOCAL},
    "letters-repl": {"path": "/srv/fixity-fixture/letters-repl", **LOCAL},
    "deposits": {**S3, **LONG, "batch_items": 5},
    "deposits-repl": S3,
    "film": {**S3, **LONG, "versions": "all"},
    "film-repl": {**S3, "versions": "all"},
    "tapes": {**S3, **LONG, "algorithm": "MD5"},
    "batch": {**S3, "engine": "s3_batch"},
    "mapped": {**S3, "engine": "step_functions"},
}
PAIRS = {
    "letters": {"replica": "letters-repl", "replication_lag": "0s"},
    "deposits": {"replica": "deposits-repl", "replication_lag": "1d"},
    "film": {"replica": "film-repl", "replication_lag": "0s"},
    "batch": {"replica": "mapped", "replication_lag": "0s"},
}
CATALOG = {
    "lake": "./lake",
    # Nothing listens there: the places stand in the lake's tables, and reading the lake reads no bucket.
    "stores": {"real": {"endpoint_url": "http://127.0.0.1:39021", "region": "us-east-1"}},
    "s3_batch": {
        "account_id": "111122223333",
        "role_arn": "arn:aws:iam::111122223333:role/fixity-jobs",
        "report_bucket": "managed",
        "endpoint_url": "http://127.0.0.1:39023",
    },
    "map_results": {
        "bucket": "maps",
        "store": "real",
        "ledger": {"bucket": "$.bucket", "key": "$.file.key", "checksum": "$.checksum.sha256"},
    },
    "buckets": BUCKETS,
    "pairs": PAIRS,
}
PREMIS = {"p": "http://www.loc.gov/premis/v3"}
_NOT_AGAIN = re.compile("suspect, not looked at twice|not asked for again|not read again")
CHECKED_AT = "(checked_at AT TIME ZONE 'UTC')::VARCHAR || '+00' AS checked_at"
DAMAGE = ("key", "version_id", "algorithm", "expected", "actual", "good_at", "damaged_at")
EVENT = (
    "eventIdentifierValue",
    "eventType",
    "eventDateTime",
    "eventOutcome",
    "linkingObjectIdentifierValue",
    "linkingAgentIdentifierValue",
)


@cache
def expected() -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))
    return answers


def either(question: str, bucket: str) -> list[Any]:
    """The answers of the old version: with the snapshots it had, and folded anew where that differed."""
    anew = expected()["folded_anew"][question]
    return [expected()[question][bucket], *([anew[bucket]] if bucket in anew else [])]


@dataclass
class Before:
    """A copy of the lake, with its catalog."""

    folder: Path

    @property
    def catalog(self) -> Catalog:
        return load_catalog(self.folder / "fixity.yaml")

    def ask(self, *words: str) -> tuple[int, bytes]:
        """Run the command: its status and what it prints."""
        done = CliRunner().invoke(app, [*words, "--catalog", str(self.folder / "fixity.yaml")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout_bytes

    def rows(self, statement: str) -> list[dict[str, str]]:
        """The rows that `fixity sql` answers."""
        status, text = self.ask("sql", statement)
        assert status == 0
        return list(csv.DictReader(io.StringIO(text.decode())))


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report looks twice at what is wrong, and asks again where nothing listens."""
    monkeypatch.setattr(Throttle, "back_off", lambda *_: None)


@pytest.fixture(params=["with its snapshots", "with its snapshots lost"])
def before(tmp_path: Path, request: pytest.FixtureRequest) -> Before:
    # The files get new times, as in any copy of a lake and any checkout of this repository.
    shutil.copytree(FIXTURE / "lake", tmp_path / "lake", copy_function=shutil.copyfile)
    if request.param == "with its snapshots lost":
        shutil.rmtree(tmp_path / "lake" / "standing")
    (tmp_path / "fixity.yaml").write_text(yaml.safe_dump(CATALOG))
    return Before(tmp_path)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_report_of_a_pair_has_the_same_rows_and_counts(
    before: Before, instance: dg.DagsterInstance, pair: str
) -> None:
    job = build_definitions(before.catalog).resolve_job_def(REPORT_JOB)
    result = job.execute_in_process(instance=instance, partition_key=pair)
    of_then = expected()["reports"][pair]
    lake, latest = before.folder / "lake", "0000-00-00-LATEST/checksums"
    rows = read_report(lake / "reports" / latest / f"{pair}_checksum-report.csv")
    columns = list(of_then["rows"][0])
    assert list(rows[0])[: len(columns)] == columns
    # Nobody can look at the buckets of then, so what is wrong stays so, and the report says why.
    for row in rows:
        row["detail"] = _NOT_AGAIN.split(row["detail"])[0].removesuffix("; ")
    assert [{name: row[name] for name in columns} for row in rows] == of_then["rows"]
    stats = json.loads((lake / "metadata" / latest / f"stats/{pair}_checksum-report.json").read_text())
    assert {name: stats[name] for name in of_then["counts"]} == of_then["counts"]
    red = [
        check.check_name
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    assert bool(red) == (of_then["status"] == 1)


def test_coverage_has_the_same_figures(before: Before) -> None:
    status, text = before.ask("coverage")
    figures: dict[str, dict[str, int]] = {}
    for line in text.decode().splitlines():
        name, _, value = line.strip().partition(":")
        if not line.startswith(" "):
            of_bucket = figures.setdefault(name.removeprefix("Coverage of "), {})
        elif value.strip().isdigit():
            of_bucket[name] = int(value)
    # Then only buckets with a term were counted.
    assert figures.keys() == before.catalog.buckets.keys()
    figures = {bucket: figures[bucket] for bucket in expected()["coverage"]}
    lost = {bucket: of_bucket.pop("Lost") for bucket, of_bucket in figures.items()}
    assert lost == {"letters": 0, "deposits": 1, "film": 0, "tapes": 0}
    assert (status, figures) == (expected()["status_of_coverage"], expected()["coverage"])


def test_coverage_at_a_time_when_a_part_is_within_its_term_has_the_same_figures(before: Before) -> None:
    lake = open_lake(before.catalog)
    for name, of_then in expected()["coverage_on_2025-08-01"].items():
        covered = bucket_coverage(
            lake, before.catalog.buckets[name], str(uuid.uuid4()), lambda: datetime(2025, 8, 1, tzinfo=UTC)
        )
        now = {
            key: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
            for key, value in asdict(covered).items()
        }
        # What there is to tell of the ledger is for people, and may be worded anew.
        now["ledger"], then = len(now["ledger"]), of_then | {"ledger": len(of_then["ledger"])}
        assert {key: now[key] for key in then} == then, name


def test_damage_is_the_same_and_events_that_were_not_exported_yet_are(
    before: Before, instance: dg.DagsterInstance
) -> None:
    job = build_definitions(before.catalog).resolve_job_def(PREMIS_JOB)
    lake = open_lake(before.catalog)
    for bucket in BUCKETS:
        settings = settings_of(before.catalog.buckets[bucket])
        damaged = damaged_now(lake, ready(lake, bucket, settings, "asked"))
        assert [{name: str(getattr(each, name) or "") for name in DAMAGE} for each in damaged] in either(
            "damaged", bucket
        )
        result = job.execute_in_process(instance=instance, partition_key=bucket)
        (event,) = result.get_asset_materialization_events()
        said = event.step_materialization_data.materialization.metadata
        exported = {"events": said["dagster/row_count"].value, "ledger_files": said["ledger_files"].value}
        of_then = expected()["exported"][bucket]
        more = len(LOST.get(bucket, ())) + REPLICATED.get(bucket, 0)
        assert exported == of_then | {"events": of_then["events"] + more}, bucket


def test_the_newest_checksums_are_the_same(before: Before) -> None:
    columns = ", ".join(name for name in expected()["checksums"][0] if name != "checked_at")
    rows = before.rows(
        f"SELECT {columns}, {CHECKED_AT} FROM checksums ORDER BY bucket, key, version_id, algorithm"
    )
    assert rows == [{name: row[name] for name in rows[0]} for row in expected()["checksums"]]


def test_no_check_is_missing_in_the_history(before: Before) -> None:
    columns = ", ".join(name for name in expected()["history"][0] if name != "checked_at")
    rows = before.rows(f"SELECT {columns}, {CHECKED_AT} FROM checks")
    # There may be more: today's history may show what stood in the tables of ingest alone.
    assert [row for row in expected()["history"] if row not in rows] == []


@pytest.mark.parametrize("bucket", ["deposits", "tapes"])
def test_what_ingest_found_counts_the_same(before: Before, bucket: str) -> None:
    lake = open_lake(before.catalog)
    with lake.workspace() as workspace:
        counts = vars(counts_of_bucket(lake, bucket, workspace))
    of_then = expected()["ingest"][bucket]
    assert {name: counts[name] for name in of_then} == of_then


@pytest.mark.parametrize("bucket", BUCKETS)
def test_each_check_has_the_same_event(before: Before, bucket: str) -> None:
    status, text = before.ask("premis", bucket)
    assert status == 0
    document = etree.fromstring(text)
    gone = document.findall("p:event[p:eventType='deletion']", PREMIS)
    objects = [event.findtext(".//p:linkingObjectIdentifierValue", "", PREMIS) for event in gone]
    assert [uri.rpartition("/")[2] for uri in objects] == LOST.get(bucket, [])
    replicated = document.findall("p:event[p:eventType='replication']", PREMIS)
    assert len(replicated) == REPLICATED.get(bucket, 0)
    events = [
        [event.findtext(f".//p:{name}", "", PREMIS) for name in EVENT]
        for event in document.iterfind("p:event", PREMIS)
        if event not in gone and event not in replicated
    ]
    events.sort(key=lambda event: (event[4], event[2], event[0]))
    # The old version gave one answer or the other for an event, by what it had folded before.
    answers = [answer[place] for place in range(len(events)) for answer in either("premis", bucket)]
    assert [event for event in events if event not in answers] == []
    assert [event[0] for event in events] == [event[0] for event in expected()["premis"][bucket]]
