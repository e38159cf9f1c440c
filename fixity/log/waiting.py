"""What waits to be sealed: records that no seal has, and whether a second store knows that a run kept them.

A forged file may have a forged record. So the lake's word is not enough: a file is sealed if Dagster's event
log has its SHA-256, and the run that kept it is over. Writing the seal does not belong here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from fixity.lake import Lake
from fixity.lake.proof import NoProof, Proof, proof_file
from fixity.log.chain import FETCHES, Chain
from fixity.log.records import (
    FOLDERS,
    RUNS,
    STAMPS,
    Bound,
    Kept,
    Run,
    Trust,
    catalog_file,
    evidence_in,
    is_old_report,
    recorded_in,
    run_record,
    sha256_of,
)
from fixity.log.redated import not_sealed

WITHOUT_FILE = "without its file"
"""A note of a seal: the file of a record that it has was never there, because the run was killed."""


@dataclass
class Waiting:
    """What the next seal gets (SHA-256 by name, and notes), and how many files of evidence are among it.

    later: names that are not sealed yet, with the reason. refused: names that are not believed, with the
    reason.
    """

    entries: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0
    later: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def look(lake: Lake, chain: Chain, trust: Trust, accept: Mapping[str, str], now: datetime) -> Waiting:
    """Look what waits. Arguments: as of `Sealer.seal`; `now` in UTC. Raises LakeError."""
    known = {name for seal in chain.seals.values() for name in seal.entries}
    # The files before the records: a record is put before its file, so a file that is listed has one.
    there = evidence_in(lake)
    of_log = [file.name for file in lake.list("log/")]
    recorded = recorded_in(of_log)
    found = Waiting(notes=list(not_sealed(lake, of_log, chain.seals)))
    for name in sorted(there.keys() - recorded - known):
        found.refused[name] = "it has no record: it was added, or its record is lost"
    new = sorted(name for name in recorded if proof_file(name) not in known)
    for name in [name for name in new if name in known]:
        found.refused[proof_file(name)] = "its file was sealed before, so this record was added later"
    with ThreadPoolExecutor(FETCHES) as pool:
        proofs = {}
        new = [name for name in new if name not in known]
        for name, proof in zip(new, pool.map(partial(_read, lake), new), strict=True):
            if isinstance(proof, Proof):
                proofs[name] = proof
            else:
                found.refused[name] = proof
        runs = trust([kept for proof in proofs.values() for kept in _states(proof)])
        over: dict[str, Run] = {}
        for name, proof in proofs.items():
            run = next((runs[kept] for kept in _states(proof) if kept in runs), None)
            run = run or _accepted(proof, accept, now)
            if run is None:
                found.refused[name] = "Dagster's event log does not know that it was kept"
            elif run.goes_on:
                found.later[name] = "its run goes on"
            else:
                over[name] = run
        of_run = defaultdict[Run, list[Bound]](list)
        for taken in pool.map(lambda name: _take(lake, proofs[name], over[name].succeeded), over):
            run = over[taken.name]
            if taken.why_not is not None:
                found.refused[taken.name] = taken.why_not
                continue
            of_run[run]  # also of a run whose only file was never put
            found.entries[proof_file(taken.name)] = taken.record
            if taken.file is None:
                found.notes.append((WITHOUT_FILE, taken.name))
            else:
                found.entries[taken.name] = taken.file.sha256
                of_run[run].append(taken.file)
    found.files = sum(map(len, of_run.values()))
    for run, files in of_run.items():
        _bind(lake, found, run, files, known)
        if reason := accept.get(run.run_id):
            found.notes.append(("accepted", f"{run.run_id}: {reason}"))
    if not chain.seals:
        _take_old_reports(lake, found, now)
    for file in lake.list(STAMPS):  # they prove themselves
        if file.name not in known:
            found.entries[file.name] = lake.sha256(file.name)
    return found


def _read(lake: Lake, name: str) -> Proof | str:
    """A file's record, or why it cannot be used."""
    try:
        proof = lake.proof(name)
    except NoProof as error:
        return str(error)
    return proof or "its record was removed just now"


def _states(proof: Proof) -> list[Kept]:
    """A file as it was last put, and as it was before, where a run was killed between the two."""
    return [(proof.name, proof.sha256), *([(proof.name, proof.replaces[1])] if proof.replaces else [])]


@dataclass(frozen=True)
class _Taken:
    """A file whose run is over, and the SHA-256 of its record. file: None if it was never put."""

    name: str
    record: str = ""
    file: Bound | None = None
    why_not: str | None = None


def _take(lake: Lake, waiting: Proof, succeeded: bool) -> _Taken:
    """Read a record again, and its file: their run is over, so neither changes any more."""
    name = waiting.name
    try:
        record = lake.read_bytes(proof_file(name))
        proof = Proof.read(name, record.decode())
        sha256 = lake.sha256(name)
    except (NoProof, UnicodeDecodeError):
        return _Taken(name, why_not=f"its record {proof_file(name)} is damaged")
    except FileNotFoundError:
        if succeeded:
            return _Taken(name, why_not="it was kept, and is gone before it was sealed")
        return _Taken(name, sha256_of(record))
    if (name, sha256) not in _states(proof) or _states(proof) != _states(waiting):
        return _Taken(name, why_not="its bytes have changed since it was written: its SHA-256 is another one")
    size = proof.size if sha256 == proof.sha256 or not proof.replaces else proof.replaces[0]
    return _Taken(name, sha256_of(record), Bound(name, size, sha256))


def _bind(lake: Lake, found: Waiting, run: Run, files: list[Bound], known: Collection[str]) -> None:
    """Add the record of a run, and the catalog that was in force."""
    if not run.run_id:
        return
    text = run_record(run, files).encode()
    name = f"{RUNS}{run.run_id}.json"
    if name in known or not (lake.put_if(name, text.decode(), None) or lake.read_bytes(name) == text):
        name = f"{RUNS}{run.run_id}-{sha256_of(text)[:8]}.json"  # it has files that were sealed before
        lake.put_text(name, text.decode(), replace=True)
    found.entries[name] = sha256_of(text)
    catalog = catalog_file(run.catalog)
    if not run.catalog or catalog in known:
        return
    try:
        if lake.sha256(catalog) == run.catalog:
            found.entries[catalog] = run.catalog
        else:
            found.refused[catalog] = "its bytes have changed since it was kept"
    except FileNotFoundError:
        found.refused[catalog] = "it is the catalog of a run, and is gone"


def _take_old_reports(lake: Lake, found: Waiting, now: datetime) -> None:
    today = now.date().isoformat()
    for folder in FOLDERS:
        if folder in ("reports/", "metadata/"):
            for file in lake.list(folder):
                if is_old_report(file.name, today):
                    found.entries[file.name] = lake.sha256(file.name)
                    found.files += 1


def _accepted(proof: Proof, accept: Mapping[str, str], now: datetime) -> Run | None:
    """The run of a file that a person vouches for."""
    if proof.run not in accept and proof.name not in accept:
        return None
    return Run(proof.run, "", "", None, now.isoformat(), "accepted", "", "")
