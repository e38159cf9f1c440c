"""Finding the file and reading YAML: which file it is, and what YAML would make of it in silence."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fixity.catalog import Catalog, CatalogError, load_catalog
from fixity.catalog.load import find_catalog
from tests.fixity.catalog.conftest import Load, Problems

SMALLEST = "lake: ./lake\nbuckets: {deposit: }\n"


def test_the_given_file_comes_before_the_environment_and_that_before_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fixity.yaml", "named.yaml", "given.yaml"):
        (folder / name).write_text(SMALLEST)
    assert find_catalog() == folder / "fixity.yaml"
    monkeypatch.setenv("FIXITY_CATALOG", "named.yaml")
    assert find_catalog() == folder / "named.yaml"
    assert find_catalog(Path("given.yaml")) == folder / "given.yaml"
    monkeypatch.setenv("FIXITY_CATALOG", "")
    assert find_catalog() == folder / "fixity.yaml"


def test_where_no_catalog_is_the_error_says_where_it_looked_and_what_to_do(folder: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        find_catalog()
    assert str(folder / "fixity.yaml") in str(caught.value)
    assert "--catalog" in str(caught.value) and "FIXITY_CATALOG" in str(caught.value)


def test_a_named_file_that_is_not_there_is_an_error_even_beside_a_fixity_yaml(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "fixity.yaml").write_text(SMALLEST)
    with pytest.raises(CatalogError, match=r"absent\.yaml: there is no such file \(the path given\)"):
        find_catalog(Path("absent.yaml"))
    with pytest.raises(CatalogError, match="is a directory"):
        find_catalog(folder)
    monkeypatch.setenv("FIXITY_CATALOG", "absent.yaml")
    with pytest.raises(CatalogError, match=r"no such file \(the environment variable FIXITY_CATALOG\)"):
        find_catalog()


def test_an_error_names_the_file_and_survives_pickling(folder: Path) -> None:
    (folder / "fixity.yaml").write_text("lake: 5")
    with pytest.raises(CatalogError) as caught:
        load_catalog()
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.file == caught.value.file == folder / "fixity.yaml"
    assert again.problems == caught.value.problems


def test_a_catalog_elsewhere_is_shown_with_its_whole_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    (folder / "other.yaml").write_text("lake: 5\nbuckets: {a: }")
    monkeypatch.chdir(folder / "sub")
    with pytest.raises(CatalogError) as caught:
        load_catalog(folder / "other.yaml")
    assert caught.value.problems == [f"{folder}/other.yaml: lake: YAML reads 5 as a number: put it in quotes"]


def test_a_key_that_is_there_twice_is_refused_with_both_lines(problems: Problems) -> None:
    text = "lake: ./lake\nbuckets:\n  deposit: {}\n  deposit: {algorithm: MD5}\n"
    assert problems(text) == [
        "fixity.yaml:4:3: the key 'deposit' is here a second time, first in line 3: keep one"
    ]


def test_a_merge_key_may_be_overridden(load: Load) -> None:
    catalog = load(
        "lake: l\nbuckets:\n  a: &base {algorithm: MD5, versions: all}\n  b: {<<: *base, algorithm: SHA1}"
    )
    assert (catalog.buckets["b"].algorithm, catalog.buckets["b"].versions) == ("SHA1", "all")


_LAUGHS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))
_MERGES = "\n".join(f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 10)}]}}" for n in range(1, 12))


@pytest.mark.parametrize(
    "text", [f"l0: &l0 [lol]\n{_LAUGHS}", f"l0: &l0 {{a: b}}\n{_MERGES}", "l: &l [*l]", "l: &l {k: *l}"]
)
def test_aliases_that_explode_are_refused_at_once(problems: Problems, text: str) -> None:
    began = time.process_time()
    (found,) = problems(f"lake: l\n{text}\nbuckets: {{a: }}\n")
    assert "its aliases repeat too much: write it without them" in found and found.startswith("fixity.yaml:")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("key", ["on", "123", "true", "1.5"])
def test_a_name_that_yaml_reads_as_something_else_is_refused(problems: Problems, key: str) -> None:
    found = problems(f"lake: ./lake\nbuckets:\n  {key}: {{}}\n")
    assert found[0] == f"fixity.yaml:3:3: YAML does not read the key {key} as text: put it in quotes"


@pytest.mark.parametrize("name", ["on", "123", "2026-01-01", "1.5"])
def test_in_quotes_it_is_a_name(load: Load, name: str) -> None:
    assert load(f"lake: ./lake\nbuckets: {{'{name}': {{}}}}").buckets[name].name == name


def test_a_date_needs_no_quotes(load: Load) -> None:
    assert "2026-01-01" in load("lake: l\nbuckets: {2026-01-01: {description: 2026-13-99}}").buckets


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("on", "YAML reads this as true, as it does on, off, yes and no"),
        ("123", "YAML reads 123 as a number"),
    ],
)
def test_a_value_that_yaml_reads_as_something_else_is_refused(
    problems: Problems, value: str, said: str
) -> None:
    found = problems(f"lake: l\nbuckets: {{a: {{bucket: {value}}}}}")
    assert found == [f"fixity.yaml: buckets.a.bucket: {said}: put it in quotes"]


def test_a_tab_is_refused_with_line_and_column(problems: Problems) -> None:
    (found,) = problems("lake: l\nbuckets:\n\ta: {}\n")
    assert found.startswith("fixity.yaml:3:1: is not valid YAML: found character '\\t'")
    assert "spaces, not tabs" in found


def test_a_syntax_error_is_refused_with_its_place_and_without_the_line(problems: Problems) -> None:
    (found,) = problems("lake: l\nstores: {w: {profile: hunter2\nbuckets: {}\n")
    assert found.startswith("fixity.yaml:3:8: is not valid YAML: ")
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "text",
    ["a: *nowhere", "a: !!python/object:os.system x", "a: 1\n---\na: 2", "x: 0x_", "a: \x01", "[" * 5000],
)
def test_what_yaml_cannot_read_is_an_error_of_one_line(problems: Problems, text: str) -> None:
    assert len(problems(text)) == 1


@pytest.mark.parametrize(("text", "what"), [("- lake", "a list"), ("lake", "'lake'"), ("5", "5")])
def test_a_top_level_that_is_no_mapping_is_refused(problems: Problems, text: str, what: str) -> None:
    assert problems(text) == [f"fixity.yaml: its top level is {what}, not a mapping of keys to values"]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_told_so_and_what_it_needs(problems: Problems, text: str) -> None:
    assert problems(text) == [
        "fixity.yaml: is empty",
        "fixity.yaml: lake: is missing: where tables and reports are kept: a directory, or "
        "`s3://bucket/prefix`.",
        "fixity.yaml: buckets: is missing: buckets by name; at least one.",
    ]


def test_a_key_must_be_text(problems: Problems) -> None:
    assert problems("lake: l\nbuckets: {a: }\n? [x]\n: y\n") == ["fixity.yaml:3:3: a key must be text"]


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(folder: Path) -> None:
    (folder / "fixity.yaml").write_bytes(b"lake: l\nowners: [caf\xe9]\n")
    with pytest.raises(CatalogError, match=r"^fixity\.yaml:2: is not UTF-8"):
        load_catalog()


def test_a_byte_order_mark_is_no_part_of_the_first_key(folder: Path) -> None:
    (folder / "fixity.yaml").write_bytes(b"\xef\xbb\xbf" + SMALLEST.encode())
    assert load_catalog().lake == str(folder / "lake")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_an_error_that_says_so(folder: Path) -> None:
    (folder / "fixity.yaml").write_text(SMALLEST)
    (folder / "fixity.yaml").chmod(0)
    with pytest.raises(CatalogError, match=r"^fixity\.yaml: cannot be read: Permission denied"):
        load_catalog()


def test_a_failing_disk_is_an_error_that_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "fixity.yaml").write_text(SMALLEST)

    def fail(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(CatalogError, match=r"^fixity\.yaml: cannot be read: Input/output error"):
        load_catalog()


_SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.just("s3://a/b")
)
_KEYS = (
    *(
        "lake",
        "lake_store",
        "stores",
        "buckets",
        "pairs",
        "owners",
        "a",
        "b",
        "aws",
        "path",
        "store",
        "bucket",
    ),
    *("prefix", "versions", "match", "source", "replica", "replication_lag", "endpoint_url", "ca_bundle"),
    *("max_bandwidth", "exclude", "name", "file"),
)
_KEY = st.sampled_from(_KEYS)
_TREE = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEY, inner, max_size=6)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.text(), st.dictionaries(_KEY, _TREE).map(repr), _TREE.map(repr)))
@example("lake: '\\0'\nbuckets: {}")
@example('lake: l\nbuckets: {a: {path: "\\ud800"}, b: {path: "\\0"}}\npairs: {a: {replica: b}}')
@example("&a {lake: *a, buckets: *a}")
@example(f"lake: l\nbuckets: {{a: {{max_concurrency: 0x{'f' * 5000}}}}}")
def test_any_text_is_a_catalog_or_a_catalog_error(folder: Path, text: str) -> None:
    (folder / "fixity.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        assert isinstance(load_catalog(), Catalog)
    except CatalogError as error:
        assert error.problems and str(error).encode()
