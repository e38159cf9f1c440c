"""The verb `repair`: a plan by default, a repair with --apply, and the status that the UI's check has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from devstack.seaweedfs import SeaweedFS
from fixity.buckets import BucketUnreachable
from fixity.clock import utc_now
from fixity.incidents.events import OPENED, Event, append
from fixity.incidents.state import incidents_now
from fixity.lake import LakeError, LocalLake
from fixity.lake.paths import report_file
from fixity.repair import Order, Planned
from fixity_assets import pair_report
from fixity_cli.main import app
from tests.conftest import MakeBucket
from tests.fixity.repair.places import GOOD, Places
from tests.fixity_cli.test_rolling_verbs import fixity

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def test_a_bad_copy_is_planned_then_repaired_and_its_incident_closed(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    pair = Places(tmp_path, s3, seaweedfs, make_bucket, {"a": "s3", "b": "directory"})
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    (incident,) = pair.open_incidents
    shown = CliRunner().invoke(app, ["incident", incident.id, "--catalog", str(tmp_path / "fixity.yaml")])
    assert f"`fixity repair {incident.id}` shows what a repair would do" in shown.stdout

    plan = fixity(tmp_path, "repair", incident.id)
    assert plan.returncode == 1 and pair.get("b", "k") == bad, plan.stderr
    assert "k: a -> b, 640 B: would be repaired" in plan.stdout
    assert "copied through this platform; the bad bytes are kept below .fixity-quarantine/" in plan.stdout
    assert "by the first check of it" in plan.stdout and "add --apply to repair" in plan.stdout
    assert "640 B to copy; read: 640 B from a, 640 B from b" in plan.stdout
    assert "; about 10 requests that read, 2 that write\n" in plan.stdout
    assert "red: all_repaired of repairs[p]: 1 to repair, 0 refused" in plan.stderr

    repaired = fixity(tmp_path, "repair", "p", "--apply")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert f"p: 1 repaired and right, 0 refused\nclosed: {incident.id}\n" in repaired.stdout
    assert "; read and right" in repaired.stdout and "copied through" not in repaired.stdout
    assert pair.get("b", "k") == GOOD
    (line,) = pair.lake.read_text(report_file("p", None)).splitlines()[1:]  # the pair is reported anew
    assert line.startswith("a,k,,ok,")
    assert [each.state for each in incidents_now(pair.lake)] == ["closed"]


def test_a_repair_whose_report_fails_stays_done_and_the_report_can_be_made_again(
    tmp_path: Path,
    s3: S3Client,
    seaweedfs: SeaweedFS,
    make_bucket: MakeBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    pair = Places(tmp_path, s3, seaweedfs, make_bucket, {"a": "directory", "b": "directory"})
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")

    def away(*_: object, **__: object) -> None:
        raise LakeError("the lake is away")

    def fixity_(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--catalog", str(tmp_path / "fixity.yaml")])

    with monkeypatch.context() as patched:
        patched.setattr(pair_report, "make_report", away)
        repaired = fixity_("repair", "p", "--apply")
    assert repaired.exit_code == 3 and "p: 1 repaired and right, 0 refused" in repaired.stdout
    told = "warning: p is repaired, but not reported anew, so run fixity verify p: the lake is away"
    assert told in repaired.stderr
    assert (pair.get("b", "k"), pair.open_incidents) == (GOOD, [])
    assert fixity_("verify", "p").exit_code == 0
    (line,) = pair.lake.read_text(report_file("p", None)).splitlines()[1:]
    assert line.startswith("a,k,,ok,")


def test_an_object_of_which_no_copy_is_known_to_be_bad_is_refused_without_a_direction(
    tmp_path: Path,
    s3: S3Client,
    seaweedfs: SeaweedFS,
    make_bucket: MakeBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    pair = Places(tmp_path, s3, seaweedfs, make_bucket, {"a": "directory", "b": "directory"})
    pair.opened("k", bucket=None, diagnosis="cannot_tell")
    assert pair.catalog.pairs.keys() == {"p"}
    plan = CliRunner().invoke(app, ["repair", "p", "--catalog", str(tmp_path / "fixity.yaml")])
    assert plan.exit_code == 1
    assert plan.stdout.startswith("k: refused: nothing says which copy is good (cannot_tell)")


def test_a_name_that_is_neither_a_pair_nor_an_incident_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}}\npairs: {a: {replica: b}}\n")
    said = CliRunner().invoke(app, ["repair", "c", "--catalog", str(file)])
    assert said.exit_code == 2 and "there is no incident 'c'" in said.stderr


def test_while_the_files_of_an_incident_cannot_be_read_nothing_says_that_all_is_repaired(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    pair = Places(tmp_path, s3, seaweedfs, make_bucket, {"a": "directory", "b": "directory"})
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    (incident,) = pair.open_incidents
    for file in pair.lake.list("incidents/"):
        Path(pair.lake.location(file.name)).write_bytes(b"rotten")
    for words in (("p",), ("p", "--apply")):
        done = fixity(tmp_path, "repair", *words)
        assert done.returncode == 1 and "0 refused" in done.stdout, done.stderr
        assert f"because their files cannot be read: {incident.id}" in done.stderr
    named = fixity(tmp_path, "repair", incident.id)
    assert named.returncode == 2 and f"see fixity incident {incident.id}" in named.stderr
    shown = fixity(tmp_path, "incident", incident.id)
    assert shown.stdout.count("restore it from a copy of the lake") == len(pair.lake.list("incidents/"))


def _catalog(folder: Path, pairs: str) -> Path:
    for name in "abc":
        (folder / name).mkdir(exist_ok=True)
    file = folder / "fixity.yaml"
    file.write_text(
        f"lake: ./lake\nbuckets: {{a: {{path: a}}, b: {{path: b}}, c: {{path: c}}}}\npairs: {pairs}\n"
    )
    return file


def test_which_replica_is_the_good_one_is_said_for_the_pair_of_one_copy(tmp_path: Path) -> None:
    file = _catalog(tmp_path, "{a: {replicas: [b, c]}}")
    words = ["repair", "a", "--from", "replica", "--reason", "seen", "--catalog", str(file)]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 2 and "name the pair of the good copy, one of a-to-b, a-to-c" in said.stderr
    assert not (tmp_path / "lake").exists()


def test_an_incident_of_a_pair_that_is_gone_says_how_it_goes_on(tmp_path: Path) -> None:
    file = _catalog(tmp_path, "{a: {replicas: [b, c]}}")
    lake = LocalLake(tmp_path / "lake")
    append(lake, [Event("inc-1", OPENED, utc_now(), run_id="r", pair="old", key="k", found="SHA256:00")])
    said = CliRunner().invoke(app, ["repair", "inc-1", "--catalog", str(file)])
    assert said.exit_code == 2 and "the catalog has no pair old any more" in said.stderr
    assert "Run fixity verify" in said.stderr and "fixity incident close inc-1" in said.stderr


def test_a_copy_whose_repair_fails_does_not_keep_the_others_from_being_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    file = _catalog(tmp_path, "{a: {replicas: [b, c]}}")

    def of_pair(order: Order, *_: object) -> list[Planned]:
        if order.pair.name == "a-to-b":
            raise BucketUnreachable("b is away")
        return []

    monkeypatch.setattr("fixity_assets.repairs.make_plan", of_pair)
    said = CliRunner().invoke(app, ["repair", "a", "--catalog", str(file)])
    assert said.exit_code == 3 and "b is away" in said.stderr
    assert "a-to-c: 0 to repair, 0 refused" in said.stdout
