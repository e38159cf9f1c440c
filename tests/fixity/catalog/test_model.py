"""What a catalog means: defaults filled in, names that lead somewhere, paths made absolute."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from dagster._core.definitions.utils import is_valid_owner  # the rule itself is not public
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fixity.catalog import ALGORITHMS, Algorithm, Bucket, Catalog, Pair, Store, load_catalog
from fixity.catalog.fields import Owner
from tests.fixity.catalog.conftest import Load, with_pair

OWNER: TypeAdapter[str] = TypeAdapter(Owner)

EXAMPLE = """
lake: ./lake
owners: [team:preservation]
stores:
  wasabi: {endpoint_url: https://s3.us-east-1.wasabisys.com, region: us-east-1, profile: wasabi}
buckets:
  digipres-dev1-private: {}
  digipres-dev1-private-repl:
    {store: wasabi, bucket: real-bucket-name, prefix: "", exclude: ["*.tmp"], min_bandwidth: 0}
  deposit: {path: data/deposit, max_concurrency: 8, max_bandwidth: 20MiB, owners: [ann@example.org]}
  deposit-copy: {path: /data/deposit, algorithm: SHA256}
pairs:
  digipres-dev1-private: {replica: digipres-dev1-private-repl}
  local: {source: deposit, replica: deposit-copy, replication_lag: 2h 30m}
"""


def test_the_example_is_read_with_every_default_filled_in(load: Load, folder: Path) -> None:
    catalog = load(EXAMPLE)
    assert (catalog.file, catalog.lake) == (folder / "fixity.yaml", str(folder / "lake"))
    private, replica, deposit, _ = catalog.buckets.values()
    assert (private.store, private.real_name, private.algorithm, private.versions, private.is_local) == (
        "aws",
        "digipres-dev1-private",
        "SHA256",
        "current",
        False,
    )
    assert (replica.real_name, replica.exclude) == ("real-bucket-name", ("*.tmp",))
    assert (private.min_bandwidth, replica.min_bandwidth) == (1024, 0)
    assert deposit.is_local and deposit.path == folder / "data/deposit"
    assert (deposit.max_concurrency, deposit.max_bandwidth) == (8, 20 * 2**20)
    first, second = catalog.pairs.values()
    assert (first.name, first.source, first.match, first.replication_lag) == (
        "digipres-dev1-private",
        "digipres-dev1-private",
        "key",
        timedelta(minutes=15),
    )
    assert second.replication_lag == timedelta(hours=2, minutes=30)


def test_a_bucket_leads_to_its_store(load: Load) -> None:
    catalog = load(EXAMPLE)
    wasabi = catalog.store_of(catalog.buckets["digipres-dev1-private-repl"])
    assert (wasabi.name, wasabi.profile) == ("wasabi", "wasabi")
    assert catalog.store_of(catalog.buckets["digipres-dev1-private"]) == Store(name="aws")


def test_the_store_aws_may_be_given_keys_of_its_own(load: Load) -> None:
    catalog = load("lake: l\nstores: {aws: {region: eu-west-1}}\nbuckets: {a: }")
    assert catalog.store_of(catalog.buckets["a"]).region == "eu-west-1"


def test_the_pairs_of_a_bucket_are_those_with_it_on_either_side(load: Load) -> None:
    catalog = load(
        "lake: l\nbuckets: {a: , b: , c: , d: }\npairs: {a: {replica: b}, b: {replica: c}, d: {replica: a}}"
    )
    assert [pair.name for pair in catalog.pairs_of("a")] == ["a", "d"]
    assert [pair.name for pair in catalog.pairs_of("b")] == ["a", "b"]
    assert catalog.pairs_of("nobody") == []


def test_buckets_without_owners_have_those_of_the_catalog(load: Load) -> None:
    catalog = load("lake: l\nowners: [team:x]\nbuckets: {a: , b: {owners: [a@b.org]}, c: {owners: []}}")
    assert [bucket.owners for bucket in catalog.buckets.values()] == [("team:x",), ("a@b.org",), ()]


@pytest.mark.parametrize("section", ["", "pairs:\n", "pairs: {}\n", "stores:\n"])
def test_stores_and_pairs_may_be_left_out_or_empty(load: Load, section: str) -> None:
    catalog = load(f"lake: l\nbuckets:\n  a:\n{section}")
    assert (catalog.pairs, list(catalog.stores), list(catalog.buckets)) == ({}, ["aws"], ["a"])


@pytest.mark.parametrize(
    ("a", "b", "match"),
    [
        ("versions: all", "versions: all", "version"),
        ("versions: all", "", "key"),
        ("", "versions: all", "key"),
        ("", "", "key"),
    ],
)
def test_match_is_by_version_where_both_buckets_list_all_versions(
    load: Load, a: str, b: str, match: str
) -> None:
    assert load(with_pair("replica: b", a, b)).pairs["a"].match == match


def test_match_by_key_may_be_chosen_where_both_list_all_versions(load: Load) -> None:
    catalog = load(with_pair("replica: b, match: key", "versions: all", "versions: all"))
    assert catalog.pairs["a"].match == "key"


def test_relative_paths_start_at_the_catalogs_folder_not_at_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "conf").mkdir()
    text = "lake: lake\nstores: {s: {ca_bundle: ca.pem}}\nbuckets: {a: {path: ./a}, b: {path: ../b}}"
    (folder / "conf/fixity.yaml").write_text(text)
    catalog = load_catalog(Path("conf/fixity.yaml"))
    assert catalog.lake == str(folder / "conf/lake")
    assert catalog.stores["s"].ca_bundle == folder / "conf/ca.pem"
    assert catalog.buckets["a"].path == folder / "conf/a"
    assert catalog.buckets["b"].path == folder / "conf/../b"


def test_a_tilde_is_the_home_directory(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    catalog = load("lake: ~/lake\nbuckets: {a: {path: ~/a}}")
    assert (catalog.lake, catalog.buckets["a"].path) == ("/home/ann/lake", Path("/home/ann/a"))


@pytest.mark.parametrize("text", ["s3://managed/prefix", "s3://managed/prefix/", "s3://managed/prefix//"])
def test_a_lake_on_s3_has_no_slash_at_its_end_and_a_store(load: Load, text: str) -> None:
    catalog = load(f"lake: {text}\nlake_store: far\nstores: {{far: }}\nbuckets: {{a: }}")
    assert (catalog.lake, catalog.lake_store) == ("s3://managed/prefix", "far")


def test_a_catalog_can_be_built_in_python(tmp_path: Path) -> None:
    catalog = Catalog(
        file=tmp_path / "fixity.yaml",
        lake=str(tmp_path),
        buckets={"a": Bucket(name="a", path=tmp_path / "a"), "b": Bucket(name="b", path=tmp_path / "b")},
        pairs={"a": Pair(name="a", replica="b")},
    )
    assert (catalog.pairs["a"].source, catalog.pairs["a"].match) == ("a", "key")
    with pytest.raises(ValidationError, match="not a bucket of this catalog"):
        Catalog(
            file=tmp_path,
            lake=str(tmp_path),
            buckets=catalog.buckets,
            pairs={"x": Pair(name="x", replica="b")},
        )


def test_a_catalog_cannot_be_changed(load: Load) -> None:
    with pytest.raises(ValidationError):
        load(EXAMPLE).lake = "elsewhere"  # type: ignore[misc]  # what is tested


def test_the_algorithms_are_those_of_s3() -> None:
    assert get_args(Algorithm) == ALGORITHMS
    assert ALGORITHMS[:4] == ("MD5", "SHA1", "SHA256", "SHA512")
    assert ALGORITHMS[4:7] == ("CRC32", "CRC32C", "CRC64NVME")
    assert ALGORITHMS[7:] == ("XXHASH64", "XXHASH3", "XXHASH128")


@given(st.one_of(st.text(), st.emails(), st.from_regex(r"(team:)?[a-z.@|A-Z -]*")))
@example("team:")
@example("team:x")
@example("ann@example.org")
@example("ann@example.org\n")
def test_the_owners_are_exactly_those_that_dagster_takes(owner: str) -> None:
    try:
        OWNER.validate_python(owner)
        taken = True
    except ValidationError:
        taken = False
    assert taken == is_valid_owner(owner)
