"""What is expected of an object decides about the result of a map, as about any check."""

from __future__ import annotations

from typing import Any

from fixity.engines.step_functions.keep_checks import KeptChecks
from fixity.ledger import ready
from fixity.ledger.damage import damaged_now
from fixity.ledger.fold import settings_of
from tests.fixity.engines.records import keep_check
from tests.fixity.engines.step_functions.ledger import (
    DAY,
    READ,
    WRITTEN_AT,
    Ledger,
    rows,
    said,
    told,
)
from tests.fixity.support import (
    inventory_and_checks,
    sha256,
)


def _later(ledger: Ledger, *outputs: object) -> KeptChecks:
    """What a map run says a day later."""
    told_later = told(ledger.folder, *outputs, began=READ + DAY)
    return ledger.keep(told_later, "second", WRITTEN_AT + DAY)


def _verdicts(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("key", "verdict", "expected", "expected_algorithm", "expected_from")
    return [tuple(row[name] for name in names) for row in rows]


def _damaged(ledger: Ledger) -> list[str]:
    snapshot = ready(ledger.lake, "b", settings_of(ledger.bucket), "look")
    return [damage.key for damage in damaged_now(ledger.lake, snapshot)]


def test_a_result_that_differs_from_what_was_first_seen_is_damage(ledger: Ledger) -> None:
    for key in ("a", "b", "c"):
        ledger.store.put(key, key.encode())
    ledger.keep(told(ledger.folder, said("a", b"a"), said("b", b"b")))
    assert not ledger.lake.list("standing/")  # nothing was folded: the ledger was empty
    checks = _later(ledger, said("a", b"a"), said("b", b"damaged"), said("c", b"c"))
    assert _verdicts(ledger.kept(checks)) == [
        ("a", "matched", sha256(b"a"), "SHA256", "first_seen"),
        ("b", "differs", sha256(b"b"), "SHA256", "first_seen"),
        ("c", "registered", None, None, None),
    ]
    assert _damaged(ledger) == ["b"]


def test_a_result_that_differs_from_a_record_is_damage(ledger: Ledger) -> None:
    ledger.store.put("a", b"a")
    inventory_and_checks(ledger.store, ledger.lake, "listed", "other")
    deposited = sha256(b"as deposited")
    (listed,) = rows(ledger.folder / "lake/inventory/other/listed.parquet")
    keep_check(ledger.lake, "b", listed, checksum=sha256(b"a"), expected=deposited, at=READ - DAY / 2)
    checks = ledger.keep(told(ledger.folder, said("a", b"a")))
    assert _verdicts(ledger.kept(checks)) == [("a", "differs", deposited, "SHA256", "manifest")]
    assert _damaged(ledger) == ["a"]


def test_a_map_that_says_no_checksum_of_an_object_is_not_compared(ledger: Ledger) -> None:
    ledger.store.put("a", b"a")
    ledger.keep(told(ledger.folder, said("a", b"a")))
    checks = _later(ledger, {"bucket": "b", "key": "a"})
    assert _verdicts(ledger.kept(checks)) == [("a", "not_compared", None, None, None)]
    assert _damaged(ledger) == []


def test_another_attempt_of_a_run_does_not_hold_its_checks_against_themselves(ledger: Ledger) -> None:
    ledger.store.put("a", b"a")
    ledger.store.put("b", b"b")
    first = ledger.keep(told(ledger.folder, said("a", b"a"), said("gone", b"x")))
    again = ledger.keep(told(ledger.folder, said("a", b"a"), said("gone", b"x")))
    assert (again.table, again.left_out) == (first.table, first.left_out)
    assert _verdicts(ledger.kept(again)) == [("a", "registered", None, None, None)]
