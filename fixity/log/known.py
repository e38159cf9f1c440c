"""Verifies a lake by its log and by all that is known outside of the lake: the witness, and the time stamps.

Each of these is verified elsewhere: seals and files in `verify`, stamps in `stamps`.
"""

from __future__ import annotations

from collections.abc import Iterable

from fixity.catalog import Catalog
from fixity.lake import Lake
from fixity.log.chain import Head, Problem
from fixity.log.keys import PublicKey
from fixity.log.stamps import NotStamped, certificates_of, check_stamps
from fixity.log.verify import Finding, Verified, verify
from fixity.log.witness import WitnessUnreachable, open_witness
from fixity.log.witness import heads as told_by


def verify_all(
    lake: Lake, catalog: Catalog, anchor: PublicKey, heads: Iterable[Head] = ()
) -> tuple[Verified, list[Head]]:
    """Verify a lake. What cannot be reached is a note: the rest is verified without it.

    Arguments: as of `verify`. Returns also all heads that are known. Raises LakeError.
    """
    known, notes = list(heads), []
    try:
        if witness := open_witness(catalog):
            known += told_by(witness, lake)
    except WitnessUnreachable as error:
        notes.append(f"what the witness knows was not looked at: {error}")
    found = verify(lake, anchor, known)
    if catalog.log is not None and catalog.log.tsa_root is not None:
        try:
            stamps = list(check_stamps(lake, found.seals, certificates_of(catalog.log.tsa_root)))
            found.findings += [Finding(*each) for each in stamps if isinstance(each, Problem)]
        except NotStamped as error:
            notes.append(f"the time stamps were not looked at: {error}")
    found.notes += notes
    return found, known
