"""Tells one object that may not be read from a bucket whose rights or keys were lost in the middle of a run.

The first is a failed row; the second must end the run, or every other object would become a failed row.
Sending requests does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable

from fixity.errors import BucketUnreachable
from fixity.in_turns import Places

_HANDFUL = 3  # with 16 threads the run then ends within 20 requests


class Refusals:
    """Counts refusals in a row, over all who read; after a handful, asks whether the bucket may be listed.

    Arguments: `ask` lists a little of the bucket, and raises BucketUnreachable where that is refused too.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._one_asks = Places()
        self._row = 0
        self._in_a_row = 0
        self._patience = _HANDFUL
        self._lost: str | None = None

    def begin(self) -> int:
        """Call it before an object is asked for. Returns the number of the newest row of refusals.

        Raises BucketUnreachable once the rights are lost.
        """
        if self._lost is not None:
            raise BucketUnreachable(self._lost)
        return self._row

    def granted(self, row: int) -> None:
        """An object was read. Arguments: `row` of its `begin`: an earlier request says nothing of now."""
        if self._in_a_row and row == self._row:
            self._in_a_row, self._patience = 0, _HANDFUL

    def refused(self, code: str) -> None:
        """An object was refused, with the store's `code`.

        Raises BucketUnreachable if the listing is refused too. The others wait here while one asks, so that
        they do not send more requests that will be refused.
        """
        with self._one_asks:
            if self._lost is None:
                self._row += not self._in_a_row
                self._in_a_row += 1
                if self._in_a_row < self._patience:
                    return
                try:
                    self._ask()
                except BucketUnreachable as error:
                    if not error.final:
                        raise
                    self._lost = (
                        f"{error}. Its objects are refused too ({code}): the rights or the keys were lost. "
                        "Give the rights back or renew the keys, then run it again: it goes on after the "
                        "objects that it has read"
                    )
            if self._lost is not None:
                raise BucketUnreachable(self._lost)
            # The bucket may be listed, so these objects have rights of their own. Asked again ever later.
            self._in_a_row = 0
            self._patience *= 2
