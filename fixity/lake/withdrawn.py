"""The files that people withdrew from the lake on purpose, with the reason.

Withdrawing is in `fixity.log.seals`; whether a seal has these records is asked in `fixity.log.verify`.
"""

from __future__ import annotations

from fixity.lake.base import Lake
from fixity.lake.proof import unsealed

WITHDRAWN = "log/withdrawn/"
"""The folder of the records that say so."""


def withdrawn_in(text: str) -> dict[str, str]:
    """The files that a record names as withdrawn, with the reason. Raises ValueError."""
    values = unsealed(text)
    return {str(each["name"]): str(values["reason"]) for each in values["files"]}


def withdrawn_from(lake: Lake) -> set[str]:
    """The names of all files that were withdrawn. A damaged record says nothing. Raises LakeError."""
    names: set[str] = set()
    for file in lake.list(WITHDRAWN):
        try:
            names.update(withdrawn_in(lake.read_text(file.name)))
        except (ValueError, KeyError, TypeError):
            continue
    return names
