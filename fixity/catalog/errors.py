"""Error messages about a catalog, for its author: file, path of keys, value, and what would be right.

The rules themselves do not belong here; they are in `model` and `references`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fixity.catalog.catalog import Catalog
from fixity.catalog.messages import NO_SECRETS, did_you_mean, is_secret_key, key_path, shown
from fixity.errors import WrongUsage

_FILLED_IN = ("file", "name")  # filled in from the file's name and from keys, never written by users


class CatalogError(WrongUsage):
    """The catalog cannot be used.

    file: the catalog, or None if there is none. problems: every problem, each a line that begins with
    the file's name. The error's text is all of them, one a line.
    """

    def __init__(self, problems: Sequence[str], file: Path | None = None) -> None:
        super().__init__(problems, file)
        self.problems = list(problems)
        self.file = file

    def __str__(self) -> str:
        return "\n".join(self.problems)


def describe(error: ValidationError) -> list[str]:
    """Pydantic's errors about a catalog as sentences, each after its path of keys.

    Values that are or could be credentials are left out.
    """
    return [
        f"{key_path(_as_written(d['loc']))}: {_what(d)}"
        for d in error.errors(include_url=False)
        if d["type"] != "default_factory_not_called"  # it only follows from another error
    ]


def unknown_key(keys: Sequence[str | int]) -> str:
    """The error text for a key that the catalog does not know."""
    if is_secret_key(keys[-1]):
        return NO_SECRETS
    allowed = [key for key in fields_by_key(_model_at(keys)) if key not in _FILLED_IN]
    return f"there is no such key{did_you_mean(keys[-1], allowed)} (keys here: {', '.join(allowed)})"


def _as_written(keys: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The path as in the file, where the name of a part is its key."""
    return keys[:2] if len(keys) == 3 and keys[2] == "name" else keys


def _what(details: ErrorDetails) -> str:
    keys, context = details["loc"], details.get("ctx", {})
    value = "(not shown)" if is_secret_key(keys[-1]) else shown(details["input"])
    match details["type"]:
        case "extra_forbidden":
            return unknown_key(keys)
        case "missing":
            return f"is missing: {_meaning(keys)}"
        case "value_error":
            return str(context["error"])
        case "reference" | "secret":
            return str(context["why"])
        case "literal_error":
            return _not_one_of(details, value)
        case "string_type":
            return _not_text(details["input"], value)
        case "tuple_type":
            return f"{value} is not a list: write [one, another], or one a line after '- '"
        case "model_type" | "dict_type":
            return f"{value} is not a mapping of keys to values"
        case "bool_type":
            return f"{value} is not true or false"
        case "int_type":
            return f"{value} is not a whole number"
        case "greater_than":
            return f"{value} is too small: more than {context['gt']}, or leave the key out"
        case "greater_than_equal":
            return f"{value} is too small: {context['ge']} at least"
        case "less_than_equal":
            return f"{value} is too large: {context['le']} at most"
        case "string_pattern_mismatch":
            return f"{value} is wrong: {_meaning(keys)}"
        case "string_too_short":
            return "is empty: give a value, or leave the key out"
        case "too_short":
            return "is empty: give one at least"
        case _:
            return f"{value} is wrong: {details['msg']}"


def _not_one_of(details: ErrorDetails, value: str) -> str:
    allowed = re.findall(r"'([^']*)'", details["ctx"]["expected"])
    what = "an algorithm" if details["loc"][-1] == "algorithm" else "possible"
    return f"{value} is not {what}: one of {', '.join(allowed)}{did_you_mean(details['input'], allowed)}"


def _not_text(given: object, value: str) -> str:
    if isinstance(given, bool):
        return f"YAML reads this as {value}, as it does on, off, yes and no: put it in quotes"
    if isinstance(given, int | float):
        return f"YAML reads {value} as a number: put it in quotes"
    return f"{value} is not text: write text, or leave the key out"


def meanings(part: type[BaseModel]) -> dict[str, str]:
    """The keys of a part of the catalog that users write, each with its docstring as one line.

    Read from the source, because pydantic would read all of them at every start.
    """
    (described,) = ast.parse(inspect.getsource(part)).body
    assert isinstance(described, ast.ClassDef)
    found: dict[str, str] = {}
    for stated, below in pairwise(described.body):
        match stated, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    fields = part.model_fields
    return {fields[name].alias or name: text for name, text in found.items() if name not in _FILLED_IN}


def fields_by_key(part: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a part by the keys that users write: `from` is no name of a field."""
    return {field.alias or name: field for name, field in part.model_fields.items()}


def _meaning(keys: Sequence[str | int]) -> str:
    meaning = meanings(_model_at(keys)).get(str(keys[-1]), "It must be given")
    return f"{meaning[0].lower()}{meaning[1:]}"


def _model_at(keys: Sequence[str | int]) -> type[BaseModel]:
    """The part of the catalog that contains a key."""
    model: type[BaseModel] = Catalog
    path = list(keys[:-1])
    while path:
        field = fields_by_key(model).get(str(path.pop(0)))
        annotation = field.annotation if field else None
        if get_origin(annotation) is dict:
            path = path[1:]  # the part's own name
        model = part_in(annotation) or model
    return model


def part_in(annotation: object) -> type[BaseModel] | None:
    """The part that a field holds: alone, in a mapping by name, or optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(part_in, get_args(annotation))), None)
