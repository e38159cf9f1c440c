"""Which tags are written: none that would destroy or hide what contradicts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fixity.ingest.tags import tag_writer
from fixity.stores.attributes import Attributes, Head
from tests.fixity.support import NOON
from tests.fixity.test_restore import head

MD5, WRONG = "a" * 32, "0" * 32
ROW = {
    "key": "a", "version_id": None, "etag": None, "algorithm": "MD5", "checksum": MD5, "status": "succeeded",
    "result": "MATCHED", "conflicts": 0, "unusable_records": 0,
}  # fmt: skip


class Tagged(Attributes):
    """One object with these tags."""

    def __init__(self, **tags: str) -> None:
        self.now = {name.replace("_", "-"): value for name, value in tags.items()}
        self.puts = 0

    def head(self, *args: Any, **more: Any) -> Head:  # noqa: ANN401
        return head()

    def tags(self, key: str, version_id: str | None = None) -> dict[str, str]:
        return dict(self.now)

    def put_tags(self, key: str, version_id: str | None, tags: Mapping[str, str]) -> None:
        self.now = dict(tags)
        self.puts += 1


def write(tagged: Tagged, **row: object) -> str | None:
    (said,) = tag_writer(tagged, 1, lambda: NOON)([{**ROW, **row}])
    return said


def test_a_tag_that_says_the_same_is_written_anew_with_its_time() -> None:
    tagged = Tagged(computed_md5=MD5, project="letters")
    assert write(tagged) == "yes"
    assert tagged.now["project"] == "letters"
    assert tagged.now["computed-md5-last-modified"] == str(int(NOON.timestamp() * 1000))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, f"no: the tag says {WRONG}"),
        ({"conflicts": 1}, "no: its records contradict each other"),
        ({"unusable_records": 1}, "no: records of it could not be used"),
        ({"result": "NOTMATCHED"}, None),
    ],
)
def test_a_tag_that_contradicts_stays_and_contradictions_are_not_written_over(
    row: dict[str, Any], said: str | None
) -> None:
    tagged = Tagged(computed_md5=WRONG)
    assert write(tagged, **row) == said
    assert (tagged.now, tagged.puts) == ({"computed-md5": WRONG}, 0)
