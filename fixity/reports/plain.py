"""The plain case of a comparison: objects on both sides whose bytes were read, and are the same.

`compare.sql` says what a row is; this is a special case of it, and gives the same rows. All other objects are
left to it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fixity.tables import DIFFERS, SUCCEEDED

_SAME = ("checksum", "size", "algorithm")


def is_plain(pairs: pa.RecordBatch, knows_damage: bool) -> pa.Array:
    """Whether pairs of rows are plain.

    Arguments: `pairs`, as `beside` gives them. knows_damage: whether rows of which a side's check says that
    they are not the right ones are no plain ones.
    """
    conditions = [_same(pairs, name) for name in _SAME]
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
