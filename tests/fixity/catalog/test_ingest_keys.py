"""The keys of ingest fixity: chunks, archived objects, tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixity.catalog import Restore, load_catalog
from tests.fixity.catalog.conftest import Load, Problems, with_bucket

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "ingest.yaml"


def test_nothing_is_restored_and_no_tag_written_unless_the_catalog_says_so(load: Load) -> None:
    bucket = load(with_bucket("")).buckets["a"]
    assert (bucket.archived, bucket.write_tags, bucket.chunk_size) == ("skip", False, 20 * 1024**3)
    assert bucket.restore == Restore(tier="Bulk", days=7, at_once=10 * 1024**4)


def test_the_example_is_a_good_catalog() -> None:
    bucket = load_catalog(EXAMPLE).buckets["media-ingest"]
    assert (bucket.archived, bucket.write_tags, bucket.restore.at_once) == ("restore", True, 10 * 1024**4)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("archived: thaw", "buckets.a.archived: 'thaw' is not possible: one of skip, restore"),
        ("restore: {tier: bulk}", "is not possible: one of Expedited, Standard, Bulk; did you mean Bulk?"),
        ("restore: {days: 0}", "buckets.a.restore.days: 0 is too small: 1 at least"),
        ("restore: {at_once: 0B}", "buckets.a.restore.at_once: '0B' is too small: more than 0"),
        (
            "restore: {teir: Bulk}",
            "there is no such key; did you mean tier?",
        ),
        ("chunk_size: 1KiB", "buckets.a.chunk_size: '1KiB' is too small: 1048576 at least"),
        ("path: x, archived: restore", "is a local directory and cannot have `archived: restore`"),
        ("records_in: [tags]", "buckets.a.records_in[0]: 'tags' is not possible: one of object-tagging, "),
        ("path: x, records_in: []", "is a local directory and cannot have `records_in`"),
        ("path: x, write_tags: true", "is a local directory and cannot have `write_tags`"),
    ],
)
def test_a_wrong_key_is_refused_with_what_would_be_right(problems: Problems, keys: str, problem: str) -> None:
    (said,) = problems(with_bucket(keys))
    assert problem in said
