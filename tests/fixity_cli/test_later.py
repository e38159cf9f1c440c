"""Modules that are loaded when they are used."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from fixity_cli.later import left_out, loaded_later


def test_a_module_is_loaded_when_it_is_used_and_others_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("used_later", "used_now"):
        (tmp_path / f"{name}.py").write_text("import sys\nsys.loaded_here.append(__name__)\nVALUE = 5\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    loaded: list[str] = []
    monkeypatch.setattr(sys, "loaded_here", loaded, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    with loaded_later("used_later", "not_there_at_all"):
        later = import_module("used_later")
        import_module("used_now")
        with pytest.raises(ModuleNotFoundError):
            import_module("not_there_at_all")
    assert loaded == ["used_now"]
    assert later.VALUE == 5
    assert loaded == ["used_now", "used_later"]
    assert sys.meta_path == finders
    for name in ("used_later", "used_now"):
        del sys.modules[name]


def test_a_module_that_is_left_out_is_found_again_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_for_colours.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    with left_out("only_for_colours", "sys"):
        with pytest.raises(ModuleNotFoundError):
            import_module("only_for_colours")
        assert import_module("sys") is sys  # it is imported already
    assert sys.meta_path == finders
    import_module("only_for_colours")
    del sys.modules["only_for_colours"]


def test_a_thread_that_imports_while_the_block_ends_still_finds_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_meanwhile.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    block = loaded_later("not_there_at_all")

    class EndsTheBlock(MetaPathFinder):
        def find_spec(self, *_: object) -> None:
            block.__exit__(None, None, None)

    at = sys.meta_path.index(PathFinder)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path[:at], EndsTheBlock(), *sys.meta_path[at:]])
    block.__enter__()
    import_module("imported_meanwhile")
    del sys.modules["imported_meanwhile"]
