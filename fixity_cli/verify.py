"""The main verbs: list and check a bucket, report on a pair, check the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from fixity.humanize import printable, reasons_text
from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    AllBucketsOption,
    AllOption,
    BucketArgument,
    BucketsArgument,
    CatalogOption,
    Exit,
    ForExcelOption,
    PairsArgument,
    VerboseOption,
    end,
    known,
    load,
    load_bucket,
    print_figures,
    say_csv,
    say_errors,
    say_red,
    status_of,
    stop_unless_done,
    stop_verified,
)

if TYPE_CHECKING:
    from fixity.catalog import Catalog
    from fixity_cli.pairs import PairEnded
    from fixity_cli.runs import Ended

verbs = typer.Typer()
catalog_verbs = typer.Typer(help="Work with the catalog (fixity.yaml).", no_args_is_help=True)
verbs.add_typer(catalog_verbs, name="catalog")


@verbs.command(epilog=STATUS_HELP)
def verify(
    pairs: PairsArgument = None,
    every: AllOption = False,
    for_excel: ForExcelOption = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Check every object in all buckets of pairs, then compare the buckets."""
    _compare(_wanted(pairs, every, for_excel, catalog), for_excel, verbose, read=True)


@verbs.command(epilog=STATUS_HELP)
def report(
    pairs: PairsArgument = None,
    every: AllOption = False,
    for_excel: ForExcelOption = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compare the buckets of pairs by their newest checksums. Reads only objects that differ or failed."""
    _compare(_wanted(pairs, every, for_excel, catalog), for_excel, verbose, read=False)


@verbs.command(epilog=STATUS_HELP)
def checksums(
    buckets: BucketsArgument = None,
    every: AllBucketsOption = False,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Check every object in buckets. Status 1 if any is damaged or could not be read."""
    from fixity_cli.runs import runner
    from jobs.names import CHECKSUMS_JOB

    loaded = load(catalog)
    wanted = _named(buckets, every, loaded.buckets, "bucket")
    with runner(loaded, verbose) as runs:
        ended = {bucket: runs.run(CHECKSUMS_JOB, bucket) for bucket in wanted}
    for bucket, run in ended.items():
        say_errors(run)
        if run.success:
            _say_checksums(bucket, run)
    say_red(*ended.values())
    raise typer.Exit(max(map(status_of, ended.values())))


def _say_checksums(bucket: str, ended: Ended) -> None:
    said = ended.metadata["checksums"]
    print_figures(
        f"Checksums of {bucket} complete:",
        {
            "Objects": said["dagster/row_count"],
            "Succeeded": said["succeeded"],
            "Failed": said["failed"],
            "Skipped": said["skipped"],
            "Bytes read": said["bytes_read"],
        },
        said["reasons"],
        of=bucket,
    )
    output.place("Table", said["table"])


@verbs.command(epilog=STATUS_HELP)
def inventory(bucket: BucketArgument, catalog: CatalogOption = None, verbose: VerboseOption = False) -> None:
    """List what a bucket holds, and keep the list as a table."""
    from fixity_cli.runs import runner
    from jobs.names import INVENTORY_JOB

    loaded, _ = load_bucket(catalog, bucket)
    with runner(loaded, verbose) as runs:
        ended = runs.run(INVENTORY_JOB, bucket)
    stop_unless_done(ended)
    said = ended.metadata["inventory"]
    print_figures(
        f"Inventory of {bucket} complete:",
        {"Objects": said["dagster/row_count"], "Bytes": said["bytes"], "Excluded": said["excluded"]},
        of=bucket,
    )
    output.place("Table", said["table"])
    stop_verified(ended)


@catalog_verbs.command("check", epilog=STATUS_HELP)
def catalog_check(catalog: CatalogOption = None) -> None:
    """Print the catalog's buckets and pairs, or everything that is wrong with it."""
    loaded = load(catalog)
    output.show(f"{loaded.file}: {len(loaded.buckets)} buckets, {len(loaded.compared)} pairs")
    output.show(f"lake: {loaded.lake}")
    for bucket in loaded.buckets.values():
        place = loaded.place_of(bucket)
        policy = str(bucket.schedule) if bucket.schedule else None
        text = ", ".join(filter(None, (f"bucket {bucket.name}: {place}", bucket.algorithm, policy)))
        output.row(text, bucket=bucket.name, place=place, algorithm=bucket.algorithm, policy=policy)
    for pair in loaded.pairs.values():
        text = f"pair {pair.name}: {pair.source} -> {pair.replica}, by {pair.match}"
        output.row(text, pair=pair.name, source=pair.source, replica=pair.replica, match=pair.match)
    for copies in loaded.copies.values():
        text = f"pair {copies.name}: all of {', '.join(pair.name for pair in copies.pairs)}"
        output.row(text, pair=copies.name, source=copies.source, replicas=list(copies.buckets[1:]))


def _named(names: list[str] | None, every: bool, known_names: Iterable[str], kind: str) -> list[str]:
    """The buckets or pairs that the user wants, each once. Ends the command if that is not clear."""
    if bool(names) is every:
        end(Exit.WRONG_USE, f"name one or more {kind}s, or all of them with --all")
    for name in names or ():
        known(name, known_names, kind)
    wanted = list(dict.fromkeys(known_names if every else names or ()))
    if not wanted:
        end(Exit.WRONG_USE, f"the catalog has no {kind}s")
    return wanted


def _wanted(
    names: list[str] | None, every: bool, for_excel: Path | None, catalog: Path | None
) -> tuple[Catalog, Mapping[str, Sequence[str]]]:
    """The catalog, and the buckets of each pair that the user wants, by its name. Ends the command if that is
    not clear.
    """
    loaded = load(catalog)
    known_names = loaded.reported if every else loaded.compared
    pairs = {name: loaded.buckets_of(name) for name in _named(names, every, known_names, "pair")}
    if for_excel and len(pairs) > 1:
        end(Exit.WRONG_USE, "--for-excel writes the report of one pair: name one pair")
    return loaded, pairs


def _compare(
    wanted: tuple[Catalog, Mapping[str, Sequence[str]]], for_excel: Path | None, verbose: bool, read: bool
) -> NoReturn:
    """Compare pairs, print the reports and all red checks. Arguments: `read`, whether to check them first.

    Of several pairs each has a line as it ends; the reports that are not green follow.
    """
    from fixity_cli.pairs import run_pairs
    from fixity_cli.runs import runner

    catalog, pairs = wanted
    several = len(pairs) > 1
    of_copies = {
        name: {pair.name: catalog.buckets_of(pair.name) for pair in catalog.copies[name].pairs}
        for name in pairs
        if name in catalog.copies
    }
    with runner(catalog, verbose, pairs) as runs:
        ended = []
        for pair in run_pairs(runs, pairs, read, of_copies):
            ended.append(pair)
            if several or pair.name not in pairs:  # a copy that is compared alone
                output.say(_line(pair))
    runs_of_all = {run.run_id: run for pair in ended for run in pair.runs}  # a bucket may be in several pairs
    for run in runs_of_all.values():
        say_errors(run)
    for pair in ended:
        if pair.report is None:
            output.fail(f"{pair.name}: no report, because a bucket could not be checked")
        elif pair.is_done:
            _say_report(catalog, pair, for_excel if pair.name in pairs else None, len(ended) > 1)
    say_red(*runs_of_all.values())
    raise typer.Exit(max(map(_status, ended)))


def _status(pair: PairEnded) -> Exit:
    if pair.report is None:
        return Exit.NOT_DONE
    return max(map(status_of, pair.runs))


def _line(pair: PairEnded) -> str:
    """What is said of a pair where there are several."""
    if pair.report is None or not pair.is_done:
        return f"{pair.name}: could not be compared"
    said = pair.report.metadata["fixity_report"]
    state = "verified" if _status(pair) is Exit.VERIFIED else "NOT verified"
    return f"{pair.name}: {state}, {said['matches']:,} of {said['total_objects']:,} objects match"


def _say_report(catalog: Catalog, pair: PairEnded, for_excel: Path | None, several: bool) -> None:
    """Print the report of a pair; one that is green only where it is the only one."""
    from fixity.reports import Counts, stats, summary_text

    assert pair.report is not None
    said = pair.report.metadata["fixity_report"]
    counts = replace(Counts.from_stats(said), rows=said["dagster/row_count"])
    output.add("results", of=pair.name, **stats(counts), rows=counts.rows, reasons=said["reasons"])
    if several and _status(pair) is Exit.VERIFIED:
        output.add_place("CSV", said["csv"])
        return
    output.say(f"{pair.name}: {summary_text(counts)}" if several else summary_text(counts))
    if said["reasons"]:
        output.say(f"        {'Reasons:':<20}{reasons_text(said['reasons'])}")
    _say_copies(said)
    _say_suspects(said, counts.wrong)
    say_csv(catalog, said["csv"], for_excel)


def _say_copies(said: Mapping[str, Any]) -> None:
    """Print a line for each copy, if there are several. Arguments: `said`, the report's metadata."""
    for record in said["copies"].records if "copies" in said else ():
        row = record.data
        found = [f"{count:,} {name}" for name, count in row.items() if isinstance(count, int) and count]
        state = "verified" if row["verified"] == "yes" else "NOT verified"
        output.say(f"        {row['replica'] + ':':<20}{state}, {', '.join(found) or 'no objects'}")
        output.add("results", of=row["pair"], **{key: each for key, each in row.items() if key != "pair"})


def _say_suspects(said: Mapping[str, Any], wrong: int) -> None:
    """Print what a second look found, and the first rows of a report that say that something is wrong.

    Arguments: `said`, the report's metadata; `wrong`, how many such rows it has.
    """
    from jobs.names import LOOKED_AGAIN, SUSPECTS, TURNED_OUT_RIGHT

    if said.get(LOOKED_AGAIN):
        found = f"{said[LOOKED_AGAIN]}, of which {said[TURNED_OUT_RIGHT]} turned out right"
        output.say(f"        {'Looked at again:':<20}{found}")
    records = said[SUSPECTS].records if SUSPECTS in said else ()
    for record in records:
        row = record.data
        version = f" ({row['version_id']})" if row["version_id"] else ""
        agreed = f"last agreed {row['last_agreed_at']}" if row["last_agreed_at"] else ""
        said_of_it = "; ".join(filter(None, (row["diagnosis"], agreed, row["detail"])))
        output.say(
            printable(f"{row['status']}: {row['key']}{version}{said_of_it and ': '}{said_of_it}", 2000)
        )
        output.add("rows", **row)
    if more := wrong - len(records):
        output.say(f"… and {more:,} more that are not as they should be: the CSV has all")
