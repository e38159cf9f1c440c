"""The page of arithmetic is what the results and the plan say, and nothing of it is written by hand."""

from __future__ import annotations

import pytest

from bench import thousand_million
from bench.results import DOCUMENT
from bench.thousand_million import PAGE, Sizes, figure, page


def test_the_page_is_what_the_results_say_now() -> None:
    said = PAGE.read_text(encoding="utf-8")
    assert page(Sizes.of_page(said), DOCUMENT.read_text(encoding="utf-8")) == said


def test_sizes_drawn_in_pieces_are_those_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Sizes.drawn(10_000)
    monkeypatch.setattr(thousand_million, "_AT_A_TIME", 999)
    assert Sizes.drawn(10_000) == at_once
    assert at_once.objects == 10_000
    assert 0 < at_once.small < 10_000


def test_time_and_money_grow_with_what_is_read() -> None:
    results = DOCUMENT.read_text(encoding="utf-8")
    gb = figure(results, "SHA-256 of 1 of 4 GiB, CPU")
    said = page(Sizes(0, 3600 * 10**12, 0), results)  # no object, so bytes alone count
    assert f"| reading all and hashing it, CPU | {1000 * gb:,.1f} h |" in said
    assert "| its bytes through 10 Gbit/s | 800.0 h |" in said
    elsewhere = next(
        row
        for row in said.splitlines()
        if row.startswith("| each object once a year | AWS, the plat") and "elsewhere" in row
    )
    assert elsewhere.endswith("| 324,000 $ |")  # 3.6 million GB at 0.09


def test_a_figure_that_nobody_measured_is_no_zero() -> None:
    with pytest.raises(LookupError, match="no row 'flying': measure it"):
        figure("| hashing | 3 s |", "flying")
