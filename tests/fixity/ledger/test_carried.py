"""Campaigns after each other: what is carried over from the last one, and what the ledger is folded for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.catalog import Algorithm, Bucket
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Reading, hash_shard, make_plan
from fixity.ledger import carried
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.carried import carried_over, ledger_state
from fixity.ledger.damage import Damage, damage_after, damage_after_some, damaged_now
from fixity.ledger.expected import with_expectations
from fixity.ledger.inventory import list_selection
from fixity.ledger.refresh import known_so_far
from fixity.ledger.snapshot import in_force
from tests.fixity.rolling.support import BUCKET, Rolling


class Campaigns(Rolling):
    """A bucket that is checked as a whole, as the steps of the asset do it."""

    runs = 0
    is_carried = False  # whether the last one folded nothing

    def campaign(self, *keys: str) -> list[Damage]:
        """Check all objects, or these keys as a run over selected objects does; what is damaged then."""
        self.runs += 1
        run_id = f"c{self.runs:05d}"
        scratch = f"scratch/{run_id}/checksums/"
        with self.lake.workspace() as workspace:
            if keys:
                objects = workspace / "selected.parquet"
                run = BucketRun(self.lake, Bucket(name=BUCKET), run_id)
                list_selection(self.store, run, [(key, None) for key in keys], objects)
                found = rests_on = None
            else:
                self.take_inventory()
                (_, objects) = max(
                    (file.stat().st_mtime_ns, file)
                    for file in (self.folder / f"inventory/{BUCKET}").glob("*.parquet")
                )
                rests_on = ledger_state(self.lake, BUCKET)
                found = carried_over(self.lake, BUCKET, self.settings.algorithm, objects, workspace)
            self.is_carried = found is not None
            if found is not None:
                expected = found
            else:
                snapshot = known_so_far(self.lake, BUCKET, self.settings, run_id)
                expected = with_expectations(self.lake, snapshot, objects, None, workspace)
            copy = workspace / "copy.parquet"
            copy.write_bytes(expected.read_bytes())
            listed = workspace / "listed.parquet"
            listed.write_bytes(objects.read_bytes())
            plan = make_plan(f"{scratch}objects.parquet", copy, "SHA256")
            plan = replace(plan, rests_on=rests_on)
            self.lake.put(plan.inventory, copy, replace=True)
            for shard in plan.shards:
                hash_shard(Reading(self.store, 2, now=self.now), self.lake, scratch, plan, shard, run_id)
            kept = keep_checksums(self.lake, scratch, plan, BUCKET, run_id)
            file = self.lake.fetch(kept.file, workspace)
            if keys:
                return damage_after_some(
                    self.lake, in_force(self.lake, BUCKET), self.settings, file, workspace
                )
            return damage_after(self.lake, self.settings, file, listed, workspace)

    def words(self) -> dict[str, tuple[str, str | None]]:
        """Of each key, the verdict of the last campaign, and where what was expected came from."""
        rows = pq.read_table(self.folder / f"checksums/{BUCKET}/c{self.runs:05d}.parquet").to_pylist()
        return {row["key"]: (row["verdict"], row["expected_from"]) for row in rows}


@pytest.fixture
def bucket(tmp_path: Path) -> Campaigns:
    made = Campaigns(tmp_path)
    made.put("a", "b", "c")
    return made


def _is_folded(bucket: Campaigns) -> bool:
    return in_force(bucket.lake, BUCKET) is not None


def test_a_campaign_after_one_that_found_all_right_folds_nothing(bucket: Campaigns) -> None:
    bucket.campaign()
    for _ in range(3):
        assert bucket.campaign() == [] and bucket.is_carried
        assert set(bucket.words().values()) == {("matched", "first_seen")}
    assert not _is_folded(bucket)


def test_what_is_carried_over_is_what_the_folded_ledger_expects(bucket: Campaigns) -> None:
    bucket.campaign()
    bucket.campaign()
    bucket.take_inventory()
    (inventory,) = (bucket.folder / f"inventory/{BUCKET}").glob("i00003.parquet")
    with bucket.lake.workspace() as workspace:
        found = carried_over(bucket.lake, BUCKET, "SHA256", inventory, workspace)
        snapshot = known_so_far(bucket.lake, BUCKET, bucket.settings, "fold")
        folded = with_expectations(bucket.lake, snapshot, inventory, None, workspace)
        assert found is not None and pq.read_table(found).equals(pq.read_table(folded))


def test_the_ledger_is_folded_after_so_many_campaigns(
    bucket: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "_MOST_UNFOLDED", 1)
    for _ in range(3):
        bucket.campaign()
    assert _is_folded(bucket) and not bucket.is_carried
    bucket.campaign()
    assert bucket.is_carried


@pytest.mark.parametrize("algorithm", ["SHA512", "MD5"])
def test_nothing_is_carried_over_to_another_algorithm(bucket: Campaigns, algorithm: Algorithm) -> None:
    bucket.campaign()
    inventory = bucket.folder / f"inventory/{BUCKET}/i00001.parquet"
    with bucket.lake.workspace() as workspace:
        assert carried_over(bucket.lake, BUCKET, algorithm, inventory, workspace) is None
        assert carried_over(bucket.lake, BUCKET, "SHA256", inventory, workspace) is not None


@pytest.mark.parametrize("change", ["a new object", "a deleted object", "a replaced object"])
def test_a_bucket_that_changed_is_folded(bucket: Campaigns, change: str) -> None:
    bucket.campaign()
    bucket.time += bucket.settings.every
    if change == "a new object":
        bucket.put("new")
    elif change == "a deleted object":
        del bucket.store.objects["b", None]
    else:
        bucket.store.rewrite("b", b"other", bucket.time)
    assert bucket.campaign() == [] and not bucket.is_carried
    assert bucket.campaign() == [] and bucket.is_carried


def test_a_file_of_the_ledger_that_is_gone_or_cannot_be_read_ends_carrying_over(
    bucket: Campaigns,
) -> None:
    bucket.campaign()
    bucket.campaign()
    bucket.campaign()
    (bucket.folder / f"checksums/{BUCKET}/c00001.parquet").unlink()
    bucket.campaign()
    assert not bucket.is_carried
    newest = bucket.folder / f"checksums/{BUCKET}/c00004.parquet"
    newest.write_bytes(newest.read_bytes()[:-100])
    bucket.campaign()
    assert not bucket.is_carried and set(bucket.words().values()) == {("matched", "first_seen")}


def test_campaigns_find_damage_with_when_it_was_last_right(
    bucket: Campaigns,
) -> None:
    assert bucket.campaign() == [] and set(bucket.words().values()) == {("registered", None)}
    right_at = bucket.time
    bucket.time += bucket.settings.every
    bucket.store.damage("b")
    (damage,) = bucket.campaign()
    assert (damage.key, damage.good_at, damage.damaged_at) == ("b", right_at, bucket.time)
    found_at = bucket.time
    bucket.time += bucket.settings.every
    (again,) = bucket.campaign()
    assert (again.key, again.good_at, again.damaged_at) == ("b", right_at, found_at)
    assert bucket.words()["b"] == ("differs", "first_seen") and not bucket.is_carried
    assert bucket.damaged() == [again]  # and folding all says the same


@pytest.mark.parametrize("fold_between", [False, True])
def test_damage_is_over_when_the_bytes_are_right_again_or_the_object_is_replaced(
    bucket: Campaigns, fold_between: bool
) -> None:
    bucket.campaign()
    bucket.store.damage("a")
    bucket.store.damage("b")
    assert [each.key for each in bucket.campaign()] == ["a", "b"]
    if fold_between:
        bucket.snapshot()
    del bucket.store.bytes_now["a"]
    bucket.time += bucket.settings.every
    bucket.store.rewrite("b", b"lawfully replaced", bucket.time)
    assert bucket.campaign() == [] and bucket.damaged() == []
    assert bucket.words() == {
        "a": ("matched", "first_seen"), "b": ("registered", None), "c": ("matched", "first_seen")
    }  # fmt: skip


def test_a_campaign_that_could_not_read_an_object_turns_its_damage_not_to_right(bucket: Campaigns) -> None:
    bucket.campaign()
    bucket.store.damage("b")
    bucket.campaign()
    bucket.store.unreadable = {"b"}
    assert [each.key for each in bucket.campaign()] == ["b"]
    bucket.store.unreadable = set()
    assert [each.key for each in bucket.campaign()] == ["b"] and not bucket.is_carried


def test_damage_that_one_way_found_is_known_to_the_others(bucket: Campaigns) -> None:
    bucket.campaign()
    bucket.store.damage("a")
    assert [each.key for each in bucket.roll().damaged] == []  # nothing is due yet
    assert [each.key for each in bucket.roll(keys=["a"]).damaged] == ["a"]
    bucket.store.damage("b")
    assert [each.key for each in bucket.campaign("b")] == ["a", "b"]
    assert [each.key for each in bucket.damaged()] == ["a", "b"]
    assert [each.key for each in bucket.campaign()] == ["a", "b"]
    del bucket.store.bytes_now["a"]
    bucket.time += bucket.settings.every
    bucket.roll(keys=["a"])
    assert [each.key for each in bucket.damaged()] == ["b"]
    assert [each.key for each in bucket.campaign()] == ["b"]


def test_a_run_over_a_few_objects_does_not_have_the_bucket_folded_for_the_next_one(bucket: Campaigns) -> None:
    bucket.campaign()
    bucket.campaign("a")
    snapshot = in_force(bucket.lake, BUCKET)
    assert snapshot is not None and bucket.words() == {"a": ("matched", "first_seen")}
    bucket.campaign("b")
    again = in_force(bucket.lake, BUCKET)
    assert again is not None and again.generation == snapshot.generation
    assert damaged_now(bucket.lake, again) == []


def test_a_new_object_that_was_wrong_from_the_start_is_damaged_before_it_is_in_an_inventory(
    bucket: Campaigns,
) -> None:
    bucket.campaign()
    bucket.put("new")
    assert bucket.campaign("new") == []
    bucket.store.damage("new")
    assert [each.key for each in bucket.campaign("new")] == ["new"]
    assert [each.key for each in bucket.campaign()] == ["new"]


def test_a_campaign_that_was_not_judged_by_all_other_files_is_not_carried_over(bucket: Campaigns) -> None:
    bucket.campaign()
    table = bucket.folder / f"checksums/{BUCKET}/c00001.parquet"
    (table.parent / "in-parallel.parquet").write_bytes(table.read_bytes())
    bucket.campaign()
    assert _is_folded(bucket) and not bucket.is_carried
    assert set(bucket.words().values()) == {("matched", "first_seen")}
    bucket.campaign()
    assert bucket.is_carried
