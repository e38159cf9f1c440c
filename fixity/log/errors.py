"""The error of the log. What went wrong, and what to do, stands in its text."""

from __future__ import annotations

from fixity.errors import FixityError


class LogError(FixityError):
    """The log cannot be used or extended as it is. A person must look first."""
