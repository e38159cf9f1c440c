"""Restores: what is asked for and how, and what a look makes of what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.moto_api import state_manager

from devstack.moto_server import MotoServer
from devstack.seaweedfs import REGION
from fixity.buckets import BucketUnreachable, ObjectSkipped, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes, Head, Unanswered
from fixity.catalog import Bucket, Restore, Store
from fixity.catalog.clients import s3_client
from fixity.ingest.restore.look import Look, look_at_archived
from fixity.lake import LakeError, LocalLake
from fixity.ledger.bucket_run import BucketRun
from fixity.tables import CHECKSUMS, INGEST, Provenance
from tests.fixity.support import s3_store, take_inventory

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def head(**said: Any) -> Head:
    nothing: dict[str, Any] = {
        "size": 3, "etag": None, "last_modified": None, "storage_class": None, "archive_status": None,
        "restore_ongoing": None, "restored_until": None, "metadata": {}, "md5": None, "checksums": {},
        "parts": None,
    }  # fmt: skip
    return Head(**{**nothing, **said})


class Site:
    """A bucket on moto with archived objects, and looks at it, hours after noon."""

    def __init__(self, server: MotoServer, folder: Path) -> None:
        self.bucket = f"archive-{uuid4()}"
        self.s3 = s3_client(Store(name="moto", endpoint_url=server.endpoint_url, region=REGION))
        self.s3.create_bucket(Bucket=self.bucket)
        self.store = s3_store(server.endpoint_url, self.bucket)
        self.attributes = Attributes(self.s3, self.bucket)
        self.lake = LocalLake(folder / "lake")
        self._looks = 0
        self.inventory = ""

    def put(self, key: str, storage_class: Any = "GLACIER") -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"abc", StorageClass=storage_class)

    def look(self, hours: float = 0.0, **settings: Any) -> Look:
        self._looks += 1
        if not self.inventory:
            self.inventory = take_inventory(self.store, self.lake, "b", "listed").file
        run = BucketRun(self.lake, Bucket(name="b", restore=Restore(**settings)), f"look-{self._looks}")
        return look_at_archived(
            run, self.attributes, self.inventory, 2, lambda: NOON + timedelta(hours=hours)
        )


def checks_of(site: Site) -> list[dict[str, Any]]:
    files = [site.lake.location(file.name) for file in site.lake.list("checksums/b/")]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def states(look: Look) -> dict[str, str]:
    return {row.key: row.state for row in look.rows}


@pytest.fixture
def site(moto_server: MotoServer, tmp_path: Path) -> Iterator[Site]:
    # A restore is in progress for two looks of ours.
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 2})
    yield Site(moto_server, tmp_path)
    state_manager.unset_transition("s3::keyrestore")


def test_a_restore_is_asked_for_seen_in_progress_and_then_ready(site: Site) -> None:
    site.put("film")
    site.put("tape", "DEEP_ARCHIVE")
    site.put("at-hand", "STANDARD")
    site.put("soon-at-hand", "GLACIER_IR")
    first = site.look()
    assert states(first) == {"film": "requested", "tape": "requested"}
    assert [row.tier for row in first.rows] == ["Bulk", "Bulk"]
    assert first.look_again_at == NOON + timedelta(hours=4)
    second = site.look(hours=5)
    assert states(second) == {"film": "requested", "tape": "requested"}
    for _ in range(3):
        last = site.look(hours=30)
    assert states(last) == {"film": "restored", "tape": "restored"}
    assert {row.key for row in last.ready} == {"film", "tape"}
    assert last.rows[0].attempts == 1
    assert last.rows[0].restored_until is not None


def test_no_more_is_restored_at_a_time_than_the_catalog_says(site: Site) -> None:
    for key in ("a", "b", "c"):
        site.put(key)
    assert states(site.look(at_once=7)) == {"a": "requested", "b": "requested", "c": "waiting"}
    assert states(site.look(hours=1, at_once=7)) == {"a": "requested", "b": "requested", "c": "waiting"}


def test_what_is_larger_than_all_the_room_goes_alone(site: Site) -> None:
    for key in ("a", "b"):
        site.put(key)
    assert states(site.look(at_once=1)) == {"a": "requested", "b": "waiting"}


class Scripted(Attributes):
    """Attributes that answer as told: the store that no server here plays."""

    def __init__(self, heads: Sequence[Head | Exception], answers: list[str | Exception]) -> None:
        self.heads = list(heads)
        self.answers = answers
        self.asked: list[tuple[str, int | None]] = []

    def head(
        self, key: str, version_id: str | None = None, etag: str | None = None, part: int | None = None
    ) -> Head:
        said = self.heads.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def restore(self, key: str, version_id: str | None, tier: Any, days: int | None) -> str:
        self.asked.append((tier, days))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class ByKey(Attributes):
    """Attributes of each key as told, of a store that is asked for nothing."""

    def __init__(self, heads: dict[str, Head]) -> None:
        self.heads = heads

    def head(
        self, key: str, version_id: str | None = None, etag: str | None = None, part: int | None = None
    ) -> Head:
        return self.heads[key]


def test_without_capacity_for_expedited_standard_is_asked_for_and_said(site: Site) -> None:
    site.put("film")
    none_left = ObjectUnreadable("GlacierExpeditedRetrievalNotAvailable", "no capacity")
    scripted = site.attributes = Scripted([head()], [none_left, "requested"])
    (row,) = site.look(tier="Expedited").rows
    assert scripted.asked == [("Expedited", 7), ("Standard", 7)]
    assert (row.state, row.tier) == ("requested", "Standard")
    assert row.detail == "S3 has no capacity for Expedited now: Standard was requested"
    assert row.look_again_at == NOON + timedelta(hours=4)


def test_already_restored_and_already_asked_for_are_fine(site: Site) -> None:
    site.put("a")
    site.put("b")
    site.attributes = Scripted([head(), head()], ["restored", "in_progress"])
    assert sorted(states(site.look()).values()) == ["requested", "restored"]


def test_intelligent_tiering_is_asked_without_days_and_only_where_it_is_archived(site: Site) -> None:
    site.put("film", "INTELLIGENT_TIERING")
    scripted = site.attributes = Scripted([head(archive_status="ARCHIVE_ACCESS"), head()], ["requested"])
    (row,) = site.look().rows
    assert (row.archive, row.state, scripted.asked) == ("ARCHIVE_ACCESS", "requested", [("Bulk", None)])
    (row,) = site.look(hours=12).rows  # it lies in a tier that is read at once now
    assert row.state == "restored"


def test_intelligent_tiering_that_is_not_archived_is_no_row(site: Site) -> None:
    site.put("film", "INTELLIGENT_TIERING")
    site.attributes = Scripted([head()], [])
    assert site.look().rows == []


def test_a_restore_that_expires_unread_is_asked_for_once_more_and_then_failed(site: Site) -> None:
    site.put("film")
    scripted = site.attributes = Scripted([head(), head(), head()], ["requested", "requested"])
    assert states(site.look()) == {"film": "requested"}
    (row,) = site.look(hours=200).rows
    assert (row.state, row.attempts) == ("requested", 2)
    last = site.look(hours=400)
    (row,) = last.rows
    assert (row.state, row.error_code, last.look_again_at) == ("failed", "RestoreExpired", None)
    assert len(scripted.asked) == 2
    # It is among the bucket's checks, whatever looks come after.
    (check,) = checks_of(site)
    assert (check["status"], check["error_code"], check["verdict"]) == (
        "failed",
        "RestoreExpired",
        "not_compared",
    )
    assert (check["size"], check["is_latest"], check["last_modified"] is None) == (3, True, False)


def test_a_look_that_is_tried_again_in_its_run_keeps_what_it_saw_last(site: Site) -> None:
    site.put("film")
    site.attributes = Scripted([], ["requested"])
    site.look()
    site._looks = 0  # the lake was away after the table was kept: the step begins again
    site.attributes = Scripted([head(restore_ongoing=False)], [])
    assert states(site.look(hours=5)) == {"film": "restored"}
    assert [file.name for file in site.lake.list("restored/b/")].count("restored/b/look-1.parquet") == 1


def test_a_store_that_asks_for_less_is_asked_again_by_the_next_look(site: Site) -> None:
    site.put("a")
    site.put("b")
    slow_down = Unanswered("SlowDown", "please reduce your rate (HTTP 503)")
    site.attributes = Scripted([], [slow_down, "requested"])
    first = site.look()
    assert sorted(states(first).values()) == ["requested", "waiting"]
    assert first.look_again_at == NOON + timedelta(minutes=15)
    scripted = site.attributes = Scripted([head(restore_ongoing=True)], ["requested"])
    assert set(states(site.look(hours=1)).values()) == {"requested"}
    assert len(scripted.asked) == 1


def test_an_expired_restore_is_a_failed_check_though_the_lake_was_away_for_a_moment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("film")
    site.attributes = Scripted([head(), head(), head(), head()], ["requested", "requested"])
    site.look()
    site.look(hours=200)
    put = site.lake.put

    def away(folder: str, name: str, file: Path, replace: bool = False) -> None:
        if name.startswith(folder):
            raise LakeError("the lake is away")
        put(name, file, replace)

    for folder in ("checksums/", "restored/"):
        monkeypatch.setattr(site.lake, "put", partial(away, folder))
        with pytest.raises(LakeError):
            site.look(hours=400)
        site._looks -= 1  # tried again in the same run
    monkeypatch.setattr(site.lake, "put", put)
    site.attributes = Scripted([head()], [])
    assert states(site.look(hours=401)) == {"film": "failed"}
    (check,) = checks_of(site)
    assert (check["status"], check["error_code"]) == ("failed", "RestoreExpired")


def test_what_expires_between_two_attempts_of_a_look_is_told_beside_what_the_first_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("a")
    site.put("b")
    site.attributes = Scripted([head()] * 2, ["requested"] * 4)
    site.look()
    site.look(hours=200)
    put = site.lake.put

    def away(name: str, file: Path, replace: bool = False) -> None:
        if name.startswith("restored/"):
            raise LakeError("the lake is away")
        put(name, file, replace)

    monkeypatch.setattr(site.lake, "put", away)
    site.attributes = ByKey({"a": head(), "b": head(restore_ongoing=True)})
    with pytest.raises(LakeError):
        site.look(hours=400)
    monkeypatch.setattr(site.lake, "put", put)
    before = [file for file in site.lake.list("checksums/b/")]
    site._looks -= 1
    site.attributes = ByKey({"a": head(), "b": head()})
    assert states(site.look(hours=401)) == {"a": "failed", "b": "failed"}
    after = site.lake.list("checksums/b/")
    assert (len(before), len(after)) == (1, 2)
    assert before[0] in after
    assert sorted(check["key"] for check in checks_of(site)) == ["a", "b"]


def test_what_cannot_be_asked_for_is_failed_with_the_stores_words(site: Site) -> None:
    site.put("film")
    site.attributes = Scripted([head()], [ObjectUnreadable("AccessDenied", "not yours (HTTP 403)")])
    (row,) = site.look().rows
    assert (row.state, row.error_code, row.detail) == ("failed", "AccessDenied", "not yours (HTTP 403)")


def test_a_look_without_an_answer_changes_nothing_and_only_several_are_a_failure(site: Site) -> None:
    site.put("film")
    site.attributes = Scripted([head()], ["requested"])
    site.look()
    refused = ObjectUnreadable("AccessDenied", "expired credentials (HTTP 403)")
    site.attributes = Scripted([refused, head(restore_ongoing=False)], [])
    unsure = site.look(hours=200)
    (row,) = unsure.rows
    assert (row.state, row.unanswered, row.error_code) == ("requested", 1, "AccessDenied")
    assert row.detail is not None
    assert "its state is unknown" in row.detail
    assert unsure.look_again_at is not None
    assert unsure.look_again_at <= NOON + timedelta(hours=200, minutes=15)
    (row,) = site.look(hours=201).rows
    assert (row.state, row.unanswered, row.error_code, row.detail) == ("restored", 0, None, None)
    site.attributes = Scripted([refused] * 5, [])
    assert [states(site.look(hours=202 + look))["film"] for look in range(5)] == ["restored"] * 4 + ["failed"]


def test_the_same_error_for_every_object_is_the_stores(site: Site) -> None:
    site.put("a")
    site.put("b")
    site.attributes = Scripted([], ["requested", "requested"])
    site.look()
    site.attributes = Scripted([ObjectUnreadable("AccessDenied", "no message (HTTP 403)")] * 2, [])
    with pytest.raises(BucketUnreachable, match="none of 2 objects"):
        site.look(hours=200)
    site.attributes = Scripted([head(restore_ongoing=False)] * 2, [])
    assert set(states(site.look(hours=201)).values()) == {"restored"}


def test_an_object_that_was_overwritten_or_deleted_falls_out_with_a_word(site: Site) -> None:
    site.put("a")
    site.put("b")
    site.attributes = Scripted([], ["requested", "requested"])
    site.look()
    gone = ObjectSkipped("Deleted", "the object was deleted since it was listed")
    site.attributes = Scripted([gone, gone], [])
    look = site.look(hours=200)
    assert (look.rows, look.look_again_at) == ([], None)
    assert look.notes[0] == "a: the object was deleted since it was listed"


@pytest.mark.parametrize("version", ["before", "now"])
def test_what_is_restored_and_cannot_be_read_is_tried_twice(site: Site, tmp_path: Path, version: str) -> None:
    site.put("film")
    site.attributes = Scripted([], ["restored"])
    (row,) = site.look().ready
    folder, schema = ("checksums", CHECKSUMS) if version == "now" else ("ingest", INGEST)
    for number in (1, 2):
        of_schema: dict[str, Any] = (
            {"algorithm": "SHA256", "bytes_read": 0, "is_latest": True}
            if version == "now"
            else {"result": "SKIPPED", "compared_with": "none", "conflicts": 0}
        )
        check = {
            **dict.fromkeys(schema.names), "key": "film", "etag": row.etag, "size": 3, "status": "failed",
            "error_code": "Torn", "checked_at": NOON + timedelta(hours=number), "run_id": f"read-{number}",
            **of_schema,
        }  # fmt: skip
        of = Provenance("b", f"read-{number}", f"read-{number}", NOON).attach(schema)
        pq.write_table(pa.Table.from_pylist([check], of), tmp_path / "read.parquet")
        site.lake.put(f"{folder}/b/read-{number}.parquet", tmp_path / "read.parquet")
        site.attributes = Scripted([head(restore_ongoing=False)], [])
        look = site.look(hours=number + 1)
        assert states(look) == {"film": "restored" if number == 1 else "failed"}
    assert (look.ready, look.look_again_at, look.rows[0].error_code) == ([], None, "Torn")
    assert look.rows[0].detail == "it is restored, but could not be read 2 times: Torn"
