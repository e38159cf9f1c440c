"""Ingest fixity over the wire: what was recorded of objects on a real server, and what their bytes say."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from devstack.faults import CorruptBytes
from devstack.faulty_proxy import FaultyProxy
from devstack.moto_server import MotoServer
from devstack.seaweedfs import REGION
from fixity.ingest.records import keep_given, read_given
from fixity.lake import Lake, open_lake
from fixity.ledger.selection import keep_selection
from fixity_cli.main import app
from jobs.names import CHECKSUMS_JOB, INGEST_BUCKET_JOB, INGEST_SELECTED_JOB, SELECTION
from resources.pool import POOL
from tests.platform import PAIR, Platform, read_report
from tests.sensors.archive import ArchivePlatform

BODY = b"the same bytes"
MD5, SHA256 = hashlib.md5(BODY).hexdigest(), hashlib.sha256(BODY).hexdigest()
WRONG = "0" * 32


def put(platform: Platform, key: str, body: bytes = BODY, tags: str = "", **metadata: str) -> None:
    platform.s3.put_object(Bucket=platform.source, Key=key, Body=body, Metadata=metadata, Tagging=tags)


def put_parts(platform: Platform, key: str, size: int = 5 * 1024**2 + 10) -> bytes:
    """A multipart upload: its ETag is no MD5."""
    body, bucket = bytes(size), platform.source
    upload = platform.s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    cut = 5 * 1024**2
    parts: list[Any] = [
        {
            "PartNumber": number,
            "ETag": platform.s3.upload_part(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=piece
            )["ETag"],
        }
        for number, piece in enumerate((body[:cut], body[cut:]), start=1)
    ]
    platform.s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    return body


def lake_of(platform: Platform) -> Lake:
    return open_lake(platform.catalog)


def ingest(
    platform: Platform,
    instance: dg.DagsterInstance,
    job: str = INGEST_BUCKET_JOB,
    tags: Mapping[str, str] | None = None,
) -> tuple[dict[str, dict[str, str]], dict[str, bool], dict[str, Any]]:
    """The report's rows by key, the checks, and the metadata of the report."""
    result = (
        platform.definitions()
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance, partition_key=PAIR, tags=dict(tags or {}), raise_on_error=False
        )
    )
    assert result.success
    events = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    said = {name: value.value for name, value in events["ingest_report"].items()}
    checks = {
        one.check_name: one.passed
        for one in result.get_asset_check_evaluations()
        if one.asset_key.to_user_string() == "ingest_report"
    }
    return {row["key"]: row for row in read_report(str(said["csv"]))}, checks, said


def shown(row: Mapping[str, str]) -> tuple[str, str]:
    return row["result"], row["compared_with"]


def tags_of(platform: Platform, key: str) -> dict[str, str]:
    said = platform.s3.get_object_tagging(Bucket=platform.source, Key=key)
    return {tag["Key"]: tag["Value"] for tag in said["TagSet"]}


