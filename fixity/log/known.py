"""Verifies a lake by its log and by all that is known outside of the lake: the witness, and the time stamps.

Each of these is verified elsewhere: seals and files in `verify`, stamps in `stamps`.
"""

from __future__ import annotations

from collections.abc import Iterable

from fixity.catalog import Catalog
from fixity.errors import WrongUsage
from fixity.lake import Lake
from fixity.log.chain import Chain, Head, Problem, read_chain
from fixity.log.errors import LogError
from fixity.log.keys import PublicKey
from fixity.log.kms import verifier
from fixity.log.outside import certificates_outside, heads_outside
from fixity.log.stamps import Stamp, check_stamps, late_stamps, wrong_times
from fixity.log.verify import Finding, Verified, verify

_NO_WITNESS = "what the witness knows was not looked at"


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
    stamps = list(check_stamps(lake, found.seals, trusted))
    named = {(each.name, each.what) for each in found.findings}
    wrong = [each for each in stamps if isinstance(each, Problem) and (each.name, each.what) not in named]
    found.findings += [Finding(*each) for each in wrong]
    found.stamps = [each for each in stamps if isinstance(each, Stamp)]
    notes = [*wrong_times(found.seals, found.stamps), *late_stamps(found.seals, found.stamps)]
    if only_here := sum(not each.is_trusted for each in found.stamps):
        notes.append(
            f"{only_here:,} time stamps are proved by certificates in log/stamps/ alone: compare these with "
            "what the authority publishes, or name its root in the catalog: `log.tsa_root`"
        )
    if no_witness:
        notes.append(f"{_NO_WITNESS}: {no_witness}")
    found.notes += [*notes, *filter(None, [no_authority])]
    return found, known


def chain_as_known(lake: Lake, catalog: Catalog) -> tuple[Chain, list[str]]:
    """The seals, compared with the witness and with the catalog's key; and what of these could not be asked.

    Raises LakeError.
    """
    heads, no_witness = heads_outside(lake, catalog)
    unasked = [f"{_NO_WITNESS}: {no_witness}"] if no_witness else []
    anchor = None
    try:
        anchor = verifier(catalog.log.key, catalog.stores["aws"]) if catalog.log else None
    except (WrongUsage, LogError) as error:  # maybe only the machine that seals has it
        unasked.append(f"the log's key could not be read, so the seals only agree with each other: {error}")
    return read_chain(lake, anchor, heads), unasked
