"""What a repair would do: which object is copied from where to where, and why another one is not.

Nothing is read or written for a plan but listings and the ledgers. The good copy is proved when it is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import pyarrow as pa

from fixity.buckets import BucketUnreachable, ListedObject
from fixity.buckets.local_writer import LocalWriter
from fixity.humanize import printable
from fixity.incidents.events import DISMISSED
from fixity.incidents.incident_object import IncidentObject
from fixity.incidents.known import same_bytes
from fixity.incidents.state import Incident
from fixity.lake.paths import stats_file
from fixity.lake.proof import json_object
from fixity.repair.batch_way import being_copied, chosen_for_batch
from fixity.repair.order import Order, Planned
from fixity.repair.sides import RepairRun, Side, expected, has_found
from fixity.reports.counts import Counts
from fixity.tables import ARCHIVES

_OF_VERSION = "the pair matches versions, and a copy has an id of its own, so the pair would still differ: "
BAD_VERSION = (
    f"{_OF_VERSION}if the source is good, copy its object onto itself there. Replication brings that new "
    "version to the replica, with its id; the bad one stays reported until you delete it on both sides"
)
MISSING_VERSION = (
    f"{_OF_VERSION}have S3 Batch Replication copy this version, which keeps its id (S3 does not do that for "
    "a version that was deleted from the replica by its id)"
)
"""Why an object of a pair that matches versions is not copied, and what to do."""
_UNDECIDED = ("cannot_tell", "deleted", "both_damaged", "changed_meanwhile")
_FEW = 5
"""Of fewer bad objects, a person sees each in the plan, even if they are most of the pair's."""
_SOURCES = {"first_seen": "the first check of it", "api": "a record given by hand", "manifest": "a manifest"}


def make_plan(order: Order, run: RepairRun, incidents: Iterable[Incident]) -> list[Planned]:
    """The objects of open incidents that concern a pair and are not right yet, by key, with what to do.

    Raises BucketUnreachable, LakeError.
    """
    pair = order.pair
    both = (pair.source, pair.replica)
    incidents = list(incidents)
    bad = {
        (each.bucket, each.key, each.version_id): incident.id
        for incident in incidents
        for each in incident.objects
        if each.state == DISMISSED or not (each.is_over or each.right_since)
    }
    wanted = {
        (each.key, each.version_id, each.bucket): each
        for incident in incidents
        if order.incident_id in (None, incident.id)
        for each in incident.objects
        if not each.is_right and (each.bucket in both or (each.bucket is None and each.pair == pair.name))
    }
    copying = being_copied(run.lake, pair.name)
    directed = [_directed(order, each) for each in wanted.values()]
    why = _one_finding(order, run)
    directed = [
        replace(each, refused=each.refused or why or copying.get((each.damaged, each.key)))
        for each in directed
    ]
    planned = [each for each in directed if each.refused]
    for damaged in both:
        plans = [each for each in directed if each.damaged == damaged and not each.refused]
        if plans:
            found = [_unless_bad_too(each, bad) for each in _looked_up(order, run, plans)]
            planned += (
                _unless_copies_differ(order, run, found)
                if damaged == pair.source
                else _from_other_copies(order, run, found, bad)
            )
    return sorted(planned, key=lambda each: (each.key.encode(), each.object.version_id or "", each.damaged))


def _one_finding(order: Order, run: RepairRun) -> str | None:
    """Why nothing is repaired without a person's reason: most objects differ or are missing on a side, so the
    catalog may name a wrong place.
    """
    name = order.pair.name
    if order.reason:
        return None
    try:
        counts = Counts.from_stats(json_object(run.lake.read_text(stats_file(name, None))))
    except FileNotFoundError:
        return None  # no report was made
    except (ValueError, KeyError, TypeError):
        return f"the figures of the newest report of {name} cannot be read: run fixity verify first"
    wrong = counts.mismatches + counts.missing_replica + counts.missing_source
    rows = sum(counts.by_status().values())
    if wrong < _FEW or 2 * wrong <= rows:
        return None
    return (
        f"by the newest report of {name}, {wrong:,} of {rows:,} objects differ or are missing. Look whether "
        "the pair names the right buckets, directories and prefixes, and whether keys were changed on the "
        "way. If all of it is to be repaired, say why with --reason"
    )


