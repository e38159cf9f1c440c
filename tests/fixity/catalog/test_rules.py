"""Every rule that a catalog is held to, and what is said where it is broken."""

from __future__ import annotations

import inspect
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from fixity.lake import paths
from tests.fixity.catalog.conftest import Load, Problems, with_bucket, with_pair, with_store


@pytest.mark.parametrize("name", ["-a", ".a", "a b", "a/b", "a...b", "é", "a" * 191, "a\\nb"])
@pytest.mark.parametrize("section", ["stores", "buckets", "pairs"])
def test_a_name_that_cannot_be_a_partition_or_a_file_is_refused(
    problems: Problems, section: str, name: str
) -> None:
    parts = {"stores": "", "buckets": "a: {}, b: {}", "pairs": ""}
    body = "{source: a, replica: b}" if section == "pairs" else "{}"
    parts[section] += f'{", " if parts[section] else ""}"{name}": {body}'
    text = "\n".join(["lake: l", *(f"{key}: {{{value}}}" for key, value in parts.items())])
    (found,) = problems(text)
    assert found.startswith(f"fixity.yaml: {section}.") and "cannot be a name: up to 190 letters" in found


@pytest.mark.parametrize("name", ["a", "A.b_c-d", "0", "a" * 190, "a..b"])
def test_a_name_of_letters_digits_and_marks_is_taken(load: Load, name: str) -> None:
    assert list(load(f"lake: l\nbuckets: {{'{name}': }}").buckets) == [name]


def test_the_longest_name_fits_into_every_file_name_of_the_lake() -> None:
    name, run_id, day = "a" * 190, str(uuid4()), date(2026, 1, 31)
    arguments = {"bucket": name, "pair": name, "run_id": f"{run_id}-10", "root_run_id": run_id, "day": day}
    arguments |= {"attempt": 10, "name": "f" * 64, "at": datetime.now(UTC), "asset": None, "digest": "f" * 64}
    arguments |= {"folder": paths.checksums_folder(name), "incident_id": "20260131-3f2a9c1b"}
    arguments |= {"drill_id": "20260131-3f2a9c1b", "partition": name, "kind": "bucket"}
    made = []
    for _, function in inspect.getmembers(paths, inspect.isfunction):
        if inspect.signature(function).return_annotation == "str":
            made.append(
                function(**{each: arguments[each] for each in inspect.signature(function).parameters})
            )
    assert len(made) > 20 and max(len(part) for path in made for part in path.split("/")) <= 255


@pytest.mark.parametrize("section", ["buckets", "pairs"])
def test_names_that_differ_in_case_only_are_refused(problems: Problems, section: str) -> None:
    parts = {"buckets": "a: {path: a}, b: {path: b}", "pairs": ""}
    parts[section] += {
        "buckets": ", A: {path: c}",
        "pairs": "x: {source: a, replica: b}, X: {source: b, replica: a}",
    }[section]
    (found,) = problems("\n".join(["lake: l", *(f"{key}: {{{value}}}" for key, value in parts.items())]))
    first, second = ("a", "A") if section == "buckets" else ("x", "X")
    assert found.startswith(
        f"fixity.yaml: {section}.{second}: differs from '{first}' in upper and lower case only"
    )


@pytest.mark.parametrize("lake", ["/", "//", "/.", "/tmp/..", "root"])
def test_a_whole_file_system_is_no_lake(problems: Problems, folder: Path, lake: str) -> None:
    (folder / "root").symlink_to("/")
    (found,) = problems(f"lake: {lake}\nbuckets: {{a: }}")
    assert found.startswith(f"fixity.yaml: lake: '{lake}' is the whole file system: name a directory of")


def test_an_unknown_key_is_refused_with_the_closest_one_and_all_that_are_allowed(problems: Problems) -> None:
    assert problems(with_pair("replica: b, replication_lagg: 5m")) == [
        "fixity.yaml: pairs.a.replication_lagg: there is no such key; did you mean replication_lag? "
        "(keys here: source, replica, replicas, match, replication_lag, fixity_every, repair)"
    ]


