"""What the tests of the domain share: stores with a pace that never waits, and short ways to read them."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from botocore.credentials import Credentials

from fixity.digests import Digest
from fixity.hashing import Check, check_object
from fixity.stores import ListedObject, Pace, Store
from fixity.stores.s3 import S3Store
from fixity.stores.s3_address import Address
from fixity.stores.wire import Origin
from tests.servers.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY


class Naps(list[float]):
    """A `sleep` that keeps count of the seconds and takes none."""

    def pace(self, concurrency: int = 4) -> Pace:
        return Pace(concurrency, clock=lambda: sum(self), sleep=self.append)


def address(endpoint_url: str, bucket: str, timeout: float = 10.0) -> Address:
    parts = urlsplit(endpoint_url)
    assert parts.hostname is not None and parts.port is not None
    origin = Origin(parts.hostname, parts.port, timeout=timeout)
    return Address(origin, f"/{bucket}", REGION, Credentials(ACCESS_KEY, SECRET_KEY))


def s3_store(
    endpoint_url: str,
    bucket: str,
    *,
    pace: Pace | None = None,
    prefix: str = "",
    exclude: tuple[str, ...] = (),
    versions: bool = False,
    timeout: float = 10.0,
) -> S3Store:
    where = address(endpoint_url, bucket, timeout)
    return S3Store(bucket, where, pace or Naps().pace(), prefix, exclude, versions)


def listed(store: Store) -> list[ListedObject]:
    """All objects as the store lists them."""
    names = ListedObject.__slots__
    return [
        ListedObject(**{name: row[name] for name in names})
        for batch in store.list_objects()
        for row in batch.to_pylist()
    ]


def only(store: Store, key: str) -> ListedObject:
    """The one object of that key."""
    (item,) = [item for item in listed(store) if item.key == key]
    return item


def check(store: Store, item: ListedObject) -> Check:
    return check_object(store, item, Digest("SHA256"))


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def outcome(store: Store, item: ListedObject) -> tuple[str, str | None]:
    """The check's status, with the checksum where it succeeded, else with the error's code."""
    done = check(store, item)
    return done.status, done.checksum if done.error_code is None else done.error_code
