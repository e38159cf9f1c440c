"""Makes a folder a BagIt bag that appears whole or not at all, as a directory or as one .zip file.

What is in the bag does not belong here.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import bagit

from fixity.errors import WrongUsage

ZIP = ".zip"


@contextmanager
def bag(out: Path, info: Mapping[str, str]) -> Iterator[Path]:
    """A folder for the bag's payload. When the block ends, the bag is there as `out`; not after an error.

    Arguments: `info`, for bag-info.txt. A run that is killed leaves a folder beside `out` whose name begins
    with a dot. Raises WrongUsage if `out` exists, or its folder does not; OSError.
    """
    if out.exists() or out.is_symlink():
        raise WrongUsage(f"{out} is there already, and is not replaced: name another file or folder")
    if not out.parent.is_dir():
        raise WrongUsage(f"there is no folder {out.parent}")
    name = out.name.removesuffix(ZIP)
    work = out.parent / f".{name}.{uuid4().hex}"
    folder = work / name
    try:
        folder.mkdir(parents=True)
        yield folder
        bagit.make_bag(str(folder), dict(info), checksums=["sha256"])
        made = _zipped(folder, work) if out.suffix == ZIP else folder
        _sync(made)
        made.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _zipped(folder: Path, work: Path) -> Path:
    made = work / "bag.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted(folder.rglob("*")):
            out.write(file, file.relative_to(work))
    return made


def _sync(made: Path) -> None:
    """Write all to the disk before it gets its name."""
    for file in [made, *made.rglob("*")] if made.is_dir() else [made]:
        opened = os.open(file, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
