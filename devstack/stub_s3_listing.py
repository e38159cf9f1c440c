"""The listings of `StubS3`: pages of XML as S3 writes them. HTTP does not belong here."""

from __future__ import annotations

import base64
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from urllib.parse import quote_plus

from devstack.stub_s3_bucket import Bucket, StoredVersion

_MOST = 1000
"""The largest number of entries on a page."""

_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    | {chr(code): f"&#x{code:x};" for code in range(0x20)}
)


def list_objects_v2(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """A page of the newest versions, without objects behind a delete marker."""
    text = _texts(query)
    prefix = query.get("prefix", "")
    token = query.get("continuation-token")
    after = _key_of(token) if token is not None else query.get("start-after", "")
    most = min(int(query.get("max-keys", _MOST)), _MOST)
    newest = ((key, versions[0]) for key, versions in _from(bucket, prefix, after))
    page = list(islice(((key, each) for key, each in newest if each.body is not None), most + 1))
    more, page = len(page) > most, page[:most]
    head = [_element("Name", name), _element("Prefix", text(prefix))]
    if token is not None:
        head.append(_element("ContinuationToken", _escaped(token)))
    elif "start-after" in query:
        head.append(_element("StartAfter", text(after)))
    if more and page:
        head.append(_element("NextContinuationToken", _token_of(page[-1][0])))
    head += [_element("KeyCount", str(len(page))), _element("MaxKeys", str(most))]
    body = [f"<Contents><Key>{text(key)}</Key>{_described(each)}</Contents>" for key, each in page]
    return _document("ListBucketResult", [*head, *_ending(query, more and bool(page)), *body])


def list_versions(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """A page of all versions and delete markers, newest first within a key."""
    text = _texts(query)
    prefix, marker = query.get("prefix", ""), query.get("key-marker", "")
    version_marker = query.get("version-id-marker", "")
    most = min(int(query.get("max-keys", _MOST)), _MOST)
    entries = _versions_after(bucket, prefix, marker, version_marker)
    page = list(islice(entries, most + 1))
    more, page = len(page) > most, page[:most]
    head = [_element("Name", name), _element("Prefix", text(prefix)), _element("KeyMarker", text(marker))]
    head.append(_element("VersionIdMarker", _escaped(version_marker)))
    if more and page:
        head.append(_element("NextKeyMarker", text(page[-1][0])))
        head.append(_element("NextVersionIdMarker", page[-1][1].version_id))
    head.append(_element("MaxKeys", str(most)))
    body = [_version_entry(text(key), each, latest) for key, each, latest in page]
    return _document("ListVersionsResult", [*head, *_ending(query, more and bool(page)), *body])


def _from(bucket: Bucket, prefix: str, after: str) -> Iterator[tuple[str, list[StoredVersion]]]:
    """The keys that begin with `prefix` and come after the key `after`, with their versions."""
    keys = bucket.keys
    start = max(bisect_left(keys, prefix), bisect_right(keys, after) if after else 0)
    for index in range(start, len(keys)):
        if not keys[index].startswith(prefix):
            return
        yield keys[index], bucket.versions(keys[index])


def _versions_after(
    bucket: Bucket, prefix: str, marker: str, version_marker: str
) -> Iterator[tuple[str, StoredVersion, bool]]:
    """The versions after the markers, each with whether it is its key's newest."""
    if marker and version_marker and marker.startswith(prefix):
        ids = [each.version_id for each in bucket.versions(marker)]
        left = ids.index(version_marker) + 1 if version_marker in ids else len(ids)
        for each in bucket.versions(marker)[left:]:
            yield marker, each, False
    for key, versions in _from(bucket, prefix, marker):
        for index, each in enumerate(versions):
            yield key, each, index == 0


def _version_entry(key: str, version: StoredVersion, latest: bool) -> str:
    which = f"<Key>{key}</Key><VersionId>{version.version_id}</VersionId>"
    which += f"<IsLatest>{str(latest).lower()}</IsLatest>"
    if version.body is None:
        when = _element("LastModified", _timestamp(version.last_modified))
        return f"<DeleteMarker>{which}{when}{_OWNER}</DeleteMarker>"
    return f"<Version>{which}{_described(version)}{_OWNER}</Version>"


_OWNER = "<Owner><ID>0000000000000000000000000000000000000000000000000000000000000000</ID></Owner>"


def _described(version: StoredVersion) -> str:
    algorithm = version.checksum_algorithm
    checksum = "" if algorithm is None else (
        f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
    )  # fmt: skip
    return (
        f"<LastModified>{_timestamp(version.last_modified)}</LastModified>"
        f"<ETag>{_escaped(version.etag)}</ETag>{checksum}<Size>{version.size}</Size>"
        f"<StorageClass>{version.storage_class}</StorageClass>"
    )


def _timestamp(moment: datetime) -> str:
    """A time as S3 writes it: UTC, milliseconds, Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _texts(query: Mapping[str, str]) -> Callable[[str], str]:
    """The function that encodes keys in this response."""
    return _url_encoded if query.get("encoding-type") == "url" else _escaped


def _url_encoded(key: str) -> str:
    return quote_plus(key, safe="/*", errors="surrogateescape")


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _element(name: str, text: str) -> str:
    return f"<{name}>{text}</{name}>" if text else f"<{name}/>"


def _ending(query: Mapping[str, str], more: bool) -> list[str]:
    """The elements between the head of a page and its entries."""
    encoding = [_element("EncodingType", "url")] if query.get("encoding-type") == "url" else []
    return [*encoding, _element("IsTruncated", str(more).lower())]


def _document(root: str, elements: list[str]) -> bytes:
    content = "".join(elements)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{root}>'
    ).encode("utf-8", "surrogateescape")


def _token_of(key: str) -> str:
    """Opaque to clients, with the `+`, `/` and `=` of S3's own tokens."""
    return base64.b64encode(b"\xfb\xef\xff" + key.encode("utf-8", "surrogateescape")).decode()


def _key_of(token: str) -> str:
    """The key that a token stands for.

    Raises: ValueError for a token that is not one of ours, one sent without being quoted perhaps.
    """
    return base64.b64decode(token, validate=True)[3:].decode("utf-8", "surrogateescape")