@pytest.mark.parametrize("key", ["file", "bucket"])
def test_an_unknown_key_at_the_top_is_refused(problems: Problems, key: str) -> None:
    (found,) = problems(f"{key}: x\nlake: l\nbuckets: {{a: }}")
    assert found.startswith(f"fixity.yaml: {key}: there is no such key")
    assert "(keys here: lake, lake_store, owners, stores, buckets, pairs, " in found


def test_a_name_other_than_the_key_is_refused(problems: Problems) -> None:
    assert problems(with_bucket("name: b")) == [
        "fixity.yaml: buckets.a: has the name 'b', but the key is the name: remove `name`"
    ]


@pytest.mark.parametrize(
    "extra", ["store: far", "store: aws", "bucket: x", "prefix: x/", "versions: all", "min_bandwidth: 1KiB"]
)
def test_a_local_directory_cannot_have_what_only_a_store_has(problems: Problems, extra: str) -> None:
    (found,) = problems(with_bucket(f"path: ./a, {extra}"))
    key = extra if extra.startswith("versions") else extra.split(":")[0]
    assert found.startswith("fixity.yaml: buckets.a: a bucket with `path` is a local directory")
    assert f"cannot have `{key}`" in found


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("algorithm: sha-256", "algorithm: 'sha-256' is not an algorithm: one of MD5, SHA1, "),
        ("algorithm: sha-256", "; did you mean SHA256?"),
        ("versions: newest", "versions: 'newest' is not possible: one of current, all"),
        ("max_concurrency: 0", "max_concurrency: 0 is too small: 1 at least"),
        ("max_concurrency: 1025", "max_concurrency: 1025 is too large: 1024 at most"),
        ("max_concurrency: '8'", "max_concurrency: '8' is not a whole number"),
        ("max_concurrency: yes", "max_concurrency: true is not a whole number"),
        ("max_bandwidth: 0", "max_bandwidth: 0 is too small: more than 0, or leave the key out"),
        ("max_bandwidth: 5Mbit", "max_bandwidth: '5Mbit' is not a size: "),
        ("min_bandwidth: -1", "min_bandwidth: -1 is not a size: "),
        ("prefix: /a", "prefix: '/a' begins with '/'"),
        ("prefix: ", "prefix: nothing is not text: write text, or leave the key out"),
        ("bucket: s3://x", "bucket: 's3://x' is not a bucket's name"),
        ("bucket: x/y", "bucket: 'x/y' is not a bucket's name"),
        ("bucket: ''", "bucket: is empty"),
        ("path: s3://x/y", "path: 's3://x/y' is not a local path"),
        ("path: ''", "path: '' is not a path"),
        ("path: ~nobody-of-this-name/x", "begins with a user who is unknown"),
        ("path: [x]", "path: a list is"),
        ("exclude: '*.tmp'", "exclude: '*.tmp' is not a list: write [one, another]"),
        ("exclude: ['']", "exclude[0]: is empty"),
        ("owners: [bob]", "owners[0]: 'bob' is not an owner: an e-mail address or team:name"),
        ("store: fra", "store: 'fra' is not a store of this catalog: one of aws, far; did you mean far?"),
    ],
)
def test_a_wrong_key_of_a_bucket_is_refused_with_what_would_be_right(
    problems: Problems, keys: str, problem: str
) -> None:
    (found,) = problems(with_bucket(keys))
    assert found.startswith("fixity.yaml: buckets.a.") and problem in found


ACCESS_POINT = "arn:aws:s3:us-east-1:111122223333:accesspoint/deposit"


