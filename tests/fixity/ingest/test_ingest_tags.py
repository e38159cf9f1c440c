"""Which tags are written: none that would destroy or hide what contradicts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fixity.buckets import ObjectError, ObjectSkipped, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes, Head
from fixity.ingest.tags import tag_writer
from tests.fixity.ingest.test_restore import head
from tests.fixity.support import NOON

MD5, WRONG = "a" * 32, "0" * 32
ROW = {
    "key": "a", "version_id": None, "etag": None, "own_algorithm": "MD5", "own_checksum": MD5,
    "status": "succeeded", "result": "MATCHED", "conflicts": 0, "unusable_records": 0,
}  # fmt: skip


class Tagged(Attributes):
    """One object with these tags."""

    def __init__(self, **tags: str) -> None:
        self.now = {name.replace("_", "-"): value for name, value in tags.items()}
        self.puts = 0
        self.trouble: ObjectError | None = None

    def head(self, *args: Any, **more: Any) -> Head:
        if self.trouble is not None:
            raise self.trouble
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


OTHERS = {f"t{number}": "x" for number in range(10)}
TIME = "computed-md5-last-modified"


@pytest.mark.parametrize(
    ("there", "said", "tags"),
    [
        ({}, "yes", 2),
        (dict(list(OTHERS.items())[:8]), "yes", 10),
        ({**dict(list(OTHERS.items())[:8]), "computed-md5": MD5, TIME: "1"}, "yes", 10),
        (dict(list(OTHERS.items())[:9]), "no: 9 tags are there already, and S3 allows 10", 9),
        (OTHERS, "no: 10 tags are there already, and S3 allows 10", 10),
    ],
)
def test_tags_are_merged_and_never_more_than_ten(there: dict[str, str], said: str, tags: int) -> None:
    tagged = Tagged()
    tagged.now = dict(there)
    assert write(tagged) == said
    assert len(tagged.now) == tags
    assert {name: tagged.now[name] for name in there if name != TIME} == {
        name: value for name, value in there.items() if name != TIME
    }


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"result": "MATCHED"}, "yes"),
        ({"result": "SKIPPED"}, "yes"),  # it was read, and nothing was recorded of it
        ({"result": "NOTMATCHED"}, None),
        ({"result": "SKIPPED", "status": "failed", "checksum": None}, None),
        ({"result": "SKIPPED", "status": "skipped", "checksum": None}, None),
        ({"result": "SKIPPED", "status": "missing", "checksum": None}, None),
    ],
)
def test_tags_are_written_of_what_was_read_and_does_not_differ(row: dict[str, Any], said: str | None) -> None:
    tagged = Tagged()
    assert (write(tagged, **row), tagged.puts) == (said, int(said == "yes"))


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (ObjectUnreadable("AccessDenied", "not yours"), "no: AccessDenied: not yours"),
        (ObjectSkipped("ChangedSinceListed", "overwritten"), "no: ChangedSinceListed: overwritten"),
    ],
)
def test_why_a_tag_could_not_be_written_is_told(trouble: ObjectError, said: str) -> None:
    tagged = Tagged()
    tagged.trouble = trouble
    assert (write(tagged), tagged.puts) == (said, 0)
