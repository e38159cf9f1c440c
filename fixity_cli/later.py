"""Modules that libraries import and that the command hardly ever uses: loaded when they are used, or never.

Which modules these are does not belong here.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


@contextmanager
def loaded_later(*names: str) -> Iterator[None]:
    """Modules that are imported in the `with` block are loaded at the first use of an attribute.

    Arguments: `names`, of the modules; what is imported already stays as it is.
    """
    with _asked_first(_Finder(names)):
        yield


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """Modules without which a library can do are not found in the `with` block.

    Arguments: `names`, of the modules; what is imported already stays as it is.
    """
    with _asked_first(_NotThere(names)):
        yield


@contextmanager
def _asked_first(finder: MetaPathFinder) -> Iterator[None]:
    # Another list each time: a thread that imports meanwhile walks through the one before. Of a list that
    # becomes shorter it would leave out a finder.
    sys.meta_path = [finder, *sys.meta_path]
    try:
        yield
    finally:
        sys.meta_path = [each for each in sys.meta_path if each is not finder]


class _NotThere(MetaPathFinder):
    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: object) -> None:
        """Raises ModuleNotFoundError if the module is one of those that are left out."""
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)


class _Finder(MetaPathFinder):
    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec, if it is one of those that are loaded later."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in self._names else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