def _unless_bad_too(plan: Planned, bad: Mapping[tuple[str | None, str, str | None], str]) -> Planned:
    """The plan, refused if the copy to take was found to be bad itself. Arguments: `bad`, its incident."""
    versions = {None, plan.source.version_id} if plan.source else set()
    incident = next(
        (bad[plan.good, plan.key, each] for each in versions if (plan.good, plan.key, each) in bad), None
    )
    if incident is None or plan.refused:
        return plan
    return replace(
        plan,
        refused=f"the copy of {plan.good} was found to be bad too (incident {incident}), so no good copy is "
        "known: take an older version or a backup",
    )


def _unless_copies_differ(order: Order, run: RepairRun, plans: Iterable[Planned]) -> list[Planned]:
    """The plans of a source. An object that it lacks is taken from a replica only if all of its replicas that
    have it have the same bytes, or if a person says which replica is the good one.
    """
    plans = list(plans)
    is_said = order.take_from and order.reason
    missing = [place for place, each in enumerate(plans) if each.target is None and not each.refused]
    others = [name for name in run.sides if name not in (order.pair.source, order.pair.replica)]
    for other in (*others, *run.away) if missing and not is_said else ():
        rows = _of_copy(run, other, [plans[place] for place in missing])
        for place in missing:
            each = plans[place]
            if rows is None or (each.key in rows and not _same(each.rows, rows[each.key])):
                why = (
                    f"{each.damaged} has no such object, and it is not known whether the copy of {other} is "
                    f"the same as that of {each.good}: look at both. For the pair of the good one, say "
                    "--from replica and --reason"
                )
                plans[place] = replace(each, refused=why)
    return plans


def _of_copy(run: RepairRun, other: str, plans: Iterable[Planned]) -> dict[str, pa.Table | None] | None:
    """What is expected of the objects in another replica, by key, of those that it has; None if it cannot be
    reached."""
    if other in run.away:
        return None
    try:
        listed = _found(run.sides[other], plans)
    except BucketUnreachable as error:
        run.log(f"{other} could not be asked: {printable(str(error), 1000)}")
        return None
    known = expected(run, run.sides[other], listed.values())
    return {key: known.get(key) for key in listed}


def _same(one: pa.Table | None, other: pa.Table | None) -> bool:
    """Whether the same bytes are expected of two copies."""
    sums = [{each["algorithm"]: each["checksum"] for each in _expectations(rows)} for rows in (one, other)]
    return same_bytes(*sums) is True


def _from_other_copies(
    order: Order,
    run: RepairRun,
    plans: Iterable[Planned],
    bad: Mapping[tuple[str | None, str, str | None], str],
) -> list[Planned]:
    """The plans of a replica. Where the source has no good copy, one of its other replicas may have it.

    Such a copy is taken only if its ledger expects of it the very checksum that the incident expects.
    """
    plans = list(plans)
    others = [name for name in run.sides if name not in (order.pair.source, order.pair.replica)]
    for other in () if order.take_from else others:
        without = [place for place, each in enumerate(plans) if each.refused and each.object.expected]
        if not without:
            break
        tried = [replace(plans[place], good=other) for place in without]
        try:
            found = _looked_up(replace(order, by="stream"), run, tried)
        except BucketUnreachable as error:
            run.log(f"nothing is taken from {other}: {printable(str(error), 1000)}")
            continue
        for place, each in zip(without, found, strict=True):
            algorithm, _, expected = (each.object.expected or "").partition(":")
            sums = {known["algorithm"]: known["checksum"] for known in _expectations(each.rows)}
            plan = _unless_bad_too(each, bad)
            if not plan.refused and sums.get(algorithm) == expected:
                plans[place] = plan
    return plans


def _directed(order: Order, found: IncidentObject) -> Planned:
    """An object with its bad and its good bucket, or why neither may be copied over the other."""
    pair = order.pair
    of_side = {"source": pair.source, "replica": pair.replica}
    other = {pair.source: pair.replica, pair.replica: pair.source}
    asked = of_side[order.take_from] if order.take_from else None
    is_known = found.bucket is not None and found.diagnosis not in _UNDECIDED
    good = other[found.bucket] if is_known and found.bucket else asked
    plan = Planned(found, other[good] if good else found.bucket or "", good or "")
    return replace(plan, refused=_why_not(order, plan, asked, is_known))


