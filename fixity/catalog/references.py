"""What must hold between the parts of a catalog: names that lead somewhere, pairs that can be compared.

What must hold within one part is said in `model`, that places do not overlap in `locations`. Everything
here works on parts that may be None, present in the
file but wrong in themselves, so that one look finds as much as can be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fixity.catalog.messages import did_you_mean, shown
from fixity.catalog.model import Bucket, Pair, Store

Problem = tuple[tuple[str, ...], str]
"""The path of keys, and what is wrong there."""


def reference_problems(
    stores_named: Mapping[tuple[str, ...], str],
    stores: Mapping[str, Store | None],
    buckets: Mapping[str, Bucket | None],
    pairs: Mapping[str, Pair | None],
) -> list[Problem]:
    """Everything that is wrong between the parts.

    Arguments: the stores that the lake and the queues name, by their paths of keys; and the parts by
        name: None where a part is wrong in itself, about which nothing further is said.
    Returns: the problems, in the order of the file's sections; none for a catalog that holds together.
    """
    problems: list[Problem] = []
    for keys, store in stores_named.items():
        if store not in stores:
            problems.append((keys, _unknown("store", store, stores)))
    for section, parts in (("stores", stores), ("buckets", buckets), ("pairs", pairs)):
        for name, part in parts.items():
            if part is not None and part.name != name:
                problems.append(
                    (
                        (section, name),
                        f"has the name {shown(part.name)}, but the key is the name: remove `name`",
                    )
                )
    for name, bucket in buckets.items():
        if bucket is not None and bucket.store not in stores:
            problems.append((("buckets", name, "store"), _unknown("store", bucket.store, stores)))
    for name, pair in pairs.items():
        if pair is not None:
            problems += [(("pairs", name, *keys), text) for keys, text in _of_pair(pair, buckets)]
    return problems


def _of_pair(pair: Pair, buckets: Mapping[str, Bucket | None]) -> Iterator[Problem]:
    if pair.source not in buckets:
        hint = "" if "source" in pair.model_fields_set else " (a pair without `source` is named after it)"
        yield ("source",), _unknown("bucket", pair.source, buckets) + hint
    if pair.replica not in buckets:
        yield ("replica",), _unknown("bucket", pair.replica, buckets)
    if pair.source == pair.replica:
        yield (
            ("replica",),
            f"{shown(pair.replica)} is the source as well: name the bucket that holds the copy",
        )
        return
    source, replica = buckets.get(pair.source), buckets.get(pair.replica)
    if source is None or replica is None:
        return
    if source.algorithm != replica.algorithm:
        yield (
            (),
            f"{source.name} is hashed with {source.algorithm} and {replica.name} with {replica.algorithm}: "
            "both buckets of a pair need the same `algorithm`",
        )
    only_current = [bucket.name for bucket in (source, replica) if bucket.versions != "all"]
    if pair.match == "version" and only_current:
        yield (
            ("match",),
            f"'version' needs `versions: all` in both buckets, which {' and '.join(only_current)} "
            f"{'has' if len(only_current) == 1 else 'have'} not: set it there, or match by 'key'",
        )


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    names = ", ".join(list(known)[:20]) + (", …" if len(known) > 20 else "")
    listed = f"one of {names}" if known else "there is none"
    return f"{shown(name)} is not a {what} of this catalog: {listed}{did_you_mean(name, known)}"


def cautions(source: Bucket, replica: Bucket) -> list[str]:
    """What a pair's buckets may well say, but will make its report say something that is not meant."""
    if set(source.exclude) == set(replica.exclude):
        return []
    return [
        f"{source.name} leaves out {_patterns(source)}, but {replica.name} {_patterns(replica)}: what only "
        "one side leaves out is reported as missing there: give both the same `exclude`"
    ]


def _patterns(bucket: Bucket) -> str:
    return ", ".join(map(shown, bucket.exclude)) or "nothing"
