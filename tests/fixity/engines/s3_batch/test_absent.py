"""What becomes of objects that S3's report does not name, or could not find."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fixity.buckets import BucketUnreachable, ListedObject
from fixity.errors import AnotherPlace
from fixity.reports import Side, compare
from tests.fixity.engines.s3_batch.reports import BUCKET, NOON, Ingest, etag, failed_row, listed, row


def store(**tags: str) -> Callable[[str, str | None], ListedObject | None]:
    """Looks for objects where these are, by their ETags."""

    def find(key: str, version_id: str | None) -> ListedObject | None:
        if key not in tags:
            return None
        return ListedObject(key, version_id, True, 3, tags[key], NOON, "STANDARD")

    return find


def ends(ingest: Ingest) -> dict[str, tuple[str, str | None]]:
    ingest.run()
    return {each["key"]: (each["status"], each["error_code"]) for each in ingest.table()}


def test_an_object_that_the_report_does_not_name_is_looked_for(ingest: Ingest) -> None:
    ingest.find = store(changed="another", there=etag("there"))
    ingest.listing(*(listed(key) for key in ("changed", "deleted", "named", "there")))
    ingest.result("succeeded", row("named"))
    assert ends(ingest) == {
        "changed": ("skipped", "ChangedSinceListed"),
        "deleted": ("skipped", "DeletedSinceListed"),
        "named": ("succeeded", None),
        "there": ("skipped", "NotInReport"),
    }


def test_an_object_that_s3_did_not_find_is_no_failure_where_it_was_deleted(ingest: Ingest) -> None:
    ingest.find = store(there=etag("there"))
    ingest.listing(listed("deleted"), listed("there"))
    ingest.result(
        "failed", "".join(failed_row(key, "Key not found", code="404") for key in ("deleted", "there"))
    )
    assert ends(ingest) == {
        "deleted": ("skipped", "DeletedSinceListed"),
        "there": ("failed", "PermanentFailure"),
    }


def test_an_object_deleted_on_both_sides_while_the_job_ran_is_no_missing_one(
    ingest: Ingest, tmp_path: Path
) -> None:
    """The replica was listed after the deletion, the source before it."""
    ingest.find = store()
    ingest.listing(listed("deleted"), listed("kept"))
    ingest.result("succeeded", row("kept"))
    ingest.run()
    replica = Ingest(tmp_path / "replica")
    replica.listing(listed("kept"))
    replica.result("succeeded", row("kept"))
    replica.run()
    table = f"lake/checksums/{BUCKET}/run.parquet"
    later = NOON + timedelta(days=9)
    outcome = compare(
        Side("source", tmp_path / table, later),
        Side("replica", tmp_path / "replica" / table, later),
        match="key",
        lag=timedelta(minutes=15),
        csv=tmp_path / "report.csv",
    )
    assert (outcome.counts.missing_replica, outcome.counts.not_checked) == (0, 1)


def test_only_so_many_are_looked_for_and_the_rest_stays_untold(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.s3_batch.absent.MOST", 2)
    monkeypatch.setattr("fixity.engines.s3_batch.keep._RANGE_BYTES", 1)
    ingest.find = store()
    ingest.listing(*(listed(f"{number}") for number in range(5)))
    ingest.result("succeeded", row("0"))
    codes = [code for _, code in ends(ingest).values()]
    assert codes == [None, *["DeletedSinceListed"] * 2, *["NotInReport"] * 2]


def test_a_bucket_that_cannot_be_asked_keeps_nothing(ingest: Ingest) -> None:
    def away(key: str, version_id: str | None) -> None:
        raise BucketUnreachable("the bucket is away")

    ingest.find = away
    ingest.listing(listed("k"))
    ingest.result("succeeded", row("other"))
    with pytest.raises(BucketUnreachable):
        ingest.run()
    assert not (ingest.folder / f"lake/checksums/{BUCKET}").exists()


def test_a_report_of_another_place_than_the_catalog_s_is_refused(ingest: Ingest) -> None:
    """Looked for below a new prefix, every object would be told as deleted."""
    ingest.listing(listed("film"))
    ingest.result("succeeded", row("film"))
    ingest.place = "s3://deposit/new/"
    with pytest.raises(AnotherPlace, match=r"at s3://deposit/, but the catalog now says s3://deposit/new/"):
        ingest.run()


def test_an_object_listed_without_an_etag_is_not_called_overwritten(ingest: Ingest) -> None:
    ingest.find = store(film=etag("film"))
    ingest.listing({**listed("film"), "etag": None})
    ingest.result("succeeded", row("other"))
    assert ends(ingest) == {"film": ("skipped", "NotInReport")}
