"""Finds the catalog's file and reads it into a `Catalog`, or reports every problem of the file.

Reading YAML (`strict_yaml`), the rules (`model`, `references`) and the wording of errors (`errors`) do
not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from fixity.catalog.catalog import Catalog, with_name
from fixity.catalog.errors import CatalogError, describe, unknown_key
from fixity.catalog.locations import place_problems
from fixity.catalog.log import stores_of_log
from fixity.catalog.map_results import stores_of_map_results
from fixity.catalog.messages import key_path
from fixity.catalog.model import Bucket, Pair, Store
from fixity.catalog.policy import with_policies
from fixity.catalog.queues import stores_of_queues
from fixity.catalog.references import reference_problems
from fixity.catalog.stacks import StacksUnknown, with_stacks
from fixity.catalog.strict_yaml import UnreadableError, read_mapping

FILE_NAME = "fixity.yaml"
"""The catalog's name in the working directory."""

ENVIRONMENT = "FIXITY_CATALOG"
"""The environment variable with the catalog's path."""

PartT = TypeVar("PartT", bound=BaseModel)


def find_catalog(given: Path | None = None) -> Path:
    """The catalog's file: the one given, else `$FIXITY_CATALOG`, else `./fixity.yaml`.

    Returns: the absolute path of an existing file.
    Raises: CatalogError if there is none; its text says where fixity looked and what to do.
    """
    from_environment = os.environ.get(ENVIRONMENT, "")
    if given is not None:
        file, source = Path(given), "the path given"
    elif from_environment:
        file, source = Path(from_environment), f"the environment variable {ENVIRONMENT}"
    else:
        file, source = Path(FILE_NAME), ""
    try:
        file = file.expanduser().absolute()
        if file.is_file():
            return file
        is_directory = file.is_dir()
    except (OSError, ValueError, RuntimeError):  # no permission, a NUL in the name, an unknown ~user
        is_directory = False
    if is_directory:
        raise CatalogError([f"{file}: is a directory ({source}): name the catalog's file in it"], file)
    if source:
        raise CatalogError([f"{file}: there is no such file ({source})"], file)
    raise CatalogError(
        [
            f"{file}: there is no such file, no path was given, and {ENVIRONMENT} is not set: "
            f"write {FILE_NAME} there, or name your catalog with --catalog FILE or {ENVIRONMENT}"
        ]
    )


def load_catalog(given: Path | None = None) -> Catalog:
    """The catalog, validated, with every default filled in.

    Arguments: given: its file; by default `find_catalog` finds it.
    Raises: CatalogError with every problem: file, path of keys or line, the bad value, and what would
        be right.
    """
    file = find_catalog(given)
    try:
        content, problems = read_mapping(file)
    except UnreadableError as error:
        raise CatalogError([f"{_short_path(file)}{error}"], file) from None
    try:
        content = with_stacks(content)
    except StacksUnknown as error:
        problems.append(f": stacks: {error}")
    if "file" in content:  # a field of the model, but not a key of the file
        problems.append(f": file: {unknown_key(['file'])}")
    try:
        catalog = Catalog.model_validate({**content, "file": file}, context={"folder": file.parent})
    except ValidationError as error:
        problems += [f": {problem}" for problem in describe(error)]
        if not any(details["type"] == "reference" for details in error.errors()):
            problems += [f": {problem}" for problem in _references(content, file.parent)]
    if problems:
        # Outside of `except`: the traceback would otherwise show values that the problems leave out.
        raise CatalogError([f"{_short_path(file)}{problem}" for problem in problems], file)
    return catalog


def _references(content: Mapping[str, object], folder: Path) -> list[str]:
    """Problems between the parts of a catalog, when some parts are invalid on their own.

    Pydantic stops before it checks these, but the author should see all problems at once.
    """
    with_names = with_policies(content)
    assert isinstance(with_names, Mapping)
    sections = [with_names.get(key) or {} for key in ("stores", "buckets", "pairs")]
    stores, buckets, pairs = (section if isinstance(section, dict) else None for section in sections)
    lake_store = content.get("lake_store", "aws")
    if stores is None or buckets is None or pairs is None or not isinstance(lake_store, str):
        return []
    known_stores = _parts(Store, {"aws": None, **stores}, folder)
    known_buckets = _parts(Bucket, buckets, folder)
    problems = reference_problems(
        {("lake_store",): lake_store, **dict(stores_of_queues(content.get("queues")))}
        | dict(stores_of_map_results(content.get("map_results")))
        | dict(stores_of_log(content.get("log"))),
        known_stores,
        known_buckets,
        _parts(Pair, pairs, folder),
    )
    problems += place_problems(None, lake_store, known_stores, known_buckets)
    return [f"{key_path(keys)}: {why}" for keys, why in problems]


def _parts(kind: type[PartT], section: Mapping[str, object], folder: Path) -> dict[str, PartT | None]:
    """The parts of a section by name; None for an invalid part."""
    parts: dict[str, PartT | None] = {}
    for name, part in section.items():
        try:
            parts[name] = kind.model_validate(with_name(name, part), context={"folder": folder})
        except ValidationError:
            parts[name] = None
    return parts


def _short_path(file: Path) -> str:
    """The path relative to the working directory, if the file is below it."""
    try:
        return str(file.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(file)
