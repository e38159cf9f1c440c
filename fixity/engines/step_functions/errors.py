"""The errors of gathering the results of a map run. Errors of other rooms do not belong here."""

from __future__ import annotations

from fixity.errors import FixityError


class ResultsRefused(FixityError):
    """The results are incomplete or malformed; nothing was written. The message says which part, and why."""


class MapNotStarted(FixityError):
    """Step Functions refused to start a map, or cannot be reached. The message says why."""

    final = False