@pytest.mark.parametrize("name", [ACCESS_POINT, f"deposit-{'x' * 34}-s3alias", "Old_Bucket", "dots.in.name"])
def test_an_access_point_and_an_old_name_may_stand_for_a_bucket(load: Load, name: str) -> None:
    assert load(with_bucket(f"bucket: '{name}'")).buckets["a"].real_name == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("deposit--usw2-az1--x-s3", "is a directory bucket (S3 Express One Zone)"),
        ("ap--usw2-az1--xa-s3", "is a directory bucket"),
        ("arn:aws:s3express:us-west-2:111122223333:accesspoint/ap--usw2-az1--xa-s3", "is a directory bucket"),
        (
            "arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap",
            "a check would not say which copy it read",
        ),
        ("mfzwi23gnjvgw.mrap", "is a multi-Region access point"),
        ("ap-x--ol-s3", "is an Object Lambda access point, which changes the bytes"),
        (
            "arn:aws:s3-object-lambda:us-east-1:111122223333:accesspoint/ap",
            "is an Object Lambda access point",
        ),
        ("arn:aws:s3-outposts:us-east-1:111122223333:outpost/op-1/accesspoint/ap", "is on S3 on Outposts"),
        ("x--op-s3", "is on S3 on Outposts"),
        ("x--table-s3", "is a table bucket"),
        ("arn:aws:s3:::deposit", "is the ARN of a bucket: write its name alone, deposit"),
        ("arn:aws:s3:::deposit/p", "is not the ARN of an access point"),
        ("arn:aws:s3:us-east-1:1:accesspoint/ap", "is not the ARN of an access point"),
        ("arn:", "is not the ARN of an access point"),
        ("t:b", "Ceph's tenant:bucket needs a store with the `endpoint_url`"),
    ],
)
def test_a_place_that_only_looks_like_a_bucket_is_refused_with_what_to_name(
    problems: Problems, name: str, problem: str
) -> None:
    (found,) = problems(with_bucket(f"bucket: '{name}'"))
    assert found.startswith("fixity.yaml: buckets.a: ") and problem in found


def test_a_directory_bucket_is_refused_by_its_key_in_the_catalog_too(problems: Problems) -> None:
    (found,) = problems("lake: l\nbuckets: {deposit--usw2-az1--x-s3: }")
    assert "is a directory bucket" in found


def test_a_directory_may_have_any_name(load: Load) -> None:
    assert load("lake: l\nbuckets: {a--x-s3: {path: ./a}}").buckets["a--x-s3"].is_local


def test_a_tenant_of_ceph_may_stand_before_a_bucket_of_an_endpoint(load: Load) -> None:
    assert load(with_bucket("store: far, bucket: 't:b'")).buckets["a"].real_name == "t:b"


def test_an_access_point_is_refused_at_an_endpoint_and_where_s3_or_a_map_reads(problems: Problems) -> None:
    (found,) = problems(with_bucket(f"store: far, bucket: '{ACCESS_POINT}'"))
    assert "leave `endpoint_url` out of the store 'far', or name the access point's alias" in found
    found = problems(with_bucket(f"engine: step_functions, bucket: '{ACCESS_POINT}'"))[0]
    assert "`engine: step_functions` needs the name of a bucket" in found


def test_what_an_etag_is_stands_with_the_store_or_with_one_of_its_buckets(load: Load) -> None:
    text = (
        "lake: l\nstores: {leo: {endpoint_url: 'http://leo', etag_is_md5: false}}\nbuckets:\n"
        "  {a: {store: leo}, b: {store: leo, etag_is_md5: true}, c: {}, d: {etag_is_md5: false}}\n"
    )
    buckets = load(text).buckets
    assert [buckets[name].etag_is_md5 for name in "abcd"] == [False, True, True, False]


@pytest.mark.parametrize("key", ["requester_pays", "etag_is_md5"])
@pytest.mark.parametrize("value", ["requester", "1", "'no'"])
def test_a_yes_or_no_of_a_store_is_true_or_false(problems: Problems, key: str, value: str) -> None:
    (found,) = problems(with_store(f"{key}: {value}"))
    assert f"stores.far.{key}: " in found and found.endswith("is not true or false")


@pytest.mark.parametrize(
    "url",
    ["far", "far:9000", "ftp://far", "https://", "https://:9000", "https://far:port", "http://[::1", "a b"],
)
def test_an_endpoint_that_is_no_url_is_refused(problems: Problems, url: str) -> None:
    (found,) = problems(with_store(f"endpoint_url: '{url}'"))
    assert f"endpoint_url: '{url}' is not the URL of an endpoint: write it as https://host" in found


