"""Repairs by jobs of S3 Batch: which objects go that way; nothing but the check after it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from devstack.s3_control import S3ControlServer
from fixity.catalog import Store
from fixity.engines.s3_batch.batch_jobs import open_s3_control
from fixity.engines.s3_batch.copy_jobs import open_copies
from fixity.incidents.state import incidents_now
from fixity.lake.s3 import S3Lake
from fixity.repair import batch_way, by_s3, words
from fixity.repair.sides import Account
from fixity.repair.words import cost_of, planned_row
from tests.conftest import MakeBucket
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import GOOD, Places

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCOUNT_ID = "111122223333"


class Nobody:
    """A queue of which nobody reads the events."""

    def send_message(self, **_: object) -> None:
        """Forget an event."""


@pytest.fixture
def control(s3: S3Client) -> Iterator[S3ControlServer]:
    with S3ControlServer(s3, Nobody(), "") as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture
def settings(control: S3ControlServer, make_bucket: MakeBucket) -> dict[str, Any]:
    return {
        "account_id": ACCOUNT_ID,
        "role_arn": f"arn:aws:iam::{ACCOUNT_ID}:role/jobs",
        "report_bucket": make_bucket(),
        "endpoint_url": control.endpoint_url,
    }


@pytest.fixture
def pair(places: MakePlaces, settings: dict[str, Any], request: pytest.FixtureRequest) -> Places:
    """A pair whose source keeps versions; its replica too, or as the test says."""
    made = places("versions", getattr(request, "param", "versions"), settings={"s3_batch": settings})

    def account(bucket: str) -> Account:
        entry = made.catalog.buckets[bucket]
        store: Store = made.catalog.store_of(entry)
        assert entry.s3_batch is not None
        return Account(open_s3_control(entry, store, entry.s3_batch), lambda name: S3Lake(name, "", store))

    made.account = account
    return made


def damaged(pair: Places, *keys: str) -> dict[str, bytes]:
    """Damage copies of the replica; returns their bytes."""
    pair.both(*keys)
    bad = {key: pair.corrupt("b", key) for key in keys}
    pair.check("b")
    return bad


def test_a_job_copies_what_was_proved_and_only_the_check_after_it_is_believed(
    pair: Places, control: S3ControlServer
) -> None:
    keys = ["a b+c é", "bad again", "bad source", "fails", "gone", "newer"]
    pair.both(*keys)
    bad = {key: pair.corrupt("b", key) for key in keys if key != "gone"}
    pair.check("b")
    pair.delete("b", "gone")
    pair.opened("gone")
    control.behaviour.fail_keys.add("fails")
    plan = pair.plan(by="s3_batch")
    assert "a job of S3 Batch copies it, without a precondition" in str(planned_row(plan[0])["how"])
    assert "S3 Batch copies 6 objects, for about $0.25" in cost_of(plan).text
    assert control.requests == []  # it was only a plan
    pair.corrupt("a", "bad source")

    asked = pair.repair(by="s3_batch")
    (refused,) = [each for each in asked.done if each.refused]
    assert "the copy of a is not as expected either" in str(refused.refused)
    (job_id,) = {each.job for each in asked.done if not each.refused}
    (created,) = [said for name, said in control.requests if name == "CreateJob"]
    assert created["Operation"] == {"S3PutObjectCopy": {"TargetResource": f"arn:aws:s3:::{pair.real['b']}"}}
    assert created["Manifest"]["Spec"]["Fields"] == ["Bucket", "Key", "VersionId"]
    assert not any(map(asked.is_right, asked.done)) and len(pair.open_incidents) == 2
    assert f"the S3 Batch job {job_id} copies it" in str(pair.plan()[0].refused)
    control.jobs.wait()
    pair.corrupt("b", "bad again")
    pair.put("a", "newer", b"newer")

    taken = pair.repair(job=job_id)
    of_key = {each.planned.key: each for each in taken.done}
    right = {key for key, each in of_key.items() if taken.is_right(each)}
    assert right == {"a b+c é", "gone"} == {key for key in ("a b+c é", "gone") if pair.get("b", key) == GOOD}
    assert "SSE-C encryption type is not supported" in str(of_key["fails"].refused)
    assert "the object of a has changed since its bytes were proved" in str(of_key["newer"].refused)
    assert of_key["bad again"].refused is None  # the report says that it was copied
    assert pair.get("b", "fails") == bad["fails"]
    assert [each.state for each in incidents_now(pair.lake)] == ["open", "closed"]
    assert [each.key for each in pair.plan()] == [
        "bad again",
        "bad source",
        "fails",
        "newer",
    ]  # no job has them
    versions = pair.s3.list_object_versions(Bucket=pair.real["b"], Prefix="a")["Versions"]
    assert len(versions) == 2  # the bad bytes are kept


def test_a_repair_that_is_killed_before_s3_answers_or_before_the_check_has_one_job_and_goes_on(
    pair: Places, control: S3ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(pair, "k")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("fixity.engines.s3_batch.copy_jobs.keep_job_id", "fixity.repair.run.check_repaired"):
        with monkeypatch.context() as patch:
            patch.setattr(step, killed)
            with pytest.raises(KeyboardInterrupt):
                pair.repair(by="s3_batch")
        control.jobs.wait()
        assert "the S3 Batch job " in str(pair.plan()[0].refused)
    assert [each.state for each in incidents_now(pair.lake)] == ["repaired"]
    taken = pair.repair()
    assert [taken.is_right(each) for each in taken.done] == [True]
    assert len(control.jobs.list_jobs({})["Jobs"]) == 1 and pair.open_incidents == []
    assert open_copies(pair.lake) == []


def test_a_plan_names_the_price_of_as_many_jobs_as_are_then_submitted(
    pair: Places, control: S3ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(pair, *"abcde")
    for module in (by_s3, words):
        monkeypatch.setattr(module, "MOST", 2)
    plan = pair.plan(by="s3_batch")
    assert cost_of(plan).text.endswith(
        "; S3 Batch copies 5 objects, for about $0.75 and S3's price of a copy"
    )
    pair.repair(by="s3_batch")
    assert [name for name, _ in control.requests].count("CreateJob") == 3
    control.jobs.wait()
    # $0.25 a job, $1 a million objects.
    monkeypatch.setattr(words, "MOST", 100_000)
    assert "S3 Batch copies 250,000 objects, for about $1.00 and" in cost_of(plan[:1] * 250_000).text
    assert cost_of(pair.plan(by="stream")).batched == 0


def test_a_job_that_fails_or_an_account_without_room_leaves_the_objects_to_the_next_repair(
    pair: Places, control: S3ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = damaged(pair, "k")
    with monkeypatch.context() as patch:
        patch.setattr("fixity.engines.s3_batch.batch_jobs.MOST_ACTIVE", 0)
        (full,) = pair.repair(by="s3_batch").done
    assert "repair it again when one has ended" in str(full.refused)
    control.behaviour.fail_jobs.add(pair.real["a"])
    pair.repair(by="s3_batch")
    control.jobs.wait()
    (failed,) = pair.repair().done
    assert "Too many tasks failed." in str(failed.refused) and pair.get("b", "k") == bad["k"]
    repaired = pair.repair(by="stream")
    assert [repaired.is_right(each) for each in repaired.done] == [True]


@pytest.mark.parametrize("pair", ["s3"], indirect=True)
def test_nothing_goes_by_a_job_to_a_bucket_without_versions(pair: Places, control: S3ControlServer) -> None:
    damaged(pair, "k")
    (planned,) = pair.plan(by="s3_batch")
    assert not planned.by_batch
    how = str(planned_row(planned)["how"])
    assert "the store copies it (not by S3 Batch: b keeps no versions, and a batch job has no pre" in how
    pair.repair(by="s3_batch")
    assert (pair.get("b", "k"), control.requests) == (GOOD, [])


def test_many_objects_go_by_a_job_and_large_or_unpinned_ones_never(
    pair: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(pair, "k1", "k2", "large")
    monkeypatch.setattr(batch_way, "MANY", 3)
    assert [each.by_batch for each in pair.plan()] == [True, True, True]
    assert [each.by_batch for each in pair.plan(by="stream")] == [False, False, False]
    monkeypatch.setattr(batch_way, "MANY", 4)
    assert not any(each.by_batch for each in pair.plan())
    monkeypatch.setattr(batch_way, "_LARGEST", len(GOOD) - 1)
    assert {each.not_by_batch for each in pair.plan(by="s3_batch")} == {"it is larger than 5 GiB"}


def test_a_source_without_versions_is_in_no_job(places: MakePlaces, settings: dict[str, Any]) -> None:
    pair = places("s3", "versions", settings={"s3_batch": settings})
    damaged(pair, "k")
    assert "so nothing would pin the bytes" in str(pair.plan(by="s3_batch")[0].not_by_batch)
