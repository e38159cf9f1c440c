"""The verbs of ingest fixity: `fixity ingest`, `fixity restore`, `fixity deposit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    BucketArgument,
    CatalogOption,
    Exit,
    ForExcelOption,
    VerboseOption,
    end,
    known,
    load,
    load_bucket,
    print_figures,
    say_csv,
    stop_unless_done,
    stop_verified,
)

if TYPE_CHECKING:
    from fixity.catalog import Bucket, Catalog
    from fixity.ingest.records import Record
    from fixity.ledger.inventory import Wanted

verbs = typer.Typer()


@verbs.command(epilog=STATUS_HELP)
def ingest(
    bucket: BucketArgument,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY]...",
            help="Check only these objects. Default: those in the CSV, else all.",
        ),
    ] = None,
    expected: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|CHECKSUM",
            help="The expected checksums: a CSV with the columns key and checksum; a checksum file of "
            "coreutils, BSD or hashdeep, whose names are keys; or the checksum of one KEY, such as "
            "SHA256:9f86…. They are kept, and are stronger than every other record.",
        ),
    ] = None,
    for_excel: ForExcelOption = None,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Read objects and compare them with their recorded checksums."""
    from fixity.ingest.records import keep_given
    from fixity.lake import open_lake
    from fixity.ledger.selection import keep_selection
    from fixity_cli.instance import lake_of_command
    from fixity_cli.runs import runner
    from jobs.names import INGEST_BUCKET_JOB, INGEST_SELECTED_JOB, SELECTION

    loaded, entry = load_bucket(catalog, bucket)
    wanted: list[Wanted] = [(key, None) for key in keys or []]
    records = _fitting(entry, _given(expected, keys or []))
    if records:
        with lake_of_command(loaded, "ingest") as lake:
            keep_given(lake, bucket, records)
    selected = wanted or [(record.key, record.version_id) for record in records]
    job, tags = INGEST_BUCKET_JOB, {}
    if selected:
        job, tags = INGEST_SELECTED_JOB, {SELECTION: keep_selection(open_lake(loaded), bucket, selected)}
    with runner(loaded, verbose) as runs:
        ended = runs.run(job, bucket, tags=tags)
    stop_unless_done(ended)
    said = ended.metadata["ingest_report"]
    counted = "objects matched not_matched skipped failed missing conflicts unusable_records"
    print_figures(
        f"Ingest report of {bucket} complete:",
        {name.capitalize().replace("_", " "): said[name] for name in counted.split()},
        of=bucket,
    )
    say_csv(loaded, said["csv"], for_excel)
    stop_verified(ended)


def _given(expected: str | None, keys: list[str]) -> list[Record]:
    from fixity.ingest.records import GivenWrong, read_given
    from fixity.ingest.records.by_hand import given_record

    if expected is None:
        return []
    file = Path(expected)
    try:
        if file.is_file():
            body = file.read_bytes()
            records = read_given(body.decode("utf-8"), file.name)
            if not records:
                raise GivenWrong(f"{file.name}: no object in it")
            return records
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise GivenWrong(f"{file.name}, line {line}: not in UTF-8: save the file as UTF-8") from error
    except OSError as error:
        raise GivenWrong(f"{file}: cannot be read: {error}") from error
    if len(keys) != 1:
        raise GivenWrong(f"{expected}: there is no such file, and a checksum needs exactly one KEY")
    return [given_record(keys[0], expected, "given on the command line")]


def _fitting(bucket: Bucket, records: list[Record]) -> list[Record]:
    """The records that a run of the bucket can use. Raises GivenWrong."""
    from fixity.ingest.records import GivenWrong
    from fixity.ledger.selection import is_excluded

    for record in records:
        if record.version_id and bucket.versions != "all":
            raise GivenWrong(
                f"{record.recorded_in}: {record.key} has a version_id, but only current versions of "
                f"{bucket.name} are read: leave it out, or write `versions: all` in the catalog"
            )
    fitting = [record for record in records if not is_excluded(bucket, record.key)]
    if records and not fitting:
        raise GivenWrong(f"`exclude` of {bucket.name} in the catalog leaves out all of these objects")
    return fitting


@verbs.command(epilog=STATUS_HELP)
def restore(
    bucket: BucketArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the estimate and request nothing.")
    ] = False,
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Print what restoring a bucket's archived objects costs, then request it.

    Uses the newest inventory.
    The sensor restore_completion checks the objects once they are restored.
    """
    from fixity_cli.restore import say_estimate
    from fixity_cli.runs import runner
    from jobs.names import RESTORE_JOB

    loaded, entry = load_bucket(catalog, bucket)
    if entry.is_local:
        end(Exit.WRONG_USE, f"{bucket} is a local directory: it has no archived objects")
    say_estimate(loaded, bucket)
    if dry_run:
        return
    if bucket not in loaded.restoring:
        end(Exit.WRONG_USE, f"{bucket} is not to be restored: its catalog entry lacks `archived: restore`")
    with runner(loaded, verbose) as runs:
        ended = runs.run(RESTORE_JOB, bucket)
    stop_unless_done(ended)
    said = ended.metadata["restored"]
    states = ("waiting", "requested", "restored", "checked", "failed")
    print_figures(f"Restore of {bucket}:", {state.capitalize(): said[state] for state in states}, of=bucket)
    output.place("Table", said["table"])
    stop_verified(ended)


@verbs.command(epilog=STATUS_HELP)
def deposit(
    source: Annotated[
        str, typer.Argument(help="A local directory, or a pair of the catalog whose source is one.")
    ],
    bucket: Annotated[
        str | None, typer.Argument(help="The bucket that it was uploaded to; not with a pair.")
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="The start of the files' keys in the bucket, such as 2026/.")
    ] = "",
    read: Annotated[bool, typer.Option("--read", help="Read every object back.")] = False,
    for_excel: ForExcelOption = None,
    catalog: CatalogOption = None,
) -> None:
    """Prove that an upload arrived. Reads back only what no ETag or stored checksum proves."""
    from fixity_cli.deposit import run_deposit

    loaded = load(catalog)
    directory, target, exclude = _sides(loaded, source, bucket)
    summary, report = run_deposit(loaded, directory, target, prefix, read, exclude)
    print_figures(
        f"Deposit in {target} verified:" if summary.verified == summary.files else f"Deposit in {target}:",
        {
            "Files": summary.files,
            "Bytes": summary.bytes,
            "Verified": summary.verified,
            "Mismatches": summary.mismatch,
            "Missing": summary.missing,
            "Failed": summary.failed,
            "Not local": summary.not_local,
        },
        of=target,
    )
    say_csv(loaded, report, for_excel)
    raise typer.Exit(Exit.VERIFIED if summary.verified == summary.files else Exit.NOT_VERIFIED)


def _sides(catalog: Catalog, source: str, bucket: str | None) -> tuple[Path, str, tuple[str, ...]]:
    """The directory, the bucket, and the patterns of files to leave out."""
    if bucket is not None:
        known(bucket, catalog.buckets, "bucket")
        if not Path(source).is_dir():
            end(Exit.WRONG_USE, f"{source} is not a directory")
        return Path(source), bucket, ()
    known(source, catalog.pairs, "pair")
    pair = catalog.pairs[source]
    path, exclude = catalog.buckets[pair.source].path, catalog.buckets[pair.source].exclude
    if path is None:
        end(Exit.WRONG_USE, f"the source of {source} is not a local directory: use fixity verify {source}")
    return path, pair.replica, exclude
