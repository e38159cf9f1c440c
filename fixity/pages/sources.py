"""The files of the lake that a page was made from: they are read here, and named with their SHA-256."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from markupsafe import Markup

from fixity.lake import Lake
from fixity.lake.paths import PAGES
from fixity.pages.visible import visible
from fixity.tables import TableUnreadable


class Sources:
    """The files of one page. `workspace` gets local copies from a remote lake."""

    def __init__(self, lake: Lake, workspace: Path) -> None:
        self._lake = lake
        self._workspace = workspace
        self._sums: dict[str, str] = {}
        self.unread: list[str] = []
        """The files that were lost or damaged."""

    def fetch(self, name: str) -> Path:
        """A local path of a file, for reading only. Raises FileNotFoundError, LakeError, TableUnreadable."""
        file = self._lake.fetch(name, self._workspace)
        with file.open("rb") as opened:
            self._sums[name] = hashlib.file_digest(opened, "sha256").hexdigest()
        return file

    def name(self, *files: str) -> None:
        """Name files that something else has read. Raises LakeError."""
        for each in files:
            try:
                self.fetch(each)
            except (FileNotFoundError, TableUnreadable):
                self.unread.append(each)

    def commands(self) -> Markup:
        """What a person types to compare the files with their SHA-256."""
        root = self._lake.location("")
        if root.startswith("s3://"):
            lines = [
                f"aws s3 cp {shlex.quote(self._lake.location(name))} - | sha256sum  # {digest}"
                for name, digest in sorted(self._sums.items())
            ]
        else:
            lines = [f"cd {shlex.quote(root)}", "sha256sum --check <<'END'"]
            lines += [f"{digest}  {name}" for name, digest in sorted(self._sums.items())]
            lines.append("END")
        return Markup("\n").join(map(visible, lines))


def commands_for_pages(lake: Lake) -> Markup:
    """What a person types to compare all pages with the file SHA256SUMS beside them."""
    place = shlex.quote(lake.location(PAGES))
    if place.startswith("s3://"):
        lines = [f"aws s3 cp --recursive {place} pages", "cd pages"]
    else:
        lines = [f"cd {place}"]
    return Markup("\n").join(map(visible, [*lines, "sha256sum --check --quiet SHA256SUMS"]))
