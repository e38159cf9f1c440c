"""Damages an object of a running SeaweedFS by inverting one byte.

An object is one or more chunks (at most 4 MiB each), each a needle in a volume's .dat file: cookie (4
bytes), id (8), size (4), length of the data (4), data, flags and names, CRC-32C of the data.

`damage_object` changes a needle on the disk. Its CRC is then wrong, and the server cannot read the chunk:
each GET waits 13 s, then returns 500 (first chunk, or a range within the chunk) or ends the body where the
chunk begins. `corrupt_object` rewrites a needle without S3: the server then sends wrong bytes with the same
ETag, size and time. No cache hides either. Faults of the network do not belong here.
"""

from __future__ import annotations

import json
import mmap
import urllib.parse
import urllib.request

from devstack.seaweedfs import SeaweedFS

_BOUNDARY = "9f2c1e7d-a-chunk"


def damage_object(
    server: SeaweedFS, bucket: str, key: str, *, chunk: int = 0, version_id: str | None = None
) -> None:
    """Make an object's `chunk` unreadable."""
    volume, _, needle = _file_id(server, bucket, key, chunk, version_id).partition(",")
    # A file id has the needle's id first, then 8 digits of the cookie; the disk has the opposite order.
    head = bytes.fromhex(needle[-8:]) + int(needle[:-8], 16).to_bytes(8, "big")
    path = server.directory / "data" / f"{bucket}_{volume}.dat"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as disk:
        start = disk.rfind(head)
        assert start >= 0, f"no needle {needle} in {path}"
        length = int.from_bytes(disk[start + 16 : start + 20], "big")
        disk[start + 20 + length // 2] ^= 0xFF


def corrupt_object(
    server: SeaweedFS, bucket: str, key: str, *, chunk: int = 0, version_id: str | None = None
) -> None:
    """Silently change the byte in the middle of an object's `chunk`. Only reading the bytes shows it."""
    url = f"{server.volume_url}/{_file_id(server, bucket, key, chunk, version_id)}"
    with urllib.request.urlopen(url) as answer:
        data = bytearray(answer.read())
    data[len(data) // 2] ^= 0xFF
    part = 'Content-Disposition: form-data; name="file"; filename="chunk"\r\n'
    part += "Content-Type: application/octet-stream\r\n\r\n"
    form = f"--{_BOUNDARY}\r\n{part}".encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    with urllib.request.urlopen(urllib.request.Request(url, form, headers)):
        pass


def _file_id(server: SeaweedFS, bucket: str, key: str, chunk: int, version_id: str | None) -> str:
    """SeaweedFS's id of one chunk of an object: `volume,needle`."""
    path = key if version_id in (None, "null") else f"{key}.versions/v_{version_id}"
    url = f"{server.filer_url}/buckets/{bucket}/{urllib.parse.quote(path)}?metadata=true&resolveManifest=true"
    with urllib.request.urlopen(url) as answer:
        chunks = json.load(answer)["chunks"]
    file_id = sorted(chunks, key=lambda each: each.get("offset", 0))[chunk]["file_id"]
    assert isinstance(file_id, str)
    return file_id
