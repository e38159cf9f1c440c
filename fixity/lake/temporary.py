"""Temporary folders of this process, which can be removed also where it ends without unwinding.

What is in them does not belong here.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

_open: set[str] = set()


class TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A new folder, removed at the end of a `with` block. Raises OSError.

    Arguments: `parent`, the folder that it is made in; by default the system's for temporary files.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        super().__init__(prefix=prefix, dir=parent)
        _open.add(self.name)

    def cleanup(self) -> None:
        """Remove it."""
        super().cleanup()
        _open.discard(self.name)


def remove_all() -> None:
    """Remove all that are open, because the process ends now."""
    for path in tuple(_open):
        shutil.rmtree(path, ignore_errors=True)
