"""Verifies a lake by its log and by all that is known outside of the lake: the witness, and the time stamps.

Each of these is verified elsewhere: seals and files in `verify`, stamps in `stamps`.
"""

from __future__ import annotations

from collections.abc import Iterable

from fixity.catalog import Catalog
from fixity.lake import Lake
from fixity.log.chain import Head, Problem
from fixity.log.keys import PublicKey
from fixity.log.outside import certificates_outside, heads_outside
from fixity.log.stamps import Stamp, check_stamps, wrong_times
from fixity.log.verify import Finding, Verified, verify


def verify_all(
    lake: Lake, catalog: Catalog, anchor: PublicKey, heads: Iterable[Head] = ()
) -> tuple[Verified, list[Head]]:
    """Verify a lake. What cannot be reached is a note: the rest is verified without it.

    Arguments: as of `verify`. Returns also all heads that are known. Raises LakeError.
    """
    told, no_witness = heads_outside(lake, catalog)
    known = [*heads, *told]
    found = verify(lake, anchor, known)
    trusted, no_authority = certificates_outside(catalog.log)
    stamps: list[Stamp] = []
    if trusted:
        for each in check_stamps(lake, found.seals, trusted):
            if isinstance(each, Problem):
                found.findings.append(Finding(*each))
            else:
                stamps.append(each)
    found.notes += [text for text in (no_witness, no_authority, *wrong_times(found.seals, stamps)) if text]
    return found, known
