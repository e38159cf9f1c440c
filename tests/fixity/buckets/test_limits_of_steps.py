"""Steps that read a bucket at once keep its limits together, by the server's own count."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from devstack.faulty_proxy import FaultyProxy
from fixity.buckets import listed_objects, open_bucket
from fixity.engines.stream.engine import check_objects
from tests.fixity.support import by_sha256
from tests.platform import PAIR, Platform

MIB = 1024**2
STEPS, OBJECTS = 3, 15


def test_three_steps_together_read_no_faster_and_no_more_at_once_than_the_bucket_allows(
    platform: Platform, faulty_proxy: FaultyProxy
) -> None:
    for number in range(OBJECTS):
        platform.s3.put_object(Bucket=platform.source, Key=f"key-{number:02d}", Body=bytes(MIB))
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings |= {"max_concurrency": STEPS + 1, "max_bandwidth": "6MiB"}
    catalog = platform.catalog

    def step(number: int) -> int:
        with closing(open_bucket(catalog, catalog.buckets[PAIR], share=STEPS)) as store:
            items = [each for batch in store.list_objects() for each in listed_objects(batch)]
            own = list(enumerate(items))[number::STEPS]
            return sum(check.bytes_read for check in check_objects(store, own, by_sha256, store.at_once))

    with ThreadPoolExecutor(STEPS) as pool:
        assert sum(pool.map(step, range(STEPS))) == OBJECTS * MIB
    assert faulty_proxy.max_concurrent <= STEPS + 1
    begun, ended = faulty_proxy.sent[0][0], faulty_proxy.sent[-1][0]
    # What stands in buffers on the way is sent before it is read: at most a piece a thread, and a socket's.
    assert (OBJECTS - 4) * MIB / (ended - begun) <= 1.1 * 6 * MIB
