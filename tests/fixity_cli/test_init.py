"""`fixity init`: the catalog that it writes passes the check, and it never overwrites a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from devstack.moto_server import MotoServer
from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY
from fixity.catalog import load_catalog
from fixity.catalog.account import whole_replicas
from fixity_cli.main import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str, answers: str = "") -> tuple[int, str]:
    """Run it; the status, and all that it prints."""
    done = CliRunner().invoke(app, ["init", *words], input=answers)
    return done.exit_code, done.output


def test_answers_about_two_directories_become_a_catalog_that_runs(folder: Path) -> None:
    for name in ("letters", "copies"):
        (folder / name).mkdir()
        (folder / name / "x").write_text("x")
    status, said = init(answers="letters\ny\n./copies\n90d\n\n")
    assert status == 0 and "2 buckets, 1 pairs" in said and "Next: fixity verify letters" in said
    written = load_catalog()
    assert (written.pairs["letters"].replica, written.buckets["copies"].path) == ("copies", folder / "copies")
    assert written.buckets["letters"].fixity_every is not None
    assert CliRunner().invoke(app, ["verify", "letters"]).exit_code == 0
    assert [file.name for file in folder.glob(".fixity*")] == []


def test_answers_about_buckets_name_their_stores(folder: Path) -> None:
    answers = (
        "tenant:deposit\nhttps://ceph.example\nceph\ny\ndeposit-repl\naws\n\nnone\ns3://results/fixity\n"
    )
    status, said = init(answers=answers)
    assert status == 0, said
    written = load_catalog()
    source, replica = (written.buckets[name] for name in ("tenant-deposit", "deposit-repl"))
    assert source.real_name == "tenant:deposit" and replica.store == "aws"
    assert written.store_of(source).endpoint_url == "https://ceph.example"
    assert written.store_of(source).profile == "ceph" and written.lake == "s3://results/fixity"


def test_a_file_that_is_there_is_never_overwritten(folder: Path) -> None:
    (folder / "fixity.yaml").write_text("mine")
    status, said = init(answers="letters\nn\nnone\n\n")
    assert status == 2 and "is there already" in said
    assert (folder / "fixity.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("answers", "told"),
    [("./letters\nn\nsometimes\n\n", "fixity_every"), ("./letters\n", "a question was not answered")],
)
def test_wrong_or_missing_answers_are_wrong_usage_and_write_nothing(
    folder: Path, answers: str, told: str
) -> None:
    status, said = init(answers=answers)
    assert status == 2 and told in said
    assert list(folder.iterdir()) == []


def test_the_account_of_a_profile_becomes_a_catalog_with_a_pair_for_each_whole_replication(
    folder: Path, moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config").write_text(
        f"[profile archive]\nregion = {REGION}\nendpoint_url = {moto_server.endpoint_url}\n"
        f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    client = boto3.Session(profile_name="archive").client("s3")
    for name in ("init-a", "init-a-copy", "init-b"):
        client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for source, status in (("init-a", "Enabled"), ("init-b", "Disabled")):
        destination: Any = {"Bucket": "arn:aws:s3:::init-a-copy"}
        rule: Any = {"ID": "r", "Prefix": "", "Status": status, "Destination": destination}
        role = "arn:aws:iam::123456789012:role/replicate"
        client.put_bucket_replication(Bucket=source, ReplicationConfiguration={"Role": role, "Rules": [rule]})
    done, said = init("--from-account", "archive")
    assert done == 0, said
    written = load_catalog()
    assert {"init-a", "init-a-copy", "init-b"} <= written.buckets.keys()
    assert {pair.source: pair.replica for pair in written.pairs.values()} == {"init-a": "init-a-copy"}
    assert written.stores["aws"].profile == "archive"


def test_a_part_that_is_replicated_is_no_pair_but_told() -> None:
    def rule(**more: object) -> dict[str, Any]:
        return {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::copy"}, **more}

    assert whole_replicas("a", [rule(Filter={})]) == (["copy"], [])
    assert whole_replicas("a", [rule(Filter={"Prefix": ""}), rule(Prefix="x/")]) == (["copy"], [])
    for limited, why in (
        (rule(Prefix="x/"), "the prefix x/"),
        (rule(Filter={"Prefix": "x/"}), "the prefix x/"),
        (rule(Filter={"And": {"Prefix": "x/", "Tags": [{}]}}), "the prefix x/, some tags"),
        (rule(Filter={"Tag": {"Key": "k", "Value": "v"}}), "some tags"),
    ):
        replicas, (note,) = whole_replicas("a", [limited])
        assert replicas == [] and f"only a part of it is replicated to copy ({why})" in note
    assert whole_replicas("a", [{**rule(), "Status": "Disabled"}]) == ([], [])


def test_a_profile_that_is_unknown_is_told(folder: Path) -> None:
    status, said = init("--from-account", "nobody")
    assert status == 3 and "nobody" in said and list(folder.iterdir()) == []
