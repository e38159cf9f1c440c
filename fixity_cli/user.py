"""Who gives the command. What a person says or does belongs to the verbs."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """Who gives the command: the user of this system, by its number if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in containers
        return f"user {os.getuid()}"
