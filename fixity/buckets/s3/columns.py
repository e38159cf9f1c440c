"""Turns the texts of a listing's entries into rows of the inventory. Where the texts stand, and how keys are
encoded, does not belong here.
"""

from __future__ import annotations

import re

import pyarrow as pa

from fixity import compute as pc
from fixity.errors import FixityError
from fixity.humanize import printable
from fixity.tables import INVENTORY

FIELDS = (
    "Key", "VersionId", "IsLatest", "Size", "ETag", "LastModified", "StorageClass", "ChecksumAlgorithm",
)  # fmt: skip
"""The elements of an entry that are read."""

Texts = dict[str, pa.Array]
"""The texts of each of `FIELDS`, all as long as there are entries; NULL where an entry has none."""

_MICROSECONDS = INVENTORY.field("last_modified").type
_SIZE = re.compile(r"\s*[0-9]{1,18}\s*")


class ListingError(FixityError):
    """The response is not a bucket listing. The request is repeated."""

    final = False


def rows_of(keys: pa.Array, texts: Texts) -> pa.RecordBatch:
    """The rows of entries with these keys. Raises ListingError."""
    etags = texts["ETag"]
    if pc.any(pc.starts_with(etags, "W/")).as_py():
        etags = pc.replace_substring_regex(etags, "^W/", "")
    etags = pc.utf8_trim(etags, characters='"')
    columns = {
        "key": keys,
        "version_id": texts["VersionId"],
        "is_latest": _is_latest(texts["IsLatest"]),
        "size": _sizes(texts["Size"], texts),
        "etag": pc.if_else(pc.equal(etags, ""), None, etags),
        "last_modified": _times(texts["LastModified"]),
        "storage_class": texts["StorageClass"],
        "checksum_algorithm": texts["ChecksumAlgorithm"],
    }
    return pa.RecordBatch.from_arrays([columns[field.name] for field in INVENTORY], schema=INVENTORY)


def _sizes(said: pa.Array, texts: Texts) -> pa.Array:
    digits = pc.utf8_trim_whitespace(said)
    try:
        if pc.all(pc.ascii_is_decimal(digits), min_count=0).as_py():  # Arrow would also read -1 and 0x10
            return digits.cast(pa.int64())
    except pa.ArrowInvalid:  # too large
        pass
    pairs = zip(texts["Key"].to_pylist(), texts["Size"].to_pylist(), strict=True)
    key, size = next(pair for pair in pairs if not _SIZE.fullmatch(pair[1] or ""))
    raise ListingError(
        f"the listing has '{printable(key, 200)}' with the size '{printable(size, 50)}', which is no number "
        "of bytes"
    )


def _is_latest(said: pa.Array) -> pa.Array:
    """Whether versions are current; True where nothing is said, as in listings of current versions."""
    if said.null_count == len(said):
        return pa.repeat(True, len(said))
    try:
        return pc.fill_null(pc.utf8_trim_whitespace(said).cast(pa.bool_()), True)
    except pa.ArrowInvalid as error:
        raise ListingError(f"an IsLatest is neither true nor false: {error}") from error


def _times(texts: pa.Array) -> pa.Array:
    """Times of change; NULL where a text is no time, or one that no store can have meant, as the year 1."""

    try:
        # Via nanoseconds: some stores write more digits than microseconds have.
        return texts.cast(pa.timestamp("ns", "UTC")).cast(_MICROSECONDS, safe=False)
    except pa.ArrowInvalid:  # look for the texts that are no times
        if len(texts) == 1:
            return pa.nulls(1, _MICROSECONDS)
        return pa.concat_arrays([_times(texts[at : at + 1]) for at in range(len(texts))])
