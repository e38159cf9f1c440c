"""Dagster's migrations, whose ninety scripts take most of the time that a new instance takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from alembic.config import Config
from alembic.script import ScriptDirectory


@contextmanager
def loaded_once() -> Iterator[None]:
    """For the length of a `with` block, a process reads the scripts once, however many instances it makes."""
    load, loaded = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in loaded:
            loaded[place] = load(config)
        return loaded[place]

    with patch.object(ScriptDirectory, "from_config", once):
        yield
