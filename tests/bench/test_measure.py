"""What the benchmarks say rests on this: a child's own figures, and verdicts that follow from them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.measure import Row, RunFailed, Usage, beside, in_turn, run, table


def _python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_cpu_is_what_the_command_itself_used() -> None:
    busy = run(_python("import time\nwhile time.process_time() < 0.4: pass"))
    idle = run(_python("import time\ntime.sleep(0.4)"))
    assert busy.cpu >= 0.4
    assert idle.cpu < 0.2
    assert idle.wall >= 0.4


def test_peak_memory_is_what_the_command_itself_held() -> None:
    large = run(_python("held = b'x' * 300_000_000"))
    assert 300_000_000 < large.peak < 400_000_000


def test_memory_of_the_measuring_process_is_not_counted() -> None:
    ours = b"x" * 300_000_000
    assert run(_python("pass")).peak < 100_000_000 < len(ours)


def test_output_is_kept_where_it_was_asked_for(tmp_path: Path) -> None:
    run(_python("print('hello')"), output=tmp_path / "said")
    assert (tmp_path / "said").read_text() == "hello\n"


@pytest.mark.parametrize("ending", ["raise SystemExit('out of luck')", "import os; os.abort()"])
def test_a_command_that_fails_is_no_measurement(ending: str) -> None:
    with pytest.raises(RunFailed, match="out of luck" if "luck" in ending else "ended with 6"):
        run(_python(ending))


def test_contestants_take_turns_in_going_first() -> None:
    order: list[str] = []

    def note(name: str) -> Usage:
        order.append(name)
        return Usage(0, 0, 0)

    in_turn(2, {"ours": lambda: note("ours"), "peer": lambda: note("peer")})
    assert order == ["ours", "peer", "peer", "ours"]


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    row = beside("hashing", "s", ours=[1.0, 4.0, 9.0], peers=[2.0, 5.0, 9.0], target=1.0, peer_name="rclone")
    assert (row.ours, row.peer, row.ratio) == (4.0, 5.0, 0.8)


def test_a_ratio_above_its_target_is_said_to_be_missed() -> None:
    row = beside("hashing, CPU", "s", [7.6], [10.0], target=0.75, peer_name="rclone")
    assert not row.reached
    assert table([row]).splitlines()[2] == (
        "| hashing, CPU | 7.6 s | 10 s (rclone) | 0.76  | ≤ 0.75   | NOT reached |"
    )


def test_a_ratio_that_equals_its_target_reaches_it() -> None:
    row = beside("hashing, CPU", "s", [7.5], [10.0], target=0.75, peer_name="rclone")
    assert row.reached
    assert table([row]).splitlines()[2].endswith("| reached |")


def test_without_a_peer_the_figure_itself_is_held_against_the_target() -> None:
    assert Row("peak memory", 200.0, None, None, target=200, unit="MB").reached
    missed = Row("peak memory", 200.4, None, None, target=200, unit="MB")
    assert not missed.reached
    assert "| ≤ 200 MB | NOT reached |" in table([missed])
