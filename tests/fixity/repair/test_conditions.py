"""Whether a store obeys preconditions is found out before a repair writes, for each way of writing."""

from __future__ import annotations

from typing import Any

import pytest

from fixity.buckets.s3.conditions import Conditions, Way
from fixity.buckets.s3.writer import S3Writer
from fixity.repair import Repair, repair
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import GOOD, Places

WAYS: tuple[Way, ...] = ("put", "copy", "parts")


def overlooking(pair: Places, *operations: str) -> Repair:
    """A repair on a store that overlooks the preconditions of these operations."""
    with pair.run() as run:
        writer = run.sides["b"].writer
        assert isinstance(writer, S3Writer)
        for operation in operations:
            writer._client.meta.events.register(f"before-call.s3.{operation}", overlook)
        return repair(pair.order(), run)


def overlook(params: dict[str, Any], **_: object) -> None:
    for name in ("If-None-Match", "If-Match"):
        params["headers"].pop(name, None)


def test_each_way_of_writing_is_tried_once_and_nothing_is_left_of_it(places: MakePlaces) -> None:
    pair = places("s3", "versions")
    asked: list[str] = []
    pair.s3.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    for bucket in pair.real.values():
        conditions = Conditions(pair.s3, bucket)
        assert [conditions.obeyed(way) for way in WAYS] == [True, True, True]
        count = len(asked)
        assert [conditions.obeyed(way) for way in WAYS] == [True, True, True] and len(asked) == count
        listed: Any = pair.s3.list_object_versions(Bucket=bucket)
        assert not listed.get("Versions") and not listed.get("DeleteMarkers")
        assert not pair.s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_aws_is_not_tried(places: MakePlaces) -> None:
    assert Conditions(None, "b", known=True).obeyed("put")  # type: ignore[arg-type]


@pytest.mark.parametrize("replica", ["elsewhere", "versions"])
def test_a_store_that_overlooks_preconditions_is_written_only_where_versions_are_kept(
    places: MakePlaces, replica: str
) -> None:
    pair = places("s3", replica)
    pair.both("k")
    bad = pair.corrupt("b", "k")
    pair.check("b")
    (done,) = overlooking(pair, "PutObject", "CopyObject").done
    if replica == "versions":
        assert (done.refused, pair.get("b", "k")) == (None, GOOD)
    else:
        assert "the store of b does not obey If-Match and If-None-Match" in str(done.refused)
        assert (pair.get("b", "k"), pair.keys("b")) == (bad, {"k"})


def test_where_copies_by_the_store_have_no_preconditions_the_bytes_go_through_the_platform(
    places: MakePlaces,
) -> None:
    pair = places("s3", "s3")
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    repaired = overlooking(pair, "CopyObject")
    assert [repaired.is_right(each) for each in repaired.done] == [True]
    assert pair.get("b", "k") == GOOD
