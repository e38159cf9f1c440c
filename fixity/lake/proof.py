"""Proofs: the size and SHA-256 of tables and reports of the lake, kept apart in `log/records/<name>.json`.

A bit that flips in a table is often read without an error. So a file's proof is made from the local file and
put before it, and each file that is fetched is compared with its proof first. Files of earlier versions have
none. Putting and fetching do not belong here; they are in `base`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from fixity.lake.paths import GIVEN, REPAIRS, SET_ASIDE, SNAPSHOTS, is_report, records_folder

BEING_PUT = timedelta(minutes=10)
"""A record that is younger than this may be waiting for its file, which is put after it. Who puts a file for
longer than this puts the record again meanwhile."""

_SEAL = "sha256_of_this"
_ACCEPTED, _LOST = ".accepted-", ".lost-"


def proof_file(name: str) -> str:
    """The name of the proof of a file of the lake."""
    return f"{records_folder(name)}.json"


def accepted_file(name: str, on: date) -> str:
    """The name of the note that a file was accepted on a day (UTC). A listing of the proofs has it."""
    return f"{records_folder(name)}{_ACCEPTED}{on}"


def lost_file(name: str, on: date) -> str:
    """The name of the note that it was accepted on a day (UTC) that a file is lost for good."""
    return f"{records_folder(name)}{_LOST}{on}"


def accepted_on(note: str) -> str | None:
    """The day in the name of a note that a file, or its loss, was accepted; None for another file's name."""
    return next((note.rpartition(kind)[2] for kind in (_ACCEPTED, _LOST) if kind in note), None)


def accepted_as_lost(note: str) -> str | None:
    """The file that such a note says is lost for good, from the note's name; None for another file's name."""
    return note.removeprefix(records_folder("")).rpartition(_LOST)[0] or None if _LOST in note else None


def proved_file(record: str) -> str | None:
    """The name of the file that a proof is of, from the name of the proof; None for another file."""
    name = record.removeprefix(records_folder("")).removesuffix(".json")
    return name if proof_file(name) == record else None


def has_proof(name: str) -> bool:
    """Whether files of this name have a proof: tables, reports, PREMIS, repairs, checksums given by hand."""
    other = name.startswith((GIVEN, REPAIRS)) or (name.startswith("premis/") and name.endswith(".xml"))
    return name.endswith(".parquet") or other or is_report(name)


def is_evidence(name: str) -> bool:
    """Whether files of this name are evidence, put once and never changed, and so belong in the log."""
    return has_proof(name) and not name.startswith((SNAPSHOTS, SET_ASIDE, "scratch/"))


class NoProof(ValueError):
    """A file is not what its proof says, or its proof is damaged or lost. The text says which."""


@dataclass(frozen=True)
class Proof:
    """What is known of a file apart from it.

    size: bytes. kind: the first folder of its name. run: the run that wrote it. rows and
    provenance (see `fixity.tables`): of a table. replaces: size and SHA-256 of the file before, until the new
    one is there. accepted_at: when a person accepted the file as it was, because its proof was lost (ISO,
    UTC): before that, nothing proves it. fetched: where the lake has a log, the SHA-256 of the tables and
    reports that the step or command that put the file had fetched from the lake by then, by name.
    """

    name: str
    size: int
    sha256: str
    kind: str
    run: str
    rows: int | None
    provenance: str | None
    replaces: tuple[int, str] | None = None
    accepted_at: str | None = None
    fetched: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, name: str, file: Path, run: str | None = None) -> Proof:
        """The proof of a local file that is to be put as `name`. Without a `run`, its name says it."""
        from fixity.tables import PROVENANCE

        rows, metadata = _footer(file)
        provenance = metadata[PROVENANCE].decode() if PROVENANCE in metadata else None
        path = PurePosixPath(name)
        size, sha256, run = file.stat().st_size, sha256_of(file), run or path.stem
        return cls(name, size, sha256, path.parts[0], run, rows, provenance)

    @classmethod
    def read(cls, name: str, text: str) -> Proof:
        """Read the proof of the file `name`. Raises NoProof."""
        try:
            proof = cls(**unsealed(text))
        except (ValueError, TypeError) as error:
            raise NoProof(f"its record {proof_file(name)} is damaged") from error
        if proof.name != name:
            raise NoProof(f"its record {proof_file(name)} is of {proof.name}")
        return replace(proof, replaces=proof.replaces and (proof.replaces[0], proof.replaces[1]))

    def text(self) -> str:
        """The content of its file."""
        return sealed(asdict(self))

    def check(self, file: Path) -> str:
        """Compare a local copy of the file. Returns its SHA-256. Raises NoProof, OSError."""
        size = file.stat().st_size
        states = [state for state in ((self.size, self.sha256), self.replaces) if state]
        if size not in (known for known, _ in states):
            raise NoProof(f"it has {size:,} bytes, and had {self.size:,} when it was written")
        sha256 = sha256_of(file)
        if (size, sha256) not in states:
            raise NoProof("its bytes have changed since it was written: their SHA-256 is another one")
        return sha256


def check_unproved(name: str, file: Path) -> None:
    """Look whether a file without a proof may be without one. Raises NoProof if its proof is lost."""
    if name.startswith(SNAPSHOTS) or is_recorded(file):
        raise lost(name)


def is_recorded(file: Path) -> bool:
    """Whether a table was written with a proof. A file that is no table was not."""
    from fixity.tables import RECORDED

    _, metadata = _footer(file)
    return RECORDED in metadata


def _footer(file: Path) -> tuple[int | None, Mapping[bytes, bytes]]:
    """A table's number of rows and its metadata; neither of a file that is no table."""
    import pyarrow as pa  # what is read as text, such as all that the status needs, needs no Arrow
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(file)
    except (pa.ArrowException, OSError):
        return None, {}
    return footer.num_rows, footer.metadata or {}


def lost(name: str) -> NoProof:
    """The error about a file whose proof is lost."""
    return NoProof(
        f"its record {proof_file(name)} is lost; restore log/ from a copy of the lake, or accept its tables "
        "as they are: fixity lake accept"
    )


def sealed(values: Mapping[str, Any]) -> str:
    """Values as JSON, with the SHA-256 of their JSON, for `unsealed`."""
    return json.dumps({**values, _SEAL: _of_values(values)}, indent=1) + "\n"


def unsealed(text: str) -> dict[str, Any]:
    """The values of a text of `sealed`. Raises ValueError if a value has changed, or it is another text."""
    values = json_object(text)
    if values.pop(_SEAL, None) != _of_values(values):
        raise ValueError("the text has changed since it was written")
    return values


def unsealed_or_old(text: str) -> dict[str, Any]:
    """The same, also of a text of an earlier version, which had no seal. Raises ValueError."""
    values = json_object(text)
    return unsealed(text) if _SEAL in values else values


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a text. Raises ValueError for anything else."""
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    return values


def _of_values(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
