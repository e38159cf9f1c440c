"""What the words mean that the platform says, and what to do about them: `words.yaml`.

The meanings of a report's statuses, of diagnoses and of asset checks are where these are defined. Deciding
which word is said does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any


@cache
def known_words() -> dict[str, Any]:
    """The content of `words.yaml`."""
    import yaml

    known: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return known


def when_right(good_at: object) -> str:
    """When an object was last seen to be right, for people.

    Arguments: `good_at`, None where it never was, or where that is known by another algorithm only.
    """
    return f"last right {good_at}" if good_at else "not known when it was last right"


def to_do(word: str, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a person does about a word; '' where nothing is known of it.

    Arguments: `names`, what stands in its commands for PAIR, BUCKET and the like.
    """
    text: str = known_words()["to_do"].get(word, "")
    for placeholder, name in names.items():
        text = re.sub(rf"\b{placeholder}\b", name.replace("\\", r"\\"), text)
    return text
