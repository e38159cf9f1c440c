"""Archives: what is in one, which restore it takes, how long, and what it costs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fixity.catalog import Restore
from fixity.ingest.restore.archives import archive_of, days_for, estimate, tier_for, wait_for
from tests.fixity.ingest.test_restore import head


def test_archives_are_told_from_what_can_be_read() -> None:
    of = {
        name: archive_of(name, None) for name in ("GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD", None)
    }
    assert of == {
        "GLACIER": "GLACIER",
        "DEEP_ARCHIVE": "DEEP_ARCHIVE",
        "GLACIER_IR": None,
        "STANDARD": None,
        None: None,
    }
    assert archive_of("INTELLIGENT_TIERING", head()) is None
    archived = head(archive_status="DEEP_ARCHIVE_ACCESS")
    assert archive_of("INTELLIGENT_TIERING", archived) == "DEEP_ARCHIVE_ACCESS"


def test_tiers_days_and_waits_are_those_of_the_archive() -> None:
    assert tier_for("GLACIER", "Expedited") == ("Expedited", None)
    tier, said = tier_for("DEEP_ARCHIVE", "Expedited")
    assert (tier, said) == ("Standard", "DEEP_ARCHIVE has no Expedited: Standard was requested")
    assert days_for("GLACIER", Restore(days=3)) == 3
    assert days_for("ARCHIVE_ACCESS", Restore(days=3)) is None
    assert wait_for("GLACIER", "Expedited") == timedelta(minutes=4)
    assert wait_for("DEEP_ARCHIVE", "Bulk") == timedelta(hours=12)
    assert wait_for("DEEP_ARCHIVE", "Standard") == wait_for("GLACIER", "Bulk") == timedelta(hours=4)


def test_an_estimate_adds_retrieval_requests_and_copies() -> None:
    found = estimate([("GLACIER", 1024**3), ("DEEP_ARCHIVE", 1024**4)], Restore(tier="Standard", days=30))
    assert (found.objects, found.size) == (2, 1024**3 + 1024**4)
    assert found.retrieval == pytest.approx(0.01 + 0.02 * 1024)
    assert found.requests == pytest.approx(0.00005 + 0.0001)
    assert found.copies == pytest.approx(0.023 * 1025)
    assert estimate([("ARCHIVE_ACCESS", 1024**4)], Restore()).total == 0
