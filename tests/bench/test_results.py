"""What the page of results says of a figure that was not reached."""

from __future__ import annotations

from bench.measure import Row
from bench.results import Part, causes, document, why


def _page(target: float, causes: dict[str, str]) -> str:
    row = Row("hashing", 2.0, None, None, target, "s")
    return document({"reading": Part([row], "2026-03-01T10:00+00:00", "abc", 5, 60)}, causes)


def test_a_figure_that_is_not_reached_stands_with_its_cause() -> None:
    page = _page(1.0, {"hashing": "The disk is slow; two disks were tried."})
    assert "0 of 1 figures are reached" in page
    assert "- hashing: The disk is slow; two disks were tried." in page


def test_a_figure_without_a_cause_is_said_to_have_none() -> None:
    assert "- hashing: no cause is written down yet." in _page(1.0, {})


def test_a_cause_of_several_figures_is_said_once_with_all_of_them() -> None:
    lines = why(["hashing, CPU", "listing", "hashing, wall"], {"hashing, CPU": "A.", "hashing, wall": "A."})
    assert lines == ["- hashing, CPU; hashing, wall: A.", "- listing: no cause is written down yet."]


def test_a_cause_is_not_shown_once_its_figure_is_reached() -> None:
    page = _page(3.0, {"hashing": "The disk is slow."})
    assert "1 of 1 figures are reached" in page
    assert "slow" not in page


def test_all_causes_are_sentences() -> None:
    assert all(cause.strip().endswith(".") for cause in causes().values())
