"""Refuses to start where a user's module has the same name as one of our packages.

`jobs`, `resources` and `sensors` are usual names. Where a user's own module comes first on Python's path,
imports fail with a riddle ("'jobs' is not a package"). Nothing but that check belongs here.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_OURS = Path(__file__).resolve().parents[1]
_NAMES = ("fixity", "resources", "jobs", "sensors")


class NamesakeError(ImportError):
    """A module of the user's has the name of one of ours, and Python finds it first.

    No `FixityError`: the package that has that class may be the one that is not found.
    """


def refuse_namesakes() -> None:
    """Look where Python finds our packages. Raises NamesakeError that names the file which is not ours."""
    for name in _NAMES:
        spec = find_spec(name)
        if spec is None:  # the import itself will say so
            continue
        found = spec.origin or next(iter(spec.submodule_search_locations or ()), "?")
        if Path(found).resolve() != _OURS / name / "__init__.py":
            raise NamesakeError(
                f"{found}: this file has the same name as fixity's package '{name}' ({_OURS / name}), and "
                "Python finds it first. Rename it, or start from another directory and take its directory "
                "off PYTHONPATH"
            )
