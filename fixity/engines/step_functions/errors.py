"""What can keep the results of a map run from being gathered."""

from __future__ import annotations


class ResultsRefused(Exception):
    """The results are not what they must be; nothing was written. The message says which part, and why."""


class BucketUnreachable(Exception):
    """The results bucket cannot be read or written just now. Another attempt may go well."""
