"""What proves the log from outside of the lake, how old it is, and the daily step that renews it.

A step that fails stops nothing: the log goes on, and the age of the newest proof tells. How a seal is stamped
or copied does not belong here; that is in `stamps` and `witness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from fixity.catalog import Catalog, Log
from fixity.clock import CLOCKS_DIFFER
from fixity.humanize import seconds_text
from fixity.lake import Lake
from fixity.lake.paths import OUTSIDE_FILE
from fixity.lake.proof import sealed, unsealed
from fixity.log.chain import Head
from fixity.log.manifest import Seal, seal_file
from fixity.log.stamps import NotStamped, Stamp, certificates_of, check_stamps, stamp
from fixity.log.witness import WitnessUnreachable, add_copies, heads, open_witness

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

WARN_AFTER, ERROR_AFTER = timedelta(days=2), timedelta(days=7)
"""How old the newest proof from outside may be: one is made each day."""


@dataclass(frozen=True)
class Proved:
    """Up to which seal the log is proved from outside, since when (UTC), and where that is."""

    seal: int
    at: datetime
    where: str


@dataclass(frozen=True)
class Outside:
    """The newest time stamp and the newest copy of a seal; None where there is none.

    wrong: why there is no newer one. alarm: what a person must look at. Both are for people.
    """

    stamp: Proved | None = None
    copy: Proved | None = None
    wrong: tuple[str, ...] = ()
    alarm: str = ""

    def newest(self, log: Log) -> dict[str, Proved | None]:
        """The newest of each kind that the catalog asks for."""
        kinds = {"time stamp": (log.tsa, self.stamp), "copy at the witness": (log.witness, self.copy)}
        return {kind: proved for kind, (asked, proved) in kinds.items() if asked is not None}


_KEPT = TypeAdapter(Outside)


def prove(lake: Lake, catalog: Catalog, seals: Mapping[int, Seal], now: datetime) -> Outside:
    """Copy the seals to the witness and have the newest one stamped, as the catalog asks; keep how far it is.

    Arguments: `seals`, the genuine ones by number; `now` in UTC. Raises LakeError.
    """
    copied, alarm, unreachable = outside_now(lake).copy, "", ""
    try:
        copied, alarm = _copied(lake, catalog, seals, copied, now)
    except WitnessUnreachable as error:
        unreachable = str(error)
    stamped, not_stamped = _stamped(lake, catalog.log, seals, now)
    after = Outside(stamped, copied, tuple(filter(None, (unreachable, not_stamped))), alarm)
    lake.put_text(OUTSIDE_FILE, sealed(_KEPT.dump_python(after, mode="json")), replace=True)
    return after


def outside_now(lake: Lake) -> Outside:
    """What `prove` kept last. It is for people: who may write the lake may change it. Raises LakeError."""
    seen = lake.see(OUTSIDE_FILE)
    try:
        return _KEPT.validate_python(unsealed(seen.text)) if seen else Outside()
    except ValueError:
        return Outside()  # the next step writes it anew


def heads_outside(lake: Lake, catalog: Catalog) -> tuple[list[Head], str]:
    """The seals that the witness knows, see `heads`; and why it could not be asked. Raises LakeError."""
    try:
        witness = open_witness(catalog)
        return ([] if witness is None else heads(witness, lake)), ""
    except WitnessUnreachable as error:
        return [], str(error)


def certificates_outside(log: Log | None) -> tuple[list[Certificate], str]:
    """The certificates for time stamps that the catalog names; and why they cannot be used."""
    try:
        return (certificates_of(log.tsa_root) if log is not None and log.tsa_root is not None else []), ""
    except NotStamped as error:
        return [], str(error)


def verdict(log: Log, outside: Outside, now: datetime) -> tuple[Literal["ERROR", "WARN"] | None, str]:
    """How bad it is that the newest proofs are as old as they are, None if it is not; and why, for people.

    Arguments: `now` in UTC.
    """
    newest = outside.newest(log)
    if not newest:
        return "WARN", (
            "nothing outside of the lake witnesses the log, so whoever may write the lake and has the key "
            "can rewrite it: name `log.tsa` or `log.witness` in the catalog"
        )
    found = [_age(kind, proved, now) for kind, proved in newest.items()]
    if outside.alarm:
        found.append(("ERROR", outside.alarm))
    texts = [text for _, text in found if text] + list(outside.wrong)
    levels = {level for level, _ in found}
    return "ERROR" if "ERROR" in levels else "WARN" if "WARN" in levels else None, "; ".join(texts)


def level_of(at: datetime, now: datetime) -> Literal["ERROR", "WARN"] | None:
    """How bad it is that something that is done each day was done at a time (UTC); None if it is not."""
    age = now - at
    if age > ERROR_AFTER or age < -CLOCKS_DIFFER:
        return "ERROR"
    return "WARN" if age > WARN_AFTER else None


def _age(kind: str, proved: Proved | None, now: datetime) -> tuple[Literal["ERROR", "WARN"] | None, str]:
    if proved is None:
        return "ERROR", f"there is no {kind} yet"
    if proved.at > now + CLOCKS_DIFFER:
        text = f"the newest {kind} is of {proved.at:%Y-%m-%d}, which lies ahead: a clock is wrong"
    else:
        ago = seconds_text(max(0.0, (now - proved.at).total_seconds()))
        text = f"the newest {kind} is of seal {proved.seal}, {ago} ago"
    return level_of(proved.at, now), text


def _copied(
    lake: Lake, catalog: Catalog, seals: Mapping[int, Seal], before: Proved | None, now: datetime
) -> tuple[Proved | None, str]:
    """The newest copy, after all were made; and what a person must look at. Raises WitnessUnreachable."""
    witness = open_witness(catalog)
    if witness is None:
        return None, ""
    told = heads(witness, lake)
    if other := [head.number for head in told if not _is_same(lake, head)]:
        return before, (
            f"the witness {witness.name} knows a seal {other[0]} that the lake does not have, or has "
            "with other bytes, and was not added to: fixity log verify says what was done"
        )
    copies = add_copies(witness, seals, now)
    there, alarm = max((head.number for head in told), default=0), ""
    if before is not None and before.where == witness.name and there < before.seal:
        alarm = (
            f"the witness {witness.name} had the seals up to {before.seal}, and then only up to {there}: see "
            "who removed the others; those that the lake has were copied again"
        )
    newest = max(copies, default=0)
    return (Proved(newest, copies[newest].at, witness.name) if newest else None), alarm


def _is_same(lake: Lake, head: Head) -> bool:
    try:
        return lake.sha256(seal_file(head.number)) == head.sha256
    except FileNotFoundError:
        return False


def _stamped(
    lake: Lake, log: Log | None, seals: Mapping[int, Seal], now: datetime
) -> tuple[Proved | None, str]:
    """The newest time stamp that proves its seal, made now if the newest seal has none; and why not."""
    if log is None or log.tsa is None or log.tsa_root is None:
        return None, ""
    trusted, unusable = certificates_outside(log)
    if unusable:
        return None, unusable
    stamps = (each for each in check_stamps(lake, seals, trusted) if isinstance(each, Stamp))
    known, why = next((each for each in stamps if each.is_trusted), None), ""
    newest = max(seals, default=0)
    if newest and (known is None or known.number < newest):
        try:
            known = stamp(lake, newest, seals[newest].text, (log.tsa, trusted), now)
        except NotStamped as error:
            why = str(error)
    return (Proved(known.number, known.at, log.tsa) if known else None), why
