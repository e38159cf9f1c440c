"""Whether this machine has room, and the packages that the installed version of fixity asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

from fixity.doctor.finding import OK, WARNING, WRONG, Finding
from fixity.humanize import bytes_text
from fixity.version import SOFTWARE, VERSION

LEAST, ENOUGH = 1 << 30, 10 << 30
"""Free bytes below which a run cannot work, and below which a large one may not."""


def look_at_disk(about: str, folder: Path) -> Finding:
    """Whether a folder's disk has room. A folder that will be made later is looked at where it will be."""
    while not folder.exists():
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
        files = os.statvfs(folder)
    except OSError as error:
        return Finding(about, WRONG, f"{folder}: {error.strerror}", "mount it")
    text = f"{bytes_text(free)} free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding(about, WRONG, f"{folder} cannot be written", "give it to the user of the platform")
    if files.f_files and not files.f_favail:
        return Finding(
            about, WRONG, f"no more files can be made in {folder}", "remove some, or use a larger disk"
        )
    if free < ENOUGH:
        state = WRONG if free < LEAST else WARNING
        return Finding(about, state, text, f"make room there: have {bytes_text(ENOUGH)} or more")
    return Finding(about, OK, text)


def look_at_packages() -> Iterator[Finding]:
    """Whether what is installed is what fixity, and the libraries of Dagster, say that they need."""
    from packaging.requirements import Requirement

    names = [
        SOFTWARE,
        *sorted({_name for each in distributions() if (_name := each.name).startswith("dagster")}),
    ]
    wrong = []
    for name in names:
        for line in requires(name) or ():
            needs = Requirement(line)
            if needs.marker is not None and not needs.marker.evaluate({"extra": ""}):
                continue
            try:
                found = version(needs.name)
            except PackageNotFoundError:
                found = "none"
            if found == "none" or not needs.specifier.contains(found, prereleases=True):
                wrong.append(f"{name} needs {needs.name}{needs.specifier}, and {found} is installed")
    if wrong:
        to_do = "install what the lock says: pip install --require-hashes -r requirements.lock"
        yield from (Finding("packages", WRONG, each, to_do) for each in wrong)
        return
    yield Finding("packages", OK, f"fixity {VERSION} with Dagster {version('dagster')}, all as required")
