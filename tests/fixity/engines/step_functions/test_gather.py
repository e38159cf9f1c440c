"""A map run's results on a real server: one object, in one form, whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from devstack.faults import CutConnection, Fault, IgnoreRange, WrongRange
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import REGION, s3_client
from fixity.catalog import Store
from fixity.catalog import clients as catalog_clients
from fixity.engines.step_functions import MapRun, ResultsBucket, ResultsRefused, gather
from fixity.errors import BucketUnreachable
from tests.fixity.engines.step_functions.support import WrittenRun, execution, failed, pending

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EMPTY = '"statuses": {"statuses": []}, "redactedResults": {"redactedFiles": [], "errors": []}'


@pytest.fixture
def written(s3: S3Client, results_bucket: str) -> WrittenRun:
    """A map run without any result file yet."""
    return WrittenRun(s3, results_bucket)


def test_the_results_object_has_exactly_the_form_that_the_next_step_expects(
    s3: S3Client, results_bucket: str
) -> None:
    # At the National Archives the ResultWriter's prefix is the results object's own key.
    written = WrittenRun(s3, results_bucket, writer="results.json")
    written.put([execution('{"test1": "value1"}'), execution('{"test2": "value2"}')])
    assert written.finish().gather() == {"key": written.results_key, "bucket": written.bucket}
    assert written.body().decode() == '{"results": [{"test1": "value1"}, {"test2": "value2"}], ' + EMPTY + "}"


def test_elements_of_nothing_but_an_output_and_a_manifest_of_nothing_but_files_will_do(
    written: WrittenRun,
) -> None:
    written.put([{"Output": '{"test1": "value1"}'}, {"Output": '{"test2": "value2"}'}])
    written.manifest = {"ResultFiles": {"SUCCEEDED": written.manifest["ResultFiles"]["SUCCEEDED"]}}
    written.finish().gather()
    assert written.results()["results"] == [{"test1": "value1"}, {"test2": "value2"}]


def test_an_output_beside_members_that_are_new_is_understood_and_the_rest_goes_on(
    written: WrittenRun,
) -> None:
    new = {"Output": '{"test": 1}', "Name": "n", "Future": True}
    own = {"Output": "text of the map's own", "other": 2}
    written.put([new, own, {"Output": "[3]", "Future": None}])
    written.finish().gather()
    assert written.results()["results"] == [{"test": 1}, own, [3]]


def test_a_hundred_thousand_elements_in_three_files_are_gathered_and_a_second_time_the_same(
    written: WrittenRun,
) -> None:
    sizes = (60_000, 39_999, 1)
    for file, size in enumerate(sizes):
        written.put(
            [
                execution({"file": file, "number": number, "pad": "é" * 40}, f"{file}-{number}")
                for number in range(size)
            ]
        )
    written.finish().gather()
    first, etag = (
        written.body(),
        written.s3.head_object(Bucket=written.bucket, Key=written.results_key)["ETag"],
    )
    assert [(each["file"], each["number"]) for each in json.loads(first)["results"]] == [
        (file, number) for file, size in enumerate(sizes) for number in range(size)
    ]
    assert len(first) > 8 * 1024 * 1024 and etag.endswith('-4"')  # of four parts
    written.gather()
    assert written.body() == first
    assert written.s3.head_object(Bucket=written.bucket, Key=written.results_key)["ETag"] == etag


OUTPUTS = [{"a": 1.10, "text": "é \U0001f600"}, {"b": [1, 2]}, {"c": None}]


@pytest.mark.parametrize("end", ["json", "jsonl"])
@pytest.mark.parametrize("transformed", [True, False])
def test_transformed_outputs_and_json_lines_give_the_same_object(
    written: WrittenRun, end: str, transformed: bool
) -> None:
    elements = OUTPUTS if transformed else [execution(output) for output in OUTPUTS]
    lines = "\n".join(json.dumps(element) for element in elements).encode()
    written.put(lines if end == "jsonl" else elements, end=end)
    written.finish().gather()
    assert written.results()["results"] == OUTPUTS


def test_a_batched_output_is_one_result_as_the_map_gave_it(written: WrittenRun) -> None:
    written.put([execution(OUTPUTS[:2]), execution(OUTPUTS[2:])])
    written.finish().gather()
    assert written.results()["results"] == [OUTPUTS[:2], OUTPUTS[2:]]


def test_nothing_of_an_output_changes_on_its_way(written: WrittenRun) -> None:
    outputs = ['{"n":1.10,"big":123456789012345678901234567890,"e":1e400}', '"\\ud800"', " [1] "]
    written.put([execution(output) for output in outputs])
    written.put(b'[{"n":1.10,  "half": "\\ud800"}]')
    written.finish().gather()
    kept = [outputs[0], outputs[1], "[1]", '{"n":1.10,  "half": "\\ud800"}']
    assert written.body().decode() == '{"results": [' + ", ".join(kept) + "], " + EMPTY + "}"


def test_no_succeeded_file_is_an_empty_results_object(written: WrittenRun) -> None:
    written.finish().gather()
    assert written.body().decode() == '{"results": [], ' + EMPTY + "}"


def test_failed_executions_are_refused_with_their_errors_and_causes(written: WrittenRun) -> None:
    written.put([execution({})])
    written.put([failed(f"bad-{number}", cause=f"cause {number}") for number in range(5)], "FAILED")
    written.put([pending()], "PENDING")
    with pytest.raises(ResultsRefused) as refused:
        written.finish().gather()
    said = str(refused.value)
    assert "1 FAILED files and 1 PENDING files" in said and "on_failed: include" in said
    assert "bad-0 (FAILED: States.TaskFailed: cause 0); bad-1" in said and "bad-3" not in said
    assert not written.written


def test_pending_executions_alone_are_refused_too(written: WrittenRun) -> None:
    written.put([pending()], "PENDING")
    with pytest.raises(ResultsRefused, match="an execution that was not started \\(PENDING\\)"):
        written.finish().gather()
    assert not written.written


def test_failed_executions_are_listed_beside_when_asked_for(written: WrittenRun) -> None:
    written.put([execution({"a": 1})])
    bad = [failed("bad-1", "Lambda.Unknown", "timed out"), failed("bad-2")]
    written.put(bad, "FAILED")
    written.put([pending()], "PENDING")
    written.finish().gather(on_failed="include")
    said = written.results()
    assert said["results"] == [{"a": 1}] and said["failed"] == [*bad, pending()]
    assert (said["failed"][0]["Error"], said["failed"][0]["Cause"]) == ("Lambda.Unknown", "timed out")


def test_a_listed_failed_file_without_elements_is_no_failure(written: WrittenRun) -> None:
    written.put([], "FAILED")
    written.put([execution({"a": 1})])
    written.finish().gather()
    assert written.results()["results"] == [{"a": 1}] and "failed" not in written.results()


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"", "is not JSON"),
        (b'{"ResultFiles": {"SUCC', "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "lacks ResultFiles with a list of SUCCEEDED"),
        (b'{"ResultFiles": {"FAILED": []}}', "lacks ResultFiles with a list of SUCCEEDED"),
        (b'{"ResultFiles": {"SUCCEEDED": "x"}}', "lacks ResultFiles with a list of SUCCEEDED"),
        (b'{"ResultFiles": {"SUCCEEDED": [], "FAILED": 3}}', "'FAILED' in its ResultFiles is not a list"),
        (b'{"ResultFiles": {"SUCCEEDED": [{"Size": 3}]}}', "a result file without a Key"),
        (b'{"ResultFiles": {"SUCCEEDED": ["x"]}}', "a result file without a Key"),
        (
            b'{"ResultFiles": {"SUCCEEDED": [{"Key": "a/gone.json"}]}}',
            "a/gone.json, but there is no such object",
        ),
        (b'{"DestinationBucket": "other", "ResultFiles": {"SUCCEEDED": []}}', "names the bucket 'other'"),
    ],
)
def test_a_manifest_that_is_none_is_refused_and_nothing_written(
    written: WrittenRun, manifest: bytes, said: str
) -> None:
    with pytest.raises(ResultsRefused) as refused:
        written.finish(manifest).gather()
    assert said in str(refused.value) and f"s3://{written.bucket}/" in str(refused.value)
    assert not written.written


def test_a_manifest_that_is_not_there_is_refused(written: WrittenRun) -> None:
    with pytest.raises(ResultsRefused, match=f"there is no s3://{written.bucket}/{written.key}"):
        written.gather()


@pytest.mark.parametrize(
    ("element", "said"),
    [
        (execution("{", "the-third"), "the Output of the execution the-third of"),
        (execution("", "the-third"), "is not JSON"),
        (execution("{} {}", "the-third"), "is not JSON"),
        (execution('{"n": NaN}', "the-third"), "NaN is not a number in JSON"),
        ({**execution("", "the-third"), "Output": None}, "the-third"),
        ({**execution("", "the-third"), "Output": {"a": 1}}, "has no Output that is text"),
        (execution({}, "the-third", Status="FAILED"), "did not succeed: its Status is 'FAILED'"),
        ({"Output": "{"}, "the execution element 3 of"),
    ],
)
def test_an_element_that_is_no_result_is_named_and_nothing_written(
    written: WrittenRun, element: dict[str, object], said: str
) -> None:
    written.put([execution({"pad": "x" * 5_000_000}) for _ in range(2)])  # an upload has begun
    written.put([execution({}), execution({}), element])
    with pytest.raises(ResultsRefused) as refused:
        written.finish().gather()
    assert said in str(refused.value) and "SUCCEEDED_1.json" in str(refused.value)
    assert not written.written


def test_a_file_that_ends_in_the_middle_leaves_what_was_there_before(written: WrittenRun) -> None:
    key = written.put([execution({"a": 1})])
    written.finish().gather()
    before = written.body()
    whole = json.dumps([execution({"b": 2})] * 3).encode()
    written.s3.put_object(Bucket=written.bucket, Key=key, Body=whole[:-20])
    with pytest.raises(ResultsRefused, match="neither a JSON array nor JSON Lines"):
        written.gather()
    assert written.body() == before
    written.s3.put_object(Bucket=written.bucket, Key=key, Body=b"")
    with pytest.raises(ResultsRefused, match="is empty"):
        written.gather()


def test_a_connection_that_breaks_is_taken_up_again(written: WrittenRun, faulty_proxy: FaultyProxy) -> None:
    key = written.put([execution({"pad": "x" * 3_000_000}), execution({"last": True})])
    written.finish()
    faulty_proxy.fault(CutConnection(1_000_000, times=2), key=key)
    bucket = ResultsBucket(s3_client(faulty_proxy.endpoint_url), written.bucket, backoff=0)
    gather(bucket, written.run, written.results_key)
    assert written.results()["results"][1] == {"last": True}


@pytest.mark.parametrize("fault", [WrongRange(times=None), IgnoreRange(times=None)])
def test_a_file_of_which_the_store_sends_other_pieces_is_not_read(
    written: WrittenRun, faulty_proxy: FaultyProxy, fault: Fault
) -> None:
    key = written.put([execution({"pad": "x" * 9_000_000})])
    store = Store(name="behind", endpoint_url=faulty_proxy.endpoint_url, region=REGION)
    bucket = ResultsBucket(catalog_clients.s3_client(store), written.bucket, backoff=0)
    head = bucket.head(key)
    assert head is not None
    faulty_proxy.fault(fault, key=key)
    with pytest.raises(BucketUnreachable, match="does not honour ranges"):
        list(bucket.pieces(head))


def test_a_file_that_is_replaced_while_it_is_read_is_refused(written: WrittenRun) -> None:
    key = written.put([execution({"pad": "x" * 9_000_000})])
    written.finish()
    bucket = ResultsBucket(written.s3, written.bucket)
    head = bucket.head(key)
    assert head is not None
    pieces = bucket.pieces(head)
    next(pieces)
    written.s3.put_object(Bucket=written.bucket, Key=key, Body=b"y" * 9_000_000)
    with pytest.raises(ResultsRefused, match="was replaced while it was read"):
        next(pieces)


@pytest.mark.parametrize(
    "key",
    [
        "manifest.json",
        "uuid/manifest.json",
        "consignment/uuid/manifest.json",
        "uuid/results.json/id/manifest.json",
        "/uuid/results.json/id/manifest.json",
        "consignment//results.json/id/manifest.json",
        "consignment/uuid/results.json/id/other.json",
        "con...signment/uuid/results.json/id/manifest.json",
        "consignment/u\nuid/results.json/id/manifest.json",
    ],
)
def test_a_key_without_a_consignment_id_is_refused(key: str) -> None:
    with pytest.raises(ResultsRefused, match="is not the key of a map run's manifest"):
        MapRun.of("bucket", key)


def test_the_results_key_comes_from_the_map_run_s_own_ids() -> None:
    run = MapRun.of("bucket", "maps/consignment/uuid/results.json/id/manifest.json", "maps/")
    assert (run.name, run.results_key()) == ("consignment/uuid", "consignment/uuid/results.json")
    assert run.results_key("out/{uuid}/{consignment_id}.json") == "out/uuid/consignment.json"
    assert MapRun.at("s3://bucket/c/u/id/manifest.json").name == "c/u"
    with pytest.raises(ResultsRefused, match=r"write s3://bucket/…/manifest\.json"):
        MapRun.at("c/u/id/manifest.json")