def test_each_object_is_held_against_the_first_record_of_it(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    put(platform, "given", tags=f"computed-md5={WRONG}")
    put(platform, "bag/data/in-the-bag")
    put(platform, "bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    put(platform, "bag/manifest-sha256.txt", f"{SHA256}  data/in-the-bag\n".encode())
    put(platform, "tagged", tags=f"computed-md5={MD5}", md5=MD5)
    put(platform, "wrongly-tagged", tags=f"computed-sha1={'1' * 40}")
    put(platform, "with-metadata", md5=base64.b64encode(bytes.fromhex(MD5)).decode())
    put(platform, "with-etag")
    nothing_known = put_parts(platform, "in-parts")
    keep_given(lake_of(platform), PAIR, [read_given(f"key,checksum\ngiven,{SHA256}", "list.csv")[0]])
    rows, checks, said = ingest(platform, instance)
    assert {key: shown(row) for key, row in rows.items()} == {
        "given": ("MATCHED", "api"),
        "bag/data/in-the-bag": ("MATCHED", "manifest"),
        "bag/bagit.txt": ("MATCHED", "object-etag"),
        "bag/manifest-sha256.txt": ("MATCHED", "object-etag"),
        "tagged": ("MATCHED", "object-tagging"),
        "wrongly-tagged": ("NOTMATCHED", "object-tagging"),
        "with-metadata": ("MATCHED", "object-metadata"),
        "with-etag": ("MATCHED", "object-etag"),
        "in-parts": ("SKIPPED", "none"),
    }
    assert rows["in-parts"]["checksum"] == hashlib.sha256(nothing_known).hexdigest()
    assert rows["given"]["recorded_in"] == "list.csv, line 2"
    assert rows["bag/data/in-the-bag"]["recorded_in"] == "bag/manifest-sha256.txt"
    assert (said["matched"], said["not_matched"], said["skipped"]) == (7, 1, 1)
    assert checks == {
        "no_notmatched": False,
        "no_failures": True,
        "no_missing": True,
        "no_conflicts": False,  # the tag of `given`, and the ETag of `wrongly-tagged`
        "all_compared": False,
        "records_usable": True,
        "all_tags_written": True,
    }
    # All that was read is in the ledger, with the bucket's own algorithm; scratch is empty again.
    of_ledger = instance.get_latest_materialization_event(dg.AssetKey("checksums"))
    assert of_ledger is not None and of_ledger.asset_materialization is not None
    assert of_ledger.asset_materialization.partition == PAIR
    lake = Path(platform.catalog.lake)
    (ledger,) = (lake / "checksums" / PAIR).glob("*.parquet")
    table = pq.read_table(ledger)
    assert set(table.column("key").to_pylist()) == set(rows)
    assert (set(table.column("algorithm").to_pylist()), (lake / "ingest").exists()) == ({"SHA256"}, False)
    assert not [file for file in (lake / "scratch").rglob("*") if file.is_file()]


def test_records_that_contradict_each_other_are_reported(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    put(platform, "film.mkv", tags=f"computed-md5={MD5}", md5=WRONG)
    rows, checks, _ = ingest(platform, instance)
    row = rows["film.mkv"]
    assert (*shown(row), row["conflicts"]) == ("MATCHED", "object-tagging", "1")
    assert row["detail"] == f"x-amz-meta-md5 says {WRONG}"
    assert (checks["no_notmatched"], checks["no_conflicts"]) == (True, False)


def test_what_is_recorded_and_not_there_is_missing_and_what_is_no_checksum_is_said(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    put(platform, "bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    put(platform, "bag/manifest-md5.txt", f"{MD5}  data/lost\n".encode())
    put(platform, "odd", tags="computed-md5=none")
    rows, checks, _ = ingest(platform, instance)
    assert (rows["bag/data/lost"]["status"], *shown(rows["bag/data/lost"])) == ("missing", "SKIPPED", "none")
    assert rows["odd"]["detail"] == "tag computed-md5: 'none' is no MD5 in hex or base64"
    assert (checks["no_missing"], checks["records_usable"]) == (False, False)


def test_an_ocfl_inventory_is_believed_only_where_its_sidecar_proves_it(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    sha512 = hashlib.sha512(BODY).hexdigest()
    inventory = json.dumps({"digestAlgorithm": "sha512", "manifest": {sha512: ["v1/content/a"]}}).encode()
    for folder, sidecar in (("good", hashlib.sha512(inventory).hexdigest()), ("bad", "0" * 128)):
        put(platform, f"{folder}/0=ocfl_object_1.1", b"ocfl_object_1.1\n")
        put(platform, f"{folder}/inventory.json", inventory)
        put(platform, f"{folder}/inventory.json.sha512", f"{sidecar} inventory.json\n".encode())
        put(platform, f"{folder}/v1/content/a")
    rows, checks, _ = ingest(platform, instance)
    assert shown(rows["good/v1/content/a"]) == ("MATCHED", "manifest")
    assert rows["good/v1/content/a"]["algorithm"] == "SHA512"
    assert shown(rows["bad/v1/content/a"]) == ("MATCHED", "object-etag")
    assert "is not the one that inventory.json.sha512 speaks of" in rows["bad/inventory.json"]["detail"]
    assert not checks["records_usable"]


def test_tags_are_merged_never_beyond_ten_and_never_on_a_mismatch(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.bucket_settings = {"write_tags": True, "algorithm": "MD5"}
    put(platform, "good", tags="project=letters")
    put(platform, "full", tags="&".join(f"t{number}=x" for number in range(9)))
    put(platform, "wrong", tags=f"computed-md5={WRONG}")
    rows, checks, _ = ingest(platform, instance)
    written = tags_of(platform, "good")
    assert written.pop("computed-md5-last-modified").isdigit()
    assert written == {"project": "letters", "computed-md5": MD5}
    assert rows["good"]["tags_written"] == "yes"
    assert len(tags_of(platform, "full")) == 9
    assert rows["full"]["tags_written"] == "no: 9 tags are there already, and S3 allows 10"
    assert tags_of(platform, "wrong") == {"computed-md5": WRONG}
    assert (rows["full"]["result"], checks["all_tags_written"]) == ("MATCHED", False)
    # What was written is the record that the next ingest finds.
    again, _, _ = ingest(platform, instance)
    assert shown(again["good"]) == ("MATCHED", "object-tagging")


def test_what_the_catalog_leaves_out_is_neither_read_nor_missing_though_a_manifest_names_it(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.bucket_settings = {"exclude": ["*.tmp"]}
    put(platform, "bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    put(platform, "bag/manifest-md5.txt", f"{MD5}  data/a\n{WRONG}  data/b.tmp\n{MD5}  data/c.tmp\n".encode())
    put(platform, "bag/data/a")
    put(platform, "bag/data/b.tmp")
    rows, checks, _ = ingest(platform, instance)
    assert set(rows) == {"bag/bagit.txt", "bag/data/a", "bag/manifest-md5.txt"}
    assert all(checks.values())


def test_each_version_is_held_against_its_own_record(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.bucket_settings = {"versions": "all", "write_tags": True}
    platform.s3.put_bucket_versioning(Bucket=platform.source, VersioningConfiguration={"Status": "Enabled"})
    put(platform, "film.mkv", b"the first cut", tags=f"computed-md5={WRONG}")
    put(platform, "film.mkv", tags=f"computed-md5={MD5}")
    _, checks, said = ingest(platform, instance)
    listed = platform.s3.list_object_versions(Bucket=platform.source)["Versions"]
    first, last = (
        next(each["VersionId"] for each in listed if each["IsLatest"] is latest) for latest in (False, True)
    )
    rows = {row["version_id"]: row for row in read_report(str(said["csv"]))}
    assert {version: shown(row) for version, row in rows.items()} == {
        first: ("NOTMATCHED", "object-tagging"),
        last: ("MATCHED", "object-tagging"),
    }
    assert (rows[first]["tags_written"], rows[last]["tags_written"]) == ("", "yes")
    assert not checks["no_notmatched"]
    # A list given by hand may name a version; without one it is of the current.
    given = f"key,version_id,checksum\nfilm.mkv,{first},{hashlib.md5(b'the first cut').hexdigest()}\n"
    keep_given(lake_of(platform), PAIR, read_given(f"{given}film.mkv,,{MD5}\n", "list.csv"))
    _, _, said = ingest(platform, instance)
    rows = {row["version_id"]: row for row in read_report(str(said["csv"]))}
    assert {version: shown(row) for version, row in rows.items()} == dict.fromkeys(
        (first, last), ("MATCHED", "api")
    )


def test_a_false_record_keeps_a_bucket_red_only_until_a_right_one_is_given(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    put(platform, "film")
    lake = lake_of(platform)

    def given(checksum: str) -> tuple[bool, bool]:
        keep_given(lake, PAIR, read_given(f"key,checksum\nfilm,{checksum}\n", "list.csv"))
        name = keep_selection(lake, PAIR, [("film", None)])
        result = (
            platform.definitions()
            .resolve_job_def(INGEST_SELECTED_JOB)
            .execute_in_process(instance=instance, partition_key=PAIR, tags={SELECTION: name})
        )
        checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
        return checks["no_damage"], checks["no_notmatched"]

    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    assert given("0" * 64) == (False, False)
    assert given(MD5) == (True, True)  # of another algorithm, and newer
    query = "SELECT verdict, expected_from, expected FROM checks ORDER BY checked_at"
    said = CliRunner().invoke(app, ["sql", query, "--catalog", str(platform.file)])
    assert said.exit_code == 0, said.stderr
    assert said.stdout.splitlines() == [
        "verdict,expected_from,expected",
        "registered,,",
        f"differs,api,{'0' * 64}",
        f"matched,api,{MD5}",
    ]


def test_an_object_put_by_a_plain_client_is_proved_and_tagged_by_its_md5_as_media2cloud_does(
    moto_server: MotoServer, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    archive = ArchivePlatform(tmp_path, moto_server, settings={"algorithm": "MD5", "write_tags": True})
    plain = boto3.client(
        "s3",
        endpoint_url=moto_server.endpoint_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    plain.put_object(Bucket=archive.real_name, Key="film", Body=BODY)
    head = plain.head_object(Bucket=archive.real_name, Key="film", ChecksumMode="ENABLED")
    assert "ChecksumCRC32" in head  # the client adds it
    said = archive.run(instance, INGEST_BUCKET_JOB)
    (row,) = read_report(said["csv"])
    assert (*shown(row), row["algorithm"], row["conflicts"]) == ("MATCHED", "object-etag", "MD5", "0")
    tags = plain.get_object_tagging(Bucket=archive.real_name, Key="film")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags if tag["Key"] == "computed-md5"} == {"computed-md5": MD5}
    assert {tag["Key"] for tag in tags} == {"computed-md5", "computed-md5-last-modified"}


def test_a_bit_that_flips_on_the_way_contradicts_no_record(
    platform: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    for key in ("a", "b"):
        put(platform, key)
    platform.bucket_settings = {"records_in": ["object-etag"]}
    platform.endpoint_url = faulty_proxy.endpoint_url
    faulty_proxy.fault(CorruptBytes(), key="a")
    rows, _, _ = ingest(platform, instance)
    assert [shown(rows[key]) for key in ("a", "b")] == [("MATCHED", "object-etag")] * 2
    assert [rows[key]["error_code"] for key in ("a", "b")] == ["UnstableRead", ""]


def test_an_ingest_by_records_given_by_hand_costs_one_request_an_object(
    platform: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    for number in range(20):
        put(platform, f"k{number:02}")
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings = {"records_in": []}
    keep_given(lake_of(platform), PAIR, read_given(f"key,checksum\nk00,{SHA256}\n", "list.csv"))
    rows, _, _ = ingest(platform, instance)
    assert shown(rows["k00"]) == ("MATCHED", "api")
    assert {shown(row) for key, row in rows.items() if key != "k00"} == {("SKIPPED", "none")}
    asked = sorted((seen.method, str(seen.key)) for seen in faulty_proxy.requests if seen.key)
    assert asked == [("GET", f"k{number:02}") for number in range(20)]


def test_on_workers_several_steps_gather_the_records_of_a_bucket_and_ask_for_each_once(
    platform: Platform, tmp_path: Path, faulty_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("fixity_assets.baselines", "fixity.ingest.records.collect"):
        monkeypatch.setattr(f"{place}.PART_OBJECTS", 2)
    monkeypatch.setattr("fixity_assets.baselines.LEAST_PARTS", 1)
    keys = [f"key-{number:02}" for number in range(11)]
    for key in keys:
        put(platform, key, tags=f"computed-md5={MD5}")
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings |= {"records_in": ["object-tagging"], "max_concurrency": 3}
    platform.more["executor"] = "docker"  # its steps are executed here all the same
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 8)
        result = platform.run(instance, INGEST_BUCKET_JOB, PAIR)
    assert result.success
    steps = [str(event.step_key) for event in result.all_events if event.is_step_start]
    gathered = sorted(step for step in steps if "gather_records" in step)
    assert gathered == [f"baselines.gather_records[{first}_2_3]" for first in (0, 2, 4)]
    asked = [request.key for request in faulty_proxy.gets() if request.path.endswith("?tagging")]
    assert sorted(asked) == keys
    assert faulty_proxy.max_concurrent <= 3
    (table,) = (platform.folder / "lake" / "baselines" / PAIR).glob("*.parquet")
    rows = pq.read_table(table).to_pylist()
    assert [(row["key"], row["recorded_as"], row["checksum"]) for row in rows] == [
        (key, "object-tagging", MD5) for key in keys
    ]
    assert not list((platform.folder / "lake" / "scratch").iterdir())