def _why_not(order: Order, plan: Planned, asked: str | None, is_known: bool) -> str | None:
    pair = order.pair
    if pair.repair == "never":
        return f"the catalog forbids it: pairs.{pair.name}.repair is `never`"
    if not plan.object.confirmed:
        found = f" ({plan.object.detail})" if plan.object.detail else ""
        return f"it was not looked at twice yet{found}: run fixity verify again"
    if not is_known and not (asked and order.reason):
        said = plan.object.diagnosis or "no diagnosis"
        return (
            f"nothing says which copy is good ({said}): look at both, then say --from source|replica and "
            "--reason"
        )
    if asked and asked != plan.good:
        return f"the good copy is that of {plan.good}, by the diagnosis, and --from says {asked}"
    if pair.repair == "replica" and plan.damaged == pair.source:
        return (
            f"the catalog forbids it: pairs.{pair.name}.repair is `replica`, and the bad copy is the source's"
        )
    if pair.match == "version" and plan.object.identity[3] is not None:
        return MISSING_VERSION if None in plan.object.found else BAD_VERSION
    return None


def _looked_up(order: Order, run: RepairRun, plans: list[Planned]) -> list[Planned]:
    """Plans of one direction, with what is listed and known of both copies now."""
    good, damaged = run.sides[plans[0].good], run.sides[plans[0].damaged]
    sources, targets = _found(good, plans), _found(damaged, plans)
    known = expected(run, good, sources.values())
    found = has_found(run, damaged, targets.values())
    is_local = isinstance(damaged.writer, LocalWriter)
    keeps_versions = not isinstance(damaged.writer, LocalWriter) and damaged.writer.keeps_versions()
    by_store = not is_local and not good.bucket.is_local and good.bucket.store == damaged.bucket.store
    gets_an_id = order.pair.match == "version" and keeps_versions
    looked_up = []
    for each in plans:
        source, target, rows = sources.get(each.key), targets.get(each.key), known.get(each.key)
        plan = replace(each, source=source, target=target, rows=rows, by_store=by_store)
        plan = replace(plan, evidence=_evidence(rows), is_other=not _is_bad(each.object, target, found))
        if target is not None and not plan.is_other:
            kept: Literal["quarantine", "lost"] = "quarantine" if order.quarantine else "lost"
            plan = replace(plan, bad_bytes="version" if keeps_versions else kept)
        looked_up.append(replace(plan, refused=BAD_VERSION if gets_an_id else _why_not_now(plan)))
    return chosen_for_batch(order.by, good, damaged, keeps_versions, looked_up)


def _found(side: Side, plans: Iterable[Planned]) -> dict[str, ListedObject]:
    """The current objects of a bucket, by key, as they are listed now."""
    keys = dict.fromkeys(each.key for each in plans)
    with ThreadPoolExecutor(side.threads) as pool:
        return {item.key: item for item in pool.map(side.reader.find, keys) if item is not None}


def _is_bad(of: IncidentObject, target: ListedObject | None, found: dict[str, str | None]) -> bool:
    """Whether what is there now is what was found to be bad."""
    if target is None:
        return None in of.found
    return found.get(target.key) in {text for texts in of.found if texts for text in texts.split(",")}


def _expectations(rows: pa.Table | None) -> list[dict[str, str]]:
    """What is expected of a good copy, the strongest first."""
    if rows is None or "expectations" not in rows.column_names:
        return []
    return rows.column("expectations").to_pylist()[0] or []


def _evidence(rows: pa.Table | None) -> str:
    first = next(iter(_expectations(rows)), None)
    if first is None:
        return ""
    source = _SOURCES.get(first["source"], f"its {first['source']}")
    return f"{first['algorithm']} {first['checksum']} by {source}"


def _why_not_now(plan: Planned) -> str | None:
    if plan.source is None:
        return f"{plan.good} has no such object"
    if not plan.evidence:
        return (
            f"nothing is known that proves the copy of {plan.good}, which is new or has changed: "
            f"check it first (fixity verify), then repair"
        )
    sums = {each["algorithm"]: each["checksum"] for each in reversed(_expectations(plan.rows))}
    if why := contradiction(plan.object, sums):
        return why
    if plan.target is None and plan.is_other:
        return f"the bad copy is gone from {plan.damaged} since it was found: run fixity verify first"
    if plan.target is not None and plan.target.storage_class in ARCHIVES:
        return (
            f"the bad copy is archived ({plan.target.storage_class}), and so would be the new one: it could "
            "not be read again. Copy it by hand"
        )
    return None


def contradiction(found: IncidentObject, sums: Mapping[str, str]) -> str | None:
    """Why a good copy is not what an incident expects, by its checksums; None if it may be."""
    algorithm, _, expected = (found.expected or "").partition(":")
    if not expected or sums.get(algorithm, expected) == expected:
        return None
    return (
        f"the good copy has other bytes than the incident expects ({algorithm} {sums[algorithm]}, not "
        f"{expected}): one of them is another version. Run fixity verify"
    )
