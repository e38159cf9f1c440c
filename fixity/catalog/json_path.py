"""JSON paths to a single value, as Step Functions writes them: `$.checksum.sha256`, `$['a b'][0]`.

Wildcards, filters and slices, which select several values, do not belong here.
"""

from __future__ import annotations

import re

JsonPath = tuple[str | int, ...]
"""The steps from the top of a JSON value: names of members, positions in arrays."""

_STEP = re.compile(
    r"""\.(?P<name>[^\s.\[\]'"*?@$()]+)
    |   \[(?P<quote>['"])(?P<quoted>(?:\\.|(?!(?P=quote)).)+)(?P=quote)\]
    |   \[(?P<position>[0-9]{1,9})\]""",
    re.VERBOSE,
)


class _Nothing:
    """The result of a path with no value. It differs from JSON's null, which is a value."""


NOTHING = _Nothing()


def parse_json_path(text: str) -> JsonPath:
    """Parse a path. Raises ValueError that says what would be right."""
    steps: list[str | int] = []
    end = 1 if text.startswith("$") else 0
    while end and end < len(text):
        step = _STEP.match(text, end)
        if step is None:
            break
        if step["position"] is not None:
            steps.append(int(step["position"]))
        elif step["quoted"] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", step["quoted"]))
        else:
            steps.append(step["name"])
        end = step.end()
    if not steps or end < len(text):
        raise ValueError(
            f"{text[:80]!r} is not a path to one value: "
            "write it like $.checksum.sha256, $['a name'] or $.files[0]"
        )
    return tuple(steps)


def value_at(value: object, path: JsonPath) -> object:
    """The value at a path in decoded JSON; NOTHING if there is none."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return NOTHING
            value = value[step]
        else:
            if not isinstance(value, list) or step >= len(value):
                return NOTHING
            value = value[step]
    return value
