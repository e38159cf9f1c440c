"""What can keep the results of a map run from being gathered."""

from __future__ import annotations

from fixity.errors import FixityError


class ResultsRefused(FixityError):
    """The results are not what they must be; nothing was written. The message says which part, and why."""