@pytest.mark.parametrize("url", ["https://far/?x=1", "https://far/p?x=1", "https://far/#x"])
def test_an_endpoint_with_more_than_a_host_and_a_path_is_refused(problems: Problems, url: str) -> None:
    (found,) = problems(with_store(f"endpoint_url: '{url}'"))
    assert "has more than a host and a path" in found


@pytest.mark.parametrize("path", ["/a//b", "/a/../b", "/.", "/a%2Fb", "/é", "/a;b"])
def test_an_endpoint_whose_path_can_be_written_in_two_ways_is_refused(problems: Problems, path: str) -> None:
    (found,) = problems(with_store(f"endpoint_url: 'https://far{path}'"))
    assert "has a path that cannot be signed" in found


def test_an_endpoint_may_have_a_path(load: Load) -> None:
    url = "https://ref.storage.example/storage/v1/s3"
    assert load(with_store(f"endpoint_url: '{url}/'")).stores["far"].endpoint_url == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:8333", "https://[::1]:9000", "https://far.example/"])
def test_an_endpoint_is_a_scheme_a_host_and_a_port(load: Load, url: str) -> None:
    assert load(with_store(f"endpoint_url: '{url}'")).stores["far"].endpoint_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("region: ''", "region: is empty"),
        ("profile: on", "profile: YAML reads this as true"),
        ("addressing_style: dns", "addressing_style: 'dns' is not possible: one of auto, path, virtual"),
        ("ca_bundle: 5", "ca_bundle: 5 is"),
    ],
)
def test_a_wrong_key_of_a_store_is_refused(problems: Problems, keys: str, problem: str) -> None:
    (found,) = problems(with_store(keys))
    assert found.startswith("fixity.yaml: stores.far.") and problem in found


@pytest.mark.parametrize(
    ("lake", "problem"),
    [
        ("gs://x/y", "'gs://x/y' cannot hold the lake"),
        ("s3://", "'s3://' is not a place for the lake: write s3://bucket/prefix"),
        ("s3:///prefix", "is not a place for the lake"),
        ("s3://bucket//prefix", "is not a place for the lake"),
        ("''", "'' is not a path"),
        ("5", "YAML reads 5 as a number"),
        ("[x]", "a list is not text"),
    ],
)
def test_a_lake_that_is_no_place_is_refused(problems: Problems, lake: str, problem: str) -> None:
    (found,) = problems(f"lake: {lake}\nbuckets: {{a: }}")
    assert found.startswith("fixity.yaml: lake: ") and problem in found


def test_the_lakes_store_must_exist(problems: Problems) -> None:
    (found,) = problems("lake: s3://x\nlake_store: asw\nbuckets: {a: }")
    assert (
        found
        == "fixity.yaml: lake_store: 'asw' is not a store of this catalog: one of aws; did you mean aws?"
    )


def test_a_catalog_without_buckets_is_refused(problems: Problems) -> None:
    assert problems("lake: l\nbuckets:\n") == ["fixity.yaml: buckets: is empty: give one at least"]


