"""The plain case of a comparison: objects on both sides whose bytes were read, and are the same.

`compare.sql` says what a row is; this is a special case of it, and gives the same rows. All other objects are
left to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from fixity import compute as pc
from fixity.reports.beside import Window, order_among
from fixity.tables import DIFFERS, SUCCEEDED

SAME_IF_PLAIN = ("checksum", "size", "algorithm")
"""The columns that both sides have, and have the same, in plain rows."""


@dataclass(frozen=True)
class Parted:
    """A window with its plain rows and all others apart.

    pairs: rows of which `is_plain` says whether they are. others: all other rows of the window, in order.
    begins, ends: of each of these, how many of `pairs` come before it, and how many with it.
    """

    pairs: pa.RecordBatch
    is_plain: pa.Array
    others: pa.RecordBatch
    begins: pa.Array
    ends: pa.Array


def part(window: Window, knows_damage: bool) -> Parted:
    """Find the plain rows of a window.

    Arguments: `knows_damage`, whether rows of which a side's check says that they are not the right ones are
    no plain ones.
    """
    if not window.pairs.num_rows:
        none = pa.array([], pa.bool_())
        return Parted(window.pairs, none, window.between, window.before, window.before)
    which = _is_plain(window.pairs, knows_damage)
    is_other = pc.invert(which)
    places = pc.indices_nonzero(is_other).cast(pa.int64())
    count = len(places)
    is_mixed = 0 < count < window.pairs.num_rows
    others = window.pairs.filter(is_other) if is_mixed else window.pairs.slice(0, count)
    begins, ends = places, pc.add(places, 1)
    if window.between.num_rows:
        order = order_among(places, window.before)
        others = pa.concat_batches([others, window.between]).take(order)
        begins, ends = (pa.concat_arrays([each, window.before]).take(order) for each in (begins, ends))
    return Parted(window.pairs, which, others, begins, ends)


def _is_plain(pairs: pa.RecordBatch, knows_damage: bool) -> pa.Array:
    conditions = [_same(pairs, name) for name in SAME_IF_PLAIN]
    conditions.append(pc.or_kleene(_same(pairs, "checksum_type"), _are_null(pairs, "checksum_type")))
    for side in ("source", "replica"):
        conditions.append(_of_values(pairs.column(f"{side}_status"), pc.equal, SUCCEEDED))
        conditions.append(_of_values(pairs.column(f"{side}_evidence"), pc.not_equal, "stored"))
        if knows_damage:
            differs = _of_values(pairs.column(f"{side}_verdict"), pc.equal, DIFFERS)
            conditions.append(pc.invert(pc.coalesce(differs, False)))
    met = conditions[0]
    for each in conditions[1:]:
        met = pc.and_(met, each)
    return pc.coalesce(met, False)


def _both(pairs: pa.RecordBatch, name: str) -> list[pa.Array]:
    return [pairs.column(f"{side}_{name}") for side in ("source", "replica")]


def _same(pairs: pa.RecordBatch, name: str) -> pa.Array:
    one, two = _both(pairs, name)
    if pa.types.is_dictionary(one.type):
        if one.dictionary.equals(two.dictionary):
            one, two = one.indices, two.indices
        else:
            one, two = one.cast(pa.string()), two.cast(pa.string())
    return pc.equal(one, two)


def _are_null(pairs: pa.RecordBatch, name: str) -> pa.Array:
    return pc.and_(*map(pc.is_null, _both(pairs, name)))


def _of_values(column: pa.DictionaryArray, compare: pc.Function, value: str) -> pa.Array:
    """What a comparison says of each row's value, of which a column has few."""
    return compare(column.dictionary, value).take(column.indices)
