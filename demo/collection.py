"""A small collection of real files of different kinds and sizes, made on the spot.

Part is written here (sound, data bases, archives), part copied from what is installed beside this
Python (pictures, fonts, licences, pages), so that nothing needs to be downloaded or kept in git.
"""

from __future__ import annotations

import csv
import io
import math
import random
import shutil
import sqlite3
import struct
import sysconfig
import tarfile
import wave
import zipfile
from pathlib import Path

_INSTALLED_KINDS = {".png", ".svg", ".woff2", ".html", ".txt", ".md", ".h", ".js"}
_INSTALLED_EACH = 4
_INSTALLED_LARGEST = 2 * 1024 * 1024


def make_collection(folder: Path) -> None:
    """Fill an empty folder with about forty files, 40 MB in all; the same ones each time."""
    chance = random.Random(1828)
    _write(folder / "letters/1828-04-02 Ünïcode & spaces #1.txt", "My dear friend, …\n".encode() * 40)
    _write(folder / "letters/index.csv", _index())
    _write(folder / "sound/interview.wav", _sound(seconds=20))
    _write(folder / "data/catalogue.sqlite", _data_base(folder))
    _write(folder / "film/reel-01.raw", chance.randbytes(24 * 1024 * 1024))
    _write(folder / "film/reel-01.md5", b"")
    for number in range(6):
        _write(folder / f"scans/page-{number:03d}.tif", _scan(chance, side=256 * (number + 1)))
    _copy_installed(folder / "web")
    letters = sorted((folder / "letters").iterdir())
    (folder / "packages").mkdir()
    with zipfile.ZipFile(folder / "packages/letters.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for letter in letters:
            archive.write(letter, letter.name)
    with tarfile.open(folder / "packages/letters.tar.gz", "w:gz") as archive:
        for letter in letters:
            archive.add(letter, letter.name)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _index() -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["shelf mark", "date", "from", "to"])
    writer.writerows([f"MS {n}", f"18{n % 90 + 10}", "Schubert", "Schober"] for n in range(500))
    return text.getvalue().encode()


def _sound(seconds: int, rate: int = 22_050) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        tones = (int(12_000 * math.sin(n * 2 * math.pi * 440 / rate)) for n in range(seconds * rate))
        sound.writeframes(b"".join(struct.pack("<h", tone) for tone in tones))
    return held.getvalue()


def _data_base(folder: Path) -> bytes:
    file = folder / "catalogue.tmp"
    with sqlite3.connect(file) as base:
        base.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, title TEXT, held TEXT)")
        base.executemany(
            "INSERT INTO item (title, held) VALUES (?, ?)",
            ((f"Item {n}", "reading room" if n % 3 else "stack") for n in range(5_000)),
        )
    base.close()
    content = file.read_bytes()
    file.unlink()
    return content


def _scan(chance: random.Random, side: int) -> bytes:
    """An uncompressed grey TIFF of `side` by `side` pixels."""
    tags = [
        (256, 3, 1, side), (257, 3, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8 + 2 + 12 * 9 + 4), (277, 3, 1, 1), (278, 3, 1, side), (279, 4, 1, side * side),
    ]  # fmt: skip
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4 + chance.randbytes(side**2)


def _copy_installed(folder: Path) -> None:
    folder.mkdir(parents=True)
    taken: dict[str, int] = {}
    for file in sorted(Path(sysconfig.get_path("purelib")).rglob("*")):
        kind = file.suffix.lower()
        if kind not in _INSTALLED_KINDS or taken.get(kind, 0) == _INSTALLED_EACH or not file.is_file():
            continue
        if 0 < file.stat().st_size <= _INSTALLED_LARGEST and not (folder / file.name).exists():
            taken[kind] = taken.get(kind, 0) + 1
            shutil.copyfile(file, folder / file.name)