@pytest.mark.parametrize("section", ["stores", "buckets", "pairs"])
def test_a_section_or_part_that_is_no_mapping_is_refused(problems: Problems, section: str) -> None:
    sections = {"lake": "l", "buckets": "{a: }"}
    whole = problems("\n".join(f"{k}: {v}" for k, v in {**sections, section: "[x]"}.items()))
    assert whole == [f"fixity.yaml: {section}: a list is not a mapping of keys to values"]
    part = problems("\n".join(f"{k}: {v}" for k, v in {**sections, section: "{x: 5}"}.items()))
    assert part == [f"fixity.yaml: {section}.x: 5 is not a mapping of keys to values"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (with_pair("replica: c"), "pairs.a.replica: 'c' is not a bucket of this catalog: one of a, b"),
        (with_pair("source: c, replica: b"), "pairs.a.source: 'c' is not a bucket of this catalog"),
        (with_pair("replica: a"), "pairs.a.replica: 'a' is the source as well: name the bucket"),
        (with_pair(""), "pairs.a.replica: is missing: the name of the bucket that holds the copy"),
        (with_pair("replica: b", "bucket: same", "bucket: same"), "buckets.b: a and b are one place"),
        (with_pair("replica: b", "path: x", "path: y/../x"), "buckets.b: a and b are one place"),
        (
            with_pair("replica: b", b="algorithm: MD5"),
            "pairs.a: a is hashed with SHA256 and b with MD5: both buckets of a pair need the same",
        ),
        (
            with_pair("replica: b, match: version", a="versions: all"),
            "pairs.a.match: 'version' needs `versions: all` in both buckets, but b does not have it: set it",
        ),
        (with_pair("replica: b, match: version"), "in both buckets, but a and b do not have it"),
        (with_pair("replica: b, match: name"), "pairs.a.match: 'name' is not possible: one of key, version"),
        (with_pair("replica: b, replication_lag: 900"), "replication_lag: 900 is not a duration, it has no"),
        (with_pair("replica: b, replication_lag: soon"), "replication_lag: 'soon' is not a duration: write"),
        (
            "lake: l\nbuckets: {a: , b: }\npairs: {both: {replica: b}}",
            "pairs.both.source: 'both' is not a bucket of this catalog: one of a, b "
            "(a pair without `source` is named after it)",
        ),
    ],
)
def test_a_pair_that_cannot_be_compared_is_refused(problems: Problems, text: str, problem: str) -> None:
    (found,) = problems(text)
    assert problem in found


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ("exclude: [x, y]", "exclude: [y, x, x]", None),
        ("", "", None),
        (
            "exclude: ['*.tmp', x]",
            "exclude: [x]",
            "a excludes '*.tmp', 'x', but b excludes 'x': objects that only one side",
        ),
        (
            "",
            "exclude: [x]",
            "a excludes nothing, but b excludes 'x': objects that only one side excludes are reported",
        ),
    ],
)
def test_what_only_one_side_leaves_out_is_warned_of(load: Load, a: str, b: str, told: str | None) -> None:
    catalog = load(with_pair("replica: b", a, b))
    found = catalog.cautions(catalog.pairs["a"])
    assert found == [] if told is None else found[0].startswith(told) and len(found) == 1


def test_one_bucket_in_two_places_of_a_store_is_two_places(load: Load) -> None:
    assert load(with_pair("replica: b", "bucket: x, prefix: a/", "bucket: x, prefix: b/")).pairs


def test_all_problems_come_together(problems: Problems) -> None:
    found = problems(
        """
lake: gs://x
stores:
  far: {endpoint_url: far, secret_key: hunter2}
buckets:
  a: {algorithm: sha-256, max_concurrency: 0}
  a: {}
  b: {store: fra}
  c: {algorithm: MD5}
  on: {}
pairs:
  a: {replica: c}
  b: {replica: c}
  c: {replica: nowhere, replication_lagg: 5}
  d: {source: c, replica: nowhere}
"""
    )
    places = [problem.split(": ")[0] + ": " + problem.split(": ")[1] for problem in found]
    assert [place.removeprefix("fixity.yaml: ") for place in places] == [
        "fixity.yaml:7:3: the key 'a' is here a second time, first in line 6",
        "fixity.yaml:10:3: YAML does not read the key on as text",
        "lake",
        "stores.far.endpoint_url",
        "stores.far.secret_key",
        "buckets.a.algorithm",
        "buckets.a.max_concurrency",
        "pairs.c.replication_lagg",
        "buckets.b.store",
        "pairs.b",
        "pairs.d.replica",
    ]
    assert "hunter2" not in str(found)


def test_what_is_restored_must_be_read_by_the_platform_itself(problems: Problems) -> None:
    (found,) = problems(with_bucket("archived: restore, engine: step_functions"))
    assert "`archived: restore` cannot go with `engine: step_functions`" in found
