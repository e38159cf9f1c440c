"""The rules between the parts of a catalog: every name is known, and every pair can be compared.

A part is None here if it is in the file but invalid on its own. So one load reports as many problems as
possible. Rules within one part (`model`) and overlapping places (`locations`) do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fixity.catalog.copies import split
from fixity.catalog.fields import check_name
from fixity.catalog.messages import did_you_mean, shown
from fixity.catalog.model import Bucket, Pair, Store

Problem = tuple[tuple[str | int, ...], str]
"""A path of keys, and the problem there."""


def reference_problems(
    used_stores: Mapping[tuple[str, ...], str],
    stores: Mapping[str, Store | None],
    buckets: Mapping[str, Bucket | None],
    pairs: Mapping[str, Pair | None],
) -> list[Problem]:
    """Every problem between the parts.

    Arguments: `used_stores`, the stores that the lake and the queues name, by their paths of keys; and
        the parts by name. A part that is None is invalid on its own, and gets no further problem.
    Returns: the problems, in the order of the file's sections; empty for a consistent catalog.
    """
    problems: list[Problem] = []
    for keys, store in used_stores.items():
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
    for section, names in (("buckets", buckets), ("pairs", pairs)):
        problems += _alike(section, names)
    for name, bucket in buckets.items():
        if bucket is None:
            continue
        if bucket.store not in stores:
            problems.append((("buckets", name, "store"), _unknown("store", bucket.store, stores)))
        elif not bucket.is_local and (of := stores[bucket.store]) is not None:
            problems += [(("buckets", name), why) for why in _of_name(bucket, of)]
        if bucket.inventory and bucket.inventory.store not in (None, *stores):
            keys = ("buckets", name, "inventory", "store")
            problems.append((keys, _unknown("store", str(bucket.inventory.store), stores)))
    problems += _of_names_of_copies(pairs)
    for name, pair in pairs.items():
        if pair is not None:
            problems += dict.fromkeys(
                (("pairs", name, *_written(pair, place, keys)), text)
                for place, each in enumerate(split(pair))
                for keys, text in _of_pair(each, buckets)
            )
    return problems


def _written(pair: Pair, place: int, keys: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The path of keys of a problem with one of a pair's replicas, as it is in the file."""
    return ("replicas", place) if pair.replicas and keys == ("replica",) else keys


def _of_names_of_copies(pairs: Mapping[str, Pair | None]) -> Iterator[Problem]:
    """Replicas that a pair names twice, and pairs of copies without a name of their own."""
    taken = {name.lower(): name for name in pairs}
    for name, pair in pairs.items():
        if pair is None or len(pair.replicas) < 2:
            continue
        for place, each in enumerate(split(pair)):
            keys = ("pairs", name, "replicas", place)
            if each.replica in pair.replicas[:place]:
                yield keys, f"{shown(each.replica)} is named twice: name each copy once"
                continue
            try:
                check_name(each.name)
            except ValueError as error:
                yield keys, f"this copy would be the pair {shown(each.name)}: {error}"
            other = taken.setdefault(each.name.lower(), each.name)
            if other != each.name or each.name in pairs:
                yield (
                    keys,
                    f"this copy is the pair {shown(each.name)}, but the catalog has a pair {shown(other)}: "
                    "rename that one",
                )


def _alike(section: str, names: Iterable[str]) -> Iterator[Problem]:
    """Names that differ in case only: some file systems would keep both in one folder of the lake."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            yield (
                (section, name),
                f"differs from {shown(other)} in upper and lower case only, which some file systems do not "
                "tell apart: rename one",
            )


def _of_name(bucket: Bucket, store: Store) -> Iterator[str]:
    """Names that exist on AWS alone, or not there."""
    name = shown(bucket.real_name)
    if bucket.is_access_point:
        given = [key for key in ("endpoint_url", "addressing_style") if key in store.model_fields_set]
        if given:
            yield (
                f"{name} is an access point of AWS, which has a host of its own: leave "
                f"{' and '.join(f'`{key}`' for key in given)} out of the store {shown(store.name)}, or name "
                "the access point's alias (…-s3alias), which can be used like the name of a bucket"
            )
    elif store.endpoint_url is None and ":" in bucket.real_name:
        yield (
            f"{name} is not the name of a bucket on AWS: Ceph's tenant:bucket needs a store with the "
            "`endpoint_url` of Ceph"
        )


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
            f"'version' needs `versions: all` in both buckets, but {' and '.join(only_current)} "
            f"{'does' if len(only_current) == 1 else 'do'} not have it: set it there, or match by 'key'",
        )


def drill_problems(
    drills: Iterable[str], buckets: Mapping[str, Bucket], pairs: Mapping[str, Pair]
) -> Iterator[Problem]:
    """Buckets that no drill may damage, or where a drill would prove nothing.

    A bucket's place is in no other bucket, see `locations`; so one in no pair holds nothing that is archived.
    """
    named: set[str] = set()
    for number, name in enumerate(drills):
        keys = ("drills", str(number))
        if name not in buckets:
            yield keys, _unknown("bucket", name, buckets)
            continue
        if name in named:
            yield keys, f"{shown(name)} is named twice: name it once"
        named.add(name)
        if used := [
            pair.name for pair in pairs.values() if name in (pair.source, pair.replica, *pair.replicas)
        ]:
            yield (
                keys,
                f"{shown(name)} is in the pair {shown(used[0])}, and a drill damages objects: name a "
                "bucket, a prefix or a directory that is made for drills and is in no pair",
            )
        if buckets[name].fixity_every is None:
            yield (
                keys,
                f"{shown(name)} has no `fixity_every`, within which the schedule must find what a drill "
                "damages: give it the one of the buckets that it stands for",
            )
        if buckets[name].engine != "stream":
            yield (
                keys,
                f"{shown(name)} has `engine: {buckets[name].engine}`, and a drill shows whether the "
                "platform's own reads find damage: leave `engine` out",
            )
        if buckets[name].versions == "all":
            yield (
                keys,
                f"{shown(name)} lists all versions, so what a drill overwrites would stay as an undamaged "
                "version: leave `versions` out",
            )


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    names = ", ".join(list(known)[:20]) + (", …" if len(known) > 20 else "")
    listed = f"one of {names}" if known else "there is none"
    return f"{shown(name)} is not a {what} of this catalog: {listed}{did_you_mean(name, known)}"


def cautions(source: Bucket, replica: Bucket) -> list[str]:
    """Warnings about valid settings of a pair's buckets that make its report misleading."""
    if set(source.exclude) == set(replica.exclude):
        return []
    return [
        f"{source.name} excludes {_patterns(source)}, but {replica.name} excludes {_patterns(replica)}: "
        "objects that only one side excludes are reported as missing there: give both the same `exclude`"
    ]


def _patterns(bucket: Bucket) -> str:
    return ", ".join(map(shown, bucket.exclude)) or "nothing"
