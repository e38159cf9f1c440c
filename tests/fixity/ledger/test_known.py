"""What is known before a campaign, and which damage after it: as a fold of all the ledger would say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Reading, hash_shard, make_plan
from fixity.ledger.damage import Damage, damage_after, damage_after_some, damaged_now
from fixity.ledger.expected import with_expectations
from fixity.ledger.inventory import list_selection
from fixity.ledger.known import Known, known_before
from fixity.ledger.refresh import known_so_far
from fixity.ledger.snapshot import in_force
from tests.fixity.rolling.support import BUCKET, Rolling


class Campaigns(Rolling):
    """A bucket that is checked as a whole, as the steps of the asset do it."""

    runs = 0

    def campaign(self, *keys: str) -> list[Damage]:
        """Check all objects, or these keys as a run over selected objects does; what is damaged then."""
        self.runs += 1
        run_id = f"c{self.runs:05d}"
        scratch = f"scratch/{run_id}/checksums/"
        with self.lake.workspace() as workspace:
            if keys:
                objects = workspace / "selected.parquet"
                list_selection(self.store, BUCKET, [(key, None) for key in keys], run_id, objects)
                snapshot = known_so_far(self.lake, BUCKET, self.settings, run_id)
                known = Known(snapshot, (), None)
            else:
                self.take_inventory()
                (_, objects) = max(
                    (file.stat().st_mtime_ns, file)
                    for file in (self.folder / f"inventory/{BUCKET}").glob("*.parquet")
                )
                known = known_before(self.lake, BUCKET, self.settings, run_id, self.said.append)
            self.known = known
            expected = with_expectations(self.lake, known, objects, None, workspace)
            copy = workspace / "copy.parquet"
            copy.write_bytes(expected.read_bytes())
            listed = workspace / "listed.parquet"
            listed.write_bytes(objects.read_bytes())
            plan = make_plan(f"{scratch}objects.parquet", copy, "SHA256")
            plan = replace(plan, rests_on=known.rests_on)
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


def test_campaigns_follow_each_other_without_a_fold_and_find_damage_with_when_it_was_last_right(
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
    assert [(each.key, each.good_at, each.damaged_at) for each in bucket.campaign()] == [
        ("b", right_at, found_at)
    ]
    assert bucket.words()["b"] == ("differs", "first_seen") and not _is_folded(bucket)
    assert bucket.damaged() == [damage]  # and folding all says the same


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
    assert [each.key for each in bucket.campaign()] == ["b"] and not _is_folded(bucket)


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


def test_files_that_do_not_rest_on_each_other_are_folded(bucket: Campaigns) -> None:
    bucket.campaign()
    table = bucket.folder / f"checksums/{BUCKET}/c00001.parquet"
    (table.parent / "in-parallel.parquet").write_bytes(table.read_bytes())
    bucket.campaign()
    assert _is_folded(bucket) and bucket.known.files == ()
    assert set(bucket.words().values()) == {("matched", "first_seen")}
