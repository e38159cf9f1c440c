"""Reads a YAML file strictly: refuses what YAML or PyYAML would silently change.

PyYAML keeps only the last of two equal keys. It reads the key `on` as True, the key `123` as a number,
and a bare date as no text. Knowledge of the catalog does not belong here.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fixity.catalog.messages import key_path, shown
from fixity.errors import WrongUsage

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_MOST_NODES = 3_000_000  # a hundred thousand buckets with a dozen keys each
_DATE = "tag:yaml.org,2002:timestamp"


class UnreadableError(WrongUsage):
    """The file cannot be read at all. The message begins with the place, `:3:1: `, or with `: `."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but 2026-01-01 stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_mapping(file: Path) -> tuple[dict[str, object], list[str]]:
    """The content of a file whose top level is a mapping.

    Returns: the mapping, all keys text; and the problems found, each beginning with `:line:column: `, or
        with `: ` for the whole file.
    Raises: UnreadableError if the file cannot be read, or is not a mapping in YAML and UTF-8.
    """
    text = _read_text(file)
    problems: list[str] = []
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _check_size(node, {})
                _check_keys(node, problems, set())
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(_where(error.problem_mark or error.context_mark) + _not_yaml(error)) from None
    except yaml.reader.ReaderError as error:
        lines = text[: error.position].split("\n")
        place = f":{len(lines)}:{len(lines[-1]) + 1}"
        raise UnreadableError(f"{place}: holds a character that YAML does not allow") from None
    except RecursionError:
        raise UnreadableError(": it is nested too deeply") from None
    except ValueError:  # a value that matches YAML's pattern for numbers, for example, but is no number
        raise UnreadableError(": a value in it is not what it looks like to YAML: put it in quotes") from None
    if value is None:
        return {}, [": is empty"]
    if not isinstance(value, dict):
        raise UnreadableError(f": its top level is {shown(value)}, not a mapping of keys to values")
    return value, problems


def _read_text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        raise UnreadableError(f": cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableError(f":{line}: is not UTF-8: save it in this encoding") from None


def _check_size(node: Node, sizes: dict[int, int | None]) -> int:
    """The nodes below a node, counted as often as aliases and merge keys repeat them.

    Raises UnreadableError if there are too many to be read, or without end.
    """
    if id(node) not in sizes:
        sizes[id(node)] = None
        inner = node.value if isinstance(node, SequenceNode) else []
        if isinstance(node, MappingNode):
            inner = [each for pair in node.value for each in pair]
        sizes[id(node)] = 1 + sum(_check_size(each, sizes) for each in inner)
    size = sizes[id(node)]
    if size is None or size > _MOST_NODES:
        raise UnreadableError(f"{_where(node.start_mark)}its aliases repeat too much: write it without them")
    return size


def _check_keys(node: Node, problems: list[str], seen: set[int]) -> None:
    """Report keys that are there twice or are not text, and make all of them text.

    Works on the nodes: they still have their positions, and merge keys (`<<`) are not yet expanded.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for item in node.value:
            _check_keys(item, problems, seen)
    if not isinstance(node, MappingNode):
        return
    first: dict[str, yaml.Mark] = {}
    kept = []
    for key, value in node.value:
        _check_keys(value, problems, seen)
        if not isinstance(key, ScalarNode):
            problems.append(f"{_where(key.start_mark)}a key must be text")
            continue
        if key.tag not in (_TEXT, _MERGE):
            where = _where(key.start_mark)
            shown_key = key_path([key.value])
            problems.append(f"{where}YAML does not read the key {shown_key} as text: put it in quotes")
            key.tag = _TEXT
        if key.value in first:
            problems.append(
                f"{_where(key.start_mark)}the key {shown(key.value)} is here a second time, "
                f"first in line {first[key.value].line + 1}: keep one"
            )
            continue
        first[key.value] = key.start_mark
        kept.append((key, value))
    node.value = kept


def _where(mark: yaml.Mark | None) -> str:
    return ": " if mark is None else f":{mark.line + 1}:{mark.column + 1}: "


def _not_yaml(error: yaml.MarkedYAMLError) -> str:
    # PyYAML's snippet of the file and the names of anchors and tags are left out: they could be a secret.
    # Tokens ('<block end>') and single characters are kept.
    problem = re.sub(r"""(['"])(?!<)\S{5,}\1""", "(not shown)", str(error.problem or error.context))
    hint = "; indent with spaces, not tabs" if r"'\t'" in problem else ""
    return f"is not valid YAML: {problem}{hint}"
