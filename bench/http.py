"""Small objects over HTTP: our client beside those of Python, our reader beside boto3.

The server makes its objects up, in a process of its own on loopback. Only the client's CPU is measured: the
server answers more slowly than any client here asks.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import urllib3
from botocore.credentials import Credentials

from bench.data import KIB, Collections
from bench.listing import MADE_UP_BUCKET, made_up_server
from bench.measure import Row, beside
from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY
from fixity.buckets import ListedObject, Throttle
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.http1 import Connection, Origin, Response
from fixity.buckets.s3.reader import S3Reader
from fixity.buckets.s3.sigv4 import Signer

_SIZE = 16 * KIB
_CREDENTIALS = Credentials(ACCESS_KEY, SECRET_KEY)
_Work = Callable[[int], None]


class _Counted:
    """Takes an object's bytes and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def restart(self) -> None:
        self.count = 0

    def update(self, data: memoryview) -> None:
        self.count += len(data)


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU an object of 16 KiB, one after the other: signed requests, the body read into a buffer."""
    objects = collections.requested
    with made_up_server(objects, _SIZE) as url:
        origin = Origin(urlsplit(url).hostname or "", urlsplit(url).port or 0)
        contestants: dict[str, _Work] = {
            "ours": partial(_ours, origin),
            "http.client": partial(_http_client, origin),
            "urllib3": partial(_urllib3, origin),
            "reader": partial(_reader, origin),
            "boto3": partial(_boto3, url),
        }
        used = {name: [_milliseconds(work, objects)] for name, work in contestants.items()}  # not counted
        for _ in range(rounds):
            for name, work in contestants.items():
                used[name].append(_milliseconds(work, objects))
    unit, cpu = "ms an object", {name: measured[1:] for name, measured in used.items()}
    http, read = "GET of 16 KiB over HTTP, CPU", "S3 object of 16 KiB read, CPU"
    return [
        beside(http, unit, cpu["ours"], cpu["http.client"], 0.7, "http.client"),
        beside(http, unit, cpu["ours"], cpu["urllib3"], 0.4, "urllib3"),
        beside(read, unit, cpu["reader"], cpu["boto3"], 0.2, "boto3"),
    ]


def _milliseconds(work: _Work, objects: int) -> float:
    begun = time.process_time()
    work(objects)
    return (time.process_time() - begun) / objects * 1000


def _key(number: int) -> str:
    return f"synthetic/{number:010d}"


def _requests(origin: Origin, objects: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Paths and signed headers, the same for every client."""
    signer = Signer(_CREDENTIALS.get_frozen_credentials, REGION)
    for number in range(objects):
        path = f"/{MADE_UP_BUCKET}/{_key(number)}"
        yield path, signer.headers("GET", origin.host_header, path)


def _ours(origin: Origin, objects: int) -> None:
    buffer = memoryview(bytearray(512 * KIB))
    with Connection(origin) as connection:
        for path, headers in _requests(origin, objects):
            response = connection.request("GET", path, headers)
            _refuse_unless(_SIZE, _read_out(response, buffer))


def _http_client(origin: Origin, objects: int) -> None:
    buffer = memoryview(bytearray(512 * KIB))
    connection = http.client.HTTPConnection(origin.host, origin.port)
    for path, headers in _requests(origin, objects):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        _refuse_unless(_SIZE, _read_out(response, buffer))
    connection.close()


def _read_out(response: Response | http.client.HTTPResponse, buffer: memoryview) -> int:
    total = 0
    while count := response.readinto(buffer):
        total += count
    return total


def _urllib3(origin: Origin, objects: int) -> None:
    with urllib3.HTTPConnectionPool(origin.host, origin.port) as pool:
        for path, headers in _requests(origin, objects):
            response = pool.urlopen("GET", path, headers=headers, preload_content=False)
            _refuse_unless(_SIZE, sum(map(len, response.stream(512 * KIB))))
            response.release_conn()


def _reader(origin: Origin, objects: int) -> None:
    address = Address(origin, f"/{MADE_UP_BUCKET}", REGION, _CREDENTIALS.get_frozen_credentials)
    reader = S3Reader(MADE_UP_BUCKET, address, Throttle(1))
    for number in range(objects):
        taken = _Counted()
        reader.read(ListedObject(_key(number), None, True, _SIZE, f"{number:032x}", None, None), taken)
        _refuse_unless(_SIZE, taken.count)
    reader.close()


def _boto3(url: str, objects: int) -> None:
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    client = session.client("s3", endpoint_url=url)
    for number in range(objects):
        answer = client.get_object(Bucket=MADE_UP_BUCKET, Key=_key(number), IfMatch=f'"{number:032x}"')
        _refuse_unless(_SIZE, sum(map(len, answer["Body"].iter_chunks(512 * KIB))))
    client.close()


def _refuse_unless(expected: int, count: int) -> None:
    if count != expected:
        raise ValueError(f"{count:,} bytes came of an object of {expected:,}")
