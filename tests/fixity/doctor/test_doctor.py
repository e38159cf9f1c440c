"""`fixity.doctor`: what is missing is named, with what to do; and nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest

from devstack.faults import Refuse
from devstack.faulty_proxy import FaultyProxy
from devstack.moto_server import TestQueue
from devstack.seaweedfs import LISTER_KEY, SECRET_KEY
from devstack.stub_s3 import StubS3
from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.doctor import (
    OK,
    WARNING,
    WRONG,
    Finding,
    look_at_buckets,
    look_at_disk,
    look_at_lake,
    look_at_log,
    look_at_packages,
    look_at_queues,
)
from fixity.lake import open_lake
from fixity.log.keys import make_key
from tests.conftest import MakeBucket
from tests.fixity.inventories.lists import Lists
from tests.platform import PAIR, Platform

BUCKETS = (PAIR, f"{PAIR}-repl")


def not_ok(findings: Iterable[Finding]) -> list[Finding]:
    return [each for each in findings if each.state != OK]


@pytest.fixture
def of_a_lister(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: Platform) -> Platform:
    """The platform with credentials that may list, and nothing else."""
    file = tmp_path / "credentials"
    file.write_text(f"[lister]\naws_access_key_id = {LISTER_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    store = {"endpoint_url": platform.endpoint_url, "region": "us-east-1", "profile": "lister"}
    platform.more = {"stores": {"real": store}}
    platform.put("letter")
    return platform


@pytest.mark.parametrize("versions", ["current", "all"])
def test_a_bucket_that_can_be_listed_and_read_is_all_right_and_so_is_its_clock(
    platform: Platform, versions: str
) -> None:
    platform.put("letter")
    platform.bucket_settings = {"versions": versions, "prefix": "let"}
    found = list(look_at_buckets(platform.catalog, BUCKETS, utc_now))
    assert [(each.about, each.state) for each in found] == [
        ("bucket deposit", OK),
        ("bucket deposit-repl", OK),
        ("clock of the store real", OK),
    ]


def test_an_empty_bucket_is_no_proof_that_its_objects_can_be_read(platform: Platform) -> None:
    found = list(look_at_buckets(platform.catalog, [PAIR], utc_now))
    assert [each.state for each in found] == [WARNING, OK] and "reading was not tried" in found[0].text


def test_the_right_that_is_missing_is_named_with_its_resource(of_a_lister: Platform) -> None:
    (found,) = not_ok(look_at_buckets(of_a_lister.catalog, [PAIR], utc_now))
    assert found.text.startswith("s3:GetObject is refused: ")
    assert found.to_do == f"allow s3:GetObject on arn:aws:s3:::{of_a_lister.source}/*"


def test_a_right_that_aws_names_is_told_instead_of_the_one_that_was_tried(
    platform: Platform, faulty_proxy: FaultyProxy
) -> None:
    platform.put("letter")
    message = "User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on resource: key"
    faulty_proxy.fault(Refuse(message=message))
    platform.endpoint_url = faulty_proxy.endpoint_url
    (found,) = not_ok(look_at_buckets(platform.catalog, [PAIR], utc_now))
    assert found.to_do.startswith("allow kms:Decrypt on ")


def test_a_bucket_that_is_not_there_and_an_endpoint_that_does_not_answer_are_told_apart(
    platform: Platform, stub_s3: StubS3
) -> None:
    platform.source = "not-there"
    (found,) = not_ok(look_at_buckets(platform.catalog, [PAIR], utc_now))
    assert found.text == "there is no arn:aws:s3:::not-there" and "catalog" in found.to_do
    platform.endpoint_url = "http://127.0.0.1:9"
    (found,) = look_at_buckets(platform.catalog, [PAIR], utc_now)
    assert found.state == WRONG and found.text.startswith("the endpoint cannot be used: ")


def test_a_folder_that_has_no_lists_is_told(platform: Platform) -> None:
    platform.put("letter")

    def found(bucket: str) -> list[Finding]:
        platform.bucket_settings = {"inventory": {"from": "s3_inventory", "at": f"s3://{bucket}/let"}}
        return not_ok(look_at_buckets(platform.catalog, [PAIR], utc_now))

    (none_yet,) = found(platform.replica)
    assert none_yet.state == WARNING and "there is nothing in s3://" in none_yet.text
    (gone,) = found("not-there")
    assert gone.state == WRONG and gone.text == "there is no arn:aws:s3:::not-there"
    platform.s3.put_object(Bucket=platform.replica, Key="let/ter/2026-11-28T01-00Z/manifest.json", Body=b"")
    (too_high,) = found(platform.replica)
    assert too_high.state == WRONG and "there is no complete list in s3://" in too_high.text


def test_a_newest_list_without_files_or_of_another_bucket_is_told(
    platform: Platform, make_bucket: MakeBucket
) -> None:
    platform.put("letter")
    lists = Lists(platform.s3, make_bucket(), manifest={"files": []})
    platform.bucket_settings = {"inventory": {"from": "s3_inventory", "at": lists.place, "max_age": "3650d"}}
    lists.write(platform.source, [])
    (empty,) = not_ok(look_at_buckets(platform.catalog, [PAIR], utc_now))
    assert empty.state != OK and "manifest.json" in empty.text
    lists.write(platform.replica, [])
    (other,) = not_ok(look_at_buckets(platform.catalog, [PAIR], utc_now))
    assert other.state == WRONG and f"lists the bucket '{platform.replica}'" in other.text


def test_a_table_of_s3_metadata_is_asked_for(platform: Platform) -> None:
    platform.put("letter")
    platform.bucket_settings = {"inventory": {"from": "s3_metadata"}}
    (found,) = not_ok(look_at_buckets(platform.catalog, [PAIR], utc_now))
    assert found.state == WRONG and found.about == "bucket deposit"


def test_an_archived_object_is_no_missing_right(platform: Platform, faulty_proxy: FaultyProxy) -> None:
    platform.put("letter")
    faulty_proxy.fault(Refuse(code="InvalidObjectState"))
    platform.endpoint_url = faulty_proxy.endpoint_url
    (found,) = not_ok(look_at_buckets(platform.catalog, [PAIR], utc_now))
    assert found.state == WARNING and "archived" in found.text


def test_a_clock_that_is_wrong_is_told(platform: Platform) -> None:
    found = list(look_at_buckets(platform.catalog, [PAIR], lambda: utc_now() + timedelta(hours=2)))
    assert found[-1].state == WRONG
    assert found[-1].text == "this machine's clock is 2 h 0 min ahead of it"


def test_a_directory_that_cannot_be_read_is_wrong(tmp_path: Path) -> None:
    from fixity.catalog import load_catalog

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter").write_text("x")
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}}\n")
    a, b = look_at_buckets(load_catalog(file), "ab", utc_now)
    assert (a.state, b.state, b.to_do) == (OK, WRONG, "mount it, or let this user read all of it")


@pytest.mark.parametrize("place", ["./lake", "s3"])
def test_the_lake_is_tried_and_nothing_is_left_in_it(
    platform: Platform, make_bucket: MakeBucket, place: str
) -> None:
    platform.lake = place if place == "./lake" else f"s3://{make_bucket()}/lake"
    lake = open_lake(platform.catalog)
    lake.put_text("status/there.json", "{}")
    before = [file.name for file in lake.list("")]
    found = list(look_at_lake(lake, utc_now))
    assert [(each.about, each.state) for each in found] == [
        ("lake", OK),
        ("lake", OK),
        ("clock of the lake", OK),
    ]
    assert [file.name for file in lake.list("")] == before


def test_a_lake_that_may_not_be_written_names_the_right(
    of_a_lister: Platform, make_bucket: MakeBucket
) -> None:
    of_a_lister.lake = f"s3://{make_bucket()}/lake"
    (found,) = look_at_lake(open_lake(of_a_lister.catalog), utc_now)
    assert (found.state, found.to_do) == (WRONG, f"allow s3:PutObject on {of_a_lister.lake}/")


def test_a_lake_without_conditional_writes_is_a_warning_for_several_workers(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_lake(platform.catalog)
    monkeypatch.setattr(type(lake), "decides", False)
    (found,) = not_ok(look_at_lake(lake, utc_now))
    assert found.state == WARNING and found.text.startswith("the store knows no conditional writes")


def test_a_queue_is_looked_for_and_no_message_of_it_is_taken(platform: Platform, queue: TestQueue) -> None:
    store = {"endpoint_url": queue.url.rsplit("/", 2)[0], "region": "us-east-1"}
    stores = {"real": {"endpoint_url": platform.endpoint_url, "region": "us-east-1"}, "sqs": store}
    for url, state in ((queue.url, OK), (f"{queue.url}-gone", WRONG)):
        platform.more = {"stores": stores, "queues": {"new_objects": {"url": url, "store": "sqs"}}}
        (found,) = look_at_queues(platform.catalog)
        assert (found.about, found.state) == ("queue new_objects", state), found


def test_a_disk_that_is_full_or_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_at_disk("disk", tmp_path / "made" / "later").state in (OK, WARNING)
    true = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 3 << 20}))
    full = look_at_disk("disk", tmp_path)
    assert (full.state, full.text) == (WRONG, f"3.0 MiB free in {tmp_path}")
    no_inodes = os.statvfs_result([0 if at == 7 else each for at, each in enumerate(true)])
    monkeypatch.setattr("os.statvfs", lambda _: no_inodes)
    assert look_at_disk("disk", tmp_path).text == f"no more files can be made in {tmp_path}"


def test_a_package_of_another_version_than_is_needed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = look_at_packages()
    assert found.state == OK
    real = metadata.version
    monkeypatch.setattr(
        "fixity.doctor.machine.version", lambda name: "1.0" if name == "duckdb" else real(name)
    )
    (found,) = look_at_packages()
    assert found.state == WRONG
    assert found.text == "fixity-platform needs duckdb<2,>=1.5, and 1.0 is installed"


def test_a_time_in_the_store_s_future_is_this_machine_behind() -> None:
    from fixity.doctor.finding import clock_finding

    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert clock_finding("clock", at, at + timedelta(seconds=59)).state == OK
    behind = clock_finding("clock", at, at + timedelta(minutes=20))
    assert behind.text == "this machine's clock is 20 min 0 s behind it"


def test_the_key_of_the_log_signs_and_its_witness_is_asked(tmp_path: Path) -> None:
    assert list(look_at_log(load_catalog(_catalog(tmp_path, "")))) == []
    catalog = load_catalog(_catalog(tmp_path, "log: {key: key.pem, witness: ./far}"))
    key, witness = look_at_log(catalog)
    assert (key.state, witness.state) == (WRONG, WRONG)
    assert "key.pem" in key.text and "make the directory, or mount it" in witness.text
    make_key(tmp_path / "key.pem")
    (tmp_path / "far").mkdir()
    key, witness = look_at_log(catalog)
    assert (key.state, witness.state) == (OK, OK)
    assert witness.text.endswith("has 0 copies; writing was not tried")
    assert not list((tmp_path / "far").iterdir())


def _catalog(folder: Path, log: str) -> Path:
    (file := folder / "fixity.yaml").write_text(f"lake: ./lake\nbuckets: {{a: {{path: a}}}}\n{log}\n")
    return file
