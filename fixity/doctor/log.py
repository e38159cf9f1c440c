"""Whether the log of a lake can be sealed, and its witness be asked.

The key signs a text that is no seal. Nothing is written to a witness: a copy there is locked, so nobody could
remove it. What stands in the log is verified by `fixity log verify`, not here.
"""

from __future__ import annotations

from collections.abc import Iterator

from fixity.catalog import Catalog
from fixity.doctor.finding import OK, WRONG, Finding
from fixity.errors import FixityError

_TEXT = b"fixity doctor asks for a signature of this\n"


def look_at_log(catalog: Catalog) -> Iterator[Finding]:
    """What is right and wrong with the key and the witness of the log; nothing where there is no log."""
    log = catalog.log
    if log is None:
        return
    from fixity.log.kms import signer  # with all that keys need
    from fixity.log.witness import open_witness

    try:
        key = signer(log.key, catalog.stores["aws"])
        signature = key.sign(_TEXT)
    except FixityError as error:
        yield Finding("log", WRONG, str(error), "until then nothing is sealed")
    else:
        is_right = key.public.verifies(signature, _TEXT)
        text = f"the key {key.public.fingerprint[:12]}… signs"
        yield Finding("log", OK if is_right else WRONG, text if is_right else f"{text} wrongly")
    try:
        witness = open_witness(catalog)
        if witness is None:
            return
        witness.check()
        copies = len(witness.copies())
    except FixityError as error:
        yield Finding("witness", WRONG, str(error), "until then nobody outside of the lake knows its seals")
    else:
        text = f"{witness.name} can be read and has {copies:,} copies; writing was not tried"
        yield Finding("witness", OK, text)
