"""Asks a bucket for the pages of its listing, until they are whole: which request the store knows, whether it
encodes keys, and whether its listing ends.

Sending requests and parsing pages do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from fixity.buckets.base import ObjectError, ObjectUnreadable
from fixity.buckets.s3.columns import ListingError
from fixity.buckets.s3.listing import (
    Coding,
    Kind,
    NoContinuation,
    Page,
    decoded_but_plus,
    folders_of,
    keys_as_written,
    parse_page,
)
from fixity.buckets.s3.probing import find_cuts
from fixity.buckets.s3.requests import Refused, Retry
from fixity.errors import BucketUnreachable, FixityError
from fixity.humanize import printable

_IDLE_PAGES = 1000
"""How many pages in a row may be empty: stores answer with empty pages where much was deleted."""
_PARSED_AT_ONCE = 2
"""Pages, each in a thread for parsing alone. The threads that list are many: where each parsed its own, they
waited for each other at the interpreter's lock, and a listing at 30 ms took an eighth longer."""
_REQUEST: dict[Kind, dict[str, str]] = {"v2": {"list-type": "2"}, "v1": {}, "versions": {"versions": ""}}
_AFTER: dict[Kind, str] = {"v2": "start-after", "v1": "marker", "versions": "key-marker"}


class Pages:
    """The listing of one bucket.

    Arguments: `name` of the bucket, for messages; `ask` sends the parameters of one request, and returns the
    response; `back_off` waits after so many failures in a row, and for the seconds that the store asked for;
    `versions`, whether to list all versions.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[dict[str, str]], bytes],
        back_off: Callable[[int, float], None],
        versions: bool,
    ) -> None:
        self._name = name
        self._ask = ask
        self._back_off = back_off
        self._versions = versions
        self._kind: Kind = "versions" if versions else "v2"
        self._answered = False
        self._coding_of_plus: Coding | None = None
        self._parsers = ThreadPoolExecutor(_PARSED_AT_ONCE, "parse")

    def all_below(self, prefix: str, after: str | None = None) -> Iterator[Page]:
        """All pages of the keys below a prefix, or of those after a key. Raises BucketUnreachable."""
        seen: set[int] = set()
        idle = 0
        parameters: dict[str, str] | None = {} if after is None else {_AFTER[self._kind]: after}
        while parameters is not None:
            page = self.page(parameters, prefix)
            asked, ends = hash(tuple(parameters.items())), hash(page.last)
            idle = 0 if page.last else idle + 1
            if asked in seen or (page.last and ends in seen) or idle > _IDLE_PAGES:
                raise BucketUnreachable(f"{self._name}: the listing does not advance {_place(parameters)}")
            seen |= {asked, ends}
            parameters = page.next_parameters
            yield page

    def cuts_after(self, page: Page, prefix: str) -> list[str]:
        """Where to cut what comes after a page of the keys below a prefix; empty if that is not found."""
        if page.next_parameters is None or not page.last:
            return []

        def folders(below: str) -> list[str]:
            try:
                return folders_of(self._ask({"list-type": "2", "prefix": below, "delimiter": "/"}))
            except (ListingError, ObjectError, Retry):
                return []

        def is_past(text: str) -> bool:
            found = self.page({_AFTER[self._kind]: text, "max-keys": "1"}, prefix)
            return bool(found.last) and all(key.encode() > text.encode() for key, _ in found.last)

        key = max((key for key, _ in page.last), key=str.encode)
        try:
            return find_cuts(key, prefix, folders, is_past)
        except (BucketUnreachable, UnicodeEncodeError):  # the listing itself shows whether it can go on
            return []

    def page(self, parameters: dict[str, str], prefix: str) -> Page:
        """One page of the keys below a prefix. Raises BucketUnreachable.

        Arguments: `parameters`, those of the page before for the next one (`Page.next_parameters`).
        """
        failures = 0
        while True:
            try:
                return self._page_once(parameters, prefix)
            except (ListingError, ObjectError) as error:
                if self._may_know_v1_only(error, parameters):
                    self._kind = "v1"
                    continue
                if isinstance(error, ObjectError):
                    hint = ""
                    if error.code == "AccessDenied":
                        hint = "; if its requester pays, set `requester_pays: true` for its store"
                    raise BucketUnreachable(f"{self._name} cannot be listed: {error}{hint}") from error
                trouble = Retry("InvalidListing", str(error), patience=3)
            except Retry as error:
                trouble = error
            failures += 1
            if failures >= trouble.patience:
                raise BucketUnreachable(
                    f"{self._name} cannot be listed, after {failures} attempts: {trouble.message} "
                    f"({_place(parameters)})",
                    final=False,
                ) from trouble
            self._back_off(failures, trouble.retry_after)

    def _page_once(self, parameters: dict[str, str], prefix: str) -> Page:
        body = self._ask(self._query(parameters, prefix))
        page = self._parse(body)
        self._answered = True
        if page.unclear is None:
            return page
        text, codings = page.unclear
        of_plus = codings[0] is decoded_but_plus  # then it is the same on all pages
        coding = (of_plus and self._coding_of_plus) or self._coding(text, codings)
        if of_plus:
            self._coding_of_plus = coding
        return self._parse(body, coding)

    def _parse(self, body: bytes, coding: Coding | None = None) -> Page:
        return self._parsers.submit(parse_page, body, self._versions, self._kind, coding).result()

    def _coding(self, text: str, codings: tuple[Coding, ...]) -> Coding:
        """How the store writes keys. `text` is a key of its listing: only below the right prefix is it listed
        again.
        """
        for coding in codings:
            found = self._ask(self._query({}, coding(text)))
            if text in keys_as_written(found):
                return coding
        raise ListingError(
            f"the listing does not say whether its keys are encoded, such as '{printable(text, 200)}'"
        )

    def _may_know_v1_only(self, error: FixityError, parameters: dict[str, str]) -> bool:
        """Whether an answer may be of a store that does not know ListObjectsV2.

        Such a store refuses it, or answers as to ListObjects, without a token.
        """
        if self._kind != "v2" or "continuation-token" in parameters:
            return False
        if isinstance(error, ObjectUnreadable):
            return not self._answered and not isinstance(error, Refused)
        return isinstance(error, NoContinuation)

    def _query(self, parameters: dict[str, str], prefix: str) -> dict[str, str]:
        return {**parameters, **_REQUEST[self._kind], "prefix": prefix}


def _place(parameters: dict[str, str]) -> str:
    after = " ".join(value for name, value in parameters.items() if name != "max-keys")
    return f"on the page after '{printable(after, 200)}'" if after else "on the first page"
