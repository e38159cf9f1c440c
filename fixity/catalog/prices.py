"""What reading costs: the list prices in prices.yaml, and the catalog's own in their place.

How much is read does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from fixity.catalog.base import Part
from fixity.catalog.model import Store

_TABLE = Path(__file__).with_suffix(".yaml")
_HOSTS = {"wasabisys.com": "wasabi"}

Price = Annotated[float, Field(ge=0)]
"""US dollars."""


class ClassPrices(Part):
    """What reading costs more or otherwise in a storage class, in US dollars; the rest is the store's."""

    retrieval_gb: Price = 0
    """A GB (10⁹ bytes) that is retrieved, besides `egress_gb`."""
    get_1000: Price | None = None
    """A thousand GET requests."""


class Prices(Part):
    """What a store charges, in US dollars; what is left out is as in the table of list prices."""

    egress_gb: Price | None = None
    """A GB (10⁹ bytes) that is read; 0 where the platform runs in the store's own region."""
    get_1000: Price | None = None
    """A thousand GET requests."""
    list_1000: Price | None = None
    """A thousand LIST requests, each of which lists up to a thousand objects."""
    batch_job: Price | None = None
    """A job of S3 Batch Operations."""
    batch_million: Price | None = None
    """A million objects in a job of S3 Batch Operations."""
    batch_gb: Price | None = None
    """A GB (10⁹ bytes) of which such a job computes checksums."""
    batch_million_listed: Price | None = None
    """A million objects that S3 lists for such a job."""
    classes: dict[str, ClassPrices] = Field(default={})
    """What reading costs in storage classes where it costs more, by their names, such as
    `STANDARD_IA: {retrieval_gb: 0.01, get_1000: 0.001}`."""


def prices_of(store: Store | None, own: Mapping[str, Prices]) -> Prices:
    """The prices of a store; those that nobody knows are None.

    Arguments: `store`, None for a local directory; `own`, the catalog's, by the names of stores.
    """
    known = _table()["stores"].get(_provider(store), {})
    mine = own.get(store.name) if store else None
    given = mine.model_dump(exclude_none=True, exclude_unset=True) if mine else {}
    classes = dict(known.get("classes", {}))
    for name, prices in given.get("classes", {}).items():
        classes[name] = {**classes.get(name, {}), **prices}
    return Prices.model_validate({**known, **given, "classes": classes})


def date_of_prices() -> date:
    """Of when the list prices are."""
    dated: date = _table()["date"]
    return dated


def _provider(store: Store | None) -> str:
    if store is None:
        return "local"
    if store.endpoint_url is None:
        return "aws"
    host = urlsplit(store.endpoint_url).hostname or ""
    return next((name for end, name in _HOSTS.items() if host.endswith(f".{end}")), "")


@cache
def _table() -> dict[str, Any]:
    import yaml

    table: dict[str, Any] = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return table
