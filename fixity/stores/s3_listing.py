"""Pages of an S3 listing, from XML straight into Arrow: no Python object per field.

boto3's parser costs 0.1 ms an object, this 0.005 ms; the tests hold one against the other. Fetching
the pages does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

import pyarrow as pa
from lxml import etree

from fixity.tables import INVENTORY

_COLUMNS = [field.name for field in INVENTORY]


class ListingError(ValueError):
    """The answer is no listing of a bucket."""


@dataclass(frozen=True)
class Page:
    """One page: its objects (the inventory's schema, full keys) and the parameters of the next page."""

    batch: pa.RecordBatch
    next_parameters: dict[str, str] | None


def parse_page(body: bytes, versions: bool) -> Page:
    """A page of ListObjectsV2 (`versions` False) or ListObjectVersions (True), asked for with
    `encoding-type=url`.

    Delete markers are left out: they hold no bytes. Raises ListingError.
    """
    try:
        root = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        raise ListingError(f"the listing is not XML ({error}): {body[:200]!r}") from error
    tag = root.tag.rpartition("}")
    expected = "ListVersionsResult" if versions else "ListBucketResult"
    if tag[2] != expected:
        raise ListingError(f"the answer is <{tag[2]}>, not <{expected}>")
    namespace = tag[0] + tag[1]
    encoded = (root.findtext(f"{namespace}EncodingType") or "").lower() == "url"
    entry = f"{namespace}{'Version' if versions else 'Contents'}"
    rows = [_row(element, len(namespace), encoded) for element in root.iterchildren(entry)]
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, INVENTORY, strict=True)],
        schema=INVENTORY,
    )
    return Page(batch, _next(root, namespace, versions, encoded))


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True, remove_pis=True
    )


def _key(text: str | None, encoded: bool) -> str:
    return unquote_plus(text or "", errors="strict") if encoded else text or ""


def _row(element: etree._Element, skip: int, encoded: bool) -> tuple[object, ...]:
    said: dict[str, str | None] = {}
    algorithms: list[str] = []
    for child in element:
        name = child.tag[skip:]
        if name == "ChecksumAlgorithm":
            algorithms.append(child.text or "")
        else:
            said[name] = child.text
    try:
        key = _key(said["Key"], encoded)
        size = int(said["Size"] or "")
    except (KeyError, ValueError) as error:
        raise ListingError(f"an entry without a usable key or size: {said!r}") from error
    modified = said.get("LastModified")
    return (
        key,
        said.get("VersionId"),
        said.get("IsLatest", "true") == "true",
        size,
        (said.get("ETag") or "").strip('"') or None,
        _time(modified) if modified else None,
        said.get("StorageClass"),
        ",".join(algorithms) or None,
    )


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ListingError(f"LastModified is no time: {text!r}") from error


def _next(root: etree._Element, namespace: str, versions: bool, encoded: bool) -> dict[str, str] | None:
    def text(name: str) -> str:
        return root.findtext(namespace + name) or ""

    truncated = text("IsTruncated").strip().lower()
    if truncated not in ("true", "false"):  # to guess would be to take a part for the whole
        raise ListingError("the listing does not say whether it goes on")
    if truncated == "false":
        return None
    if not versions:
        if not text("NextContinuationToken"):
            raise ListingError("the listing says that it goes on, but not where")
        return {"continuation-token": text("NextContinuationToken")}
    if not text("NextKeyMarker"):
        raise ListingError("the listing says that it goes on, but not where")
    marker = {"key-marker": _key(text("NextKeyMarker"), encoded)}
    if text("NextVersionIdMarker"):
        marker["version-id-marker"] = text("NextVersionIdMarker")
    return marker
