"""A catalog as text, loaded; and the problems that one gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fixity.catalog import Catalog, CatalogError, load_catalog

Load = Callable[[str], Catalog]
Problems = Callable[[str], list[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with no catalog named in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FIXITY_CATALOG", raising=False)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    """Loads a text as the catalog of the working directory."""

    def load_text(text: str) -> Catalog:
        (folder / "fixity.yaml").write_text(text, encoding="utf-8")
        return load_catalog()

    return load_text


@pytest.fixture
def problems(load: Load) -> Problems:
    """The problems of a text that is no good catalog."""

    def problems_of(text: str) -> list[str]:
        with pytest.raises(CatalogError) as caught:
            load(text)
        assert str(caught.value) == "\n".join(caught.value.problems)
        assert all("\n" not in problem for problem in caught.value.problems)
        return caught.value.problems

    return problems_of


def with_bucket(keys: str) -> str:
    return f"lake: ./lake\nstores: {{far: {{endpoint_url: 'http://far:9000'}}}}\nbuckets: {{a: {{{keys}}}}}\n"


def with_store(keys: str) -> str:
    return f"lake: ./lake\nbuckets: {{a: }}\nstores: {{far: {{{keys}}}}}\n"


def with_pair(keys: str, a: str = "", b: str = "") -> str:
    return f"lake: ./lake\nbuckets: {{a: {{{a}}}, b: {{{b}}}}}\npairs: {{a: {{{keys}}}}}\n"
