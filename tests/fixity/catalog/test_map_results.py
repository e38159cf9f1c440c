"""The catalog's `map_results`, and buckets whose checksums come from there."""

from __future__ import annotations

import pytest

from fixity.catalog import MapResults
from tests.fixity.catalog.conftest import Load, Problems

LEDGER = "ledger: {bucket: $.bucket, key: $.key, checksum: $.sha256}"


def _with(keys: str, bucket: str = "") -> str:
    return f"lake: ./lake\nbuckets: {{a: {{{bucket}}}}}\nmap_results: {{{keys}}}\n"


def test_a_bucket_is_enough_and_the_rest_is_as_the_national_archives_have_it(load: Load) -> None:
    settings = load(_with("bucket: results")).map_results
    assert settings == MapResults(
        bucket="results",
        store="aws",
        prefix="",
        results_key="{consignment_id}/{uuid}/results.json",
        on_failed="refuse",
        ledger=None,
    )


def test_without_it_there_is_none(load: Load) -> None:
    assert load("lake: ./lake\nbuckets: {a: }\n").map_results is None


@pytest.mark.parametrize(
    ("keys", "path", "said"),
    [
        ("", ".bucket", "is missing"),
        ("bucket: b, results_key: results.json", ".results_key", "must name {consignment_id} and {uuid}"),
        ("bucket: b, results_key: '{consignment_id}/{uuid}/{day}'", ".results_key", "nothing else in braces"),
        ("bucket: b, results_key: '{consignment_id}/{uuid}/{'", ".results_key", "nothing else in braces"),
        (
            "bucket: b, results_key: '{consignment_id}/{uuid}/manifest.json'",
            ".results_key",
            "is not the key of a results object",
        ),
        ("bucket: b, on_failed: ignore", ".on_failed", "one of refuse, include"),
        ("bucket: b, store: far", ".store", "is not a store of this catalog"),
        (
            "bucket: b, ledger: {bucket: x, key: key, checksum: $.c}",
            ".ledger.key",
            "is not a path to one value",
        ),
        ("bucket: b, ledger: {bucket: $.b, key: $.k}", ".ledger.checksum", "is missing"),
        ("bucket: b, ledger: {bucket: '$.b[*]', key: $.k, checksum: $.c}", ".ledger.bucket", "is not a path"),
        (
            "bucket: b, ledger: {bucket: $.b, key: $.k, checksum: $.c, statuses: {ok: fine}}",
            ".ledger.statuses.ok",
            "one of succeeded, failed, skipped",
        ),
        ("bucket: b, resultskey: x", ".resultskey", "did you mean results_key?"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(problems: Problems, keys: str, path: str, said: str) -> None:
    (problem,) = problems(_with(keys))
    assert f" map_results{path}: " in problem and said in problem


@pytest.mark.parametrize(
    ("keys", "bucket", "said"),
    [
        ("bucket: b", "engine: step_functions", "needs `map_results` with `ledger`"),
        (f"bucket: b, {LEDGER}", "engine: step_functions, path: ./here", "does not read a local directory"),
        (
            f"bucket: b, {LEDGER}",
            "engine: step_functions, store: far",
            "of the store 'aws', and this one is in 'far'",
        ),
    ],
)
def test_a_bucket_that_no_map_can_read_is_refused(
    problems: Problems, keys: str, bucket: str, said: str
) -> None:
    text = _with(keys, bucket) + "stores: {far: {endpoint_url: 'http://far:9000'}}\n"
    (problem,) = problems(text)
    assert " buckets.a.engine: " in problem and said in problem


def test_a_bucket_may_get_its_checksums_from_a_map(load: Load) -> None:
    assert (
        load(_with(f"bucket: b, {LEDGER}", "engine: step_functions")).buckets["a"].engine == "step_functions"
    )
