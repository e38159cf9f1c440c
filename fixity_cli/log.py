"""The verbs of the log: `fixity log init`, `seal`, `verify`, `withdraw` and `rotate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fixity_cli.output import output
from fixity_cli.shared import (
    STATUS_HELP,
    CatalogOption,
    Exit,
    VerboseOption,
    end,
    load,
    stop_unless_done,
    stop_verified,
)
from fixity_cli.user import user_name

if TYPE_CHECKING:
    from datetime import datetime

    from fixity.catalog import Catalog
    from fixity.lake import Lake
    from fixity.log.chain import Head
    from fixity.log.keys import Signer
    from fixity.log.seals import Sealer
    from fixity.log.verify import Verified

verbs = typer.Typer()
log_verbs = typer.Typer(
    help="Prove that the evidence in the lake was not edited: seal it, and verify the seals.",
    no_args_is_help=True,
)
verbs.add_typer(log_verbs, name="log")

ReasonOption = Annotated[str, typer.Option("--reason", help="Why. It is kept for ever.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who. Default: the user of this machine.")]


@log_verbs.command("init", epilog=STATUS_HELP)
def init(catalog: CatalogOption = None) -> None:
    """Begin the log: make the key that the catalog's `log` names, and seal all that is in the lake as it is.

    A key that is there, or in AWS KMS, is used as it is. Run it once, while nothing else runs. Keep a copy of
    the key in a safe place, and its public half with someone else: `fixity log verify --key` takes it.
    """
    from fixity.log.keys import make_key
    from fixity.log.kms import is_file

    loaded, where = _with_log(catalog)
    if is_file(where) and not Path(where).exists():
        make_key(Path(where))
        output.say(f"{where}: a new key, for its owner alone; {where}.pub is its public half")
    sealer = _sealer(loaded)
    done = sealer.begin()
    output.say(f"key {sealer.key.public.fingerprint}")
    output.say(f"seal {done.seal.number} has {done.files:,} files as found: sha256 {done.seal.sha256}")
    output.add("results", of="log", seal=done.seal.number, sha256=done.seal.sha256, files=done.files)
    for name, why in done.waiting.refused.items():
        output.fail(f"{name}: {why}")
    raise typer.Exit(Exit.NOT_VERIFIED if done.waiting.refused else Exit.VERIFIED)


@log_verbs.command("seal", epilog=STATUS_HELP)
def seal(
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="RUN",
            help="Also seal what this run kept (its id, or the name of a file), though Dagster's event log "
            "does not have it any more. The seal says so. May be given several times.",
        ),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why what is accepted is believed.")] = "",
    catalog: CatalogOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Verify the log, and seal what was kept since; a schedule does it once a day.

    Files are sealed once their run is over, and only if Dagster's event log has their SHA-256.
    """
    from fixity_cli.runs import runner
    from jobs.names import LOG_ASSET, SEAL_JOB

    loaded, _ = _with_log(catalog)
    if accept and not reason:
        end(Exit.WRONG_USE, "--accept needs --reason: the seal says for ever why these files were believed")
    config = {"accept": accept or [], "reason": f"{user_name()}: {reason}" if accept else ""}
    with runner(loaded, verbose) as runs:
        ended = runs.run(SEAL_JOB, None, {"ops": {LOG_ASSET: {"config": config}}})
    stop_unless_done(ended)
    said = ended.metadata[LOG_ASSET]
    if "sha256" in said:
        output.say(f"seal {said['seals']} has {said['sealed']:,} files more: sha256 {said['sha256']}")
        output.add("results", of="log", seal=said["seals"], sha256=said["sha256"], files=said["sealed"])
    if said["waiting"]:
        output.note(f"{said['waiting']:,} files wait until their runs are over")
    stop_verified(ended)


@log_verbs.command("verify", epilog=STATUS_HELP)
def verify(
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="The public key that you trust. Default: that of the catalog's `log`.",
        ),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            metavar="'NUMBER SHA256'",
            help="A seal that you know, as `fixity log seal` printed it: the lake must have it still.",
        ),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Verify every file that was sealed, and name each that was edited, deleted, added or put back.

    Needs no right to write, and no private key. Status 1 if anything is wrong, 3 if a file could not be read.
    What is wrong by the catalog's own key also turns `fixity status` red, where the lake may be written,
    until the log is sealed again.
    """
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.log.kms import verifier
    from fixity.log.known import verify_all
    from fixity.log.manifest import SEALS

    loaded = load(catalog)
    if key is None and loaded.log is None:
        end(Exit.WRONG_USE, "the catalog has no `log`: add it, or name the public key: --key FILE")
    anchor = verifier(str(key) if key is not None else _with_log(catalog)[1], loaded.stores["aws"])
    lake, began = open_lake(loaded), utc_now()
    found, _ = verify_all(lake, loaded, anchor, [_head(text) for text in head or []])
    _say(found)
    if found.findings and key is None and not head:  # else it is wrong by what somebody else trusts
        _keep_broken(lake, found, began)
    if not found.newest and not any(each.name.startswith(SEALS) for each in found.findings):
        end(Exit.NOT_DONE, "this lake has no log yet: fixity log init begins one")
    raise typer.Exit(
        Exit.NOT_VERIFIED if found.findings else Exit.NOT_DONE if found.unread else Exit.VERIFIED
    )


def _keep_broken(lake: Lake, found: Verified, at: datetime) -> None:
    """Have the status say that the log is broken, as far as the lake may be written."""
    from fixity.lake import LakeError
    from fixity.status.log import keep_broken

    try:
        keep_broken(lake, [(each.name, each.what, each.text) for each in found.findings], at)
    except LakeError as error:
        output.note(f"fixity status does not say so, because the lake could not be written: {error}")


def _say(found: Verified) -> None:
    for each in found.findings:
        when = f" ({each.when})" if each.when else ""
        output.red(f"{each.name}: {each.what}: {each.text}{when}")
        output.add(
            "rows", file=each.name, what=each.what, text=each.text, after=each.after, before=each.before
        )
    for name, why in found.unread.items():
        output.fail(f"{name} could not be read: {why}")
    for note in found.notes:
        output.note(note)
    last = f", the last of {found.at[:16].replace('T', ' ')} UTC" if found.at else ""
    output.say(
        f"{found.entries:,} files in {found.newest:,} seals{last}: "
        + (f"{len(found.findings):,} wrong" if found.findings else "all as they were sealed")
        + (f"; {found.waiting:,} files wait to be sealed" if found.waiting else "")
        + (f"; {found.withdrawn:,} withdrawn" if found.withdrawn else "")
    )
    if found.stamps:
        newest = found.stamps[0]
        output.say(
            f"time stamps that prove their seals: {len(found.stamps):,}, the newest of seal {newest.number} "
            f"on {newest.at:%Y-%m-%d %H:%M} UTC"
        )


@log_verbs.command("withdraw", epilog=STATUS_HELP)
def withdraw(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Files of the lake, as the seals name them.")
    ],
    reason: ReasonOption,
    by: ByOption = None,
    catalog: CatalogOption = None,
) -> None:
    """Remove files from the lake on purpose, as their retention is over: a seal says who did it, and why.

    Their SHA-256 stay in the log. Any other way to remove a sealed file looks as if somebody had tampered.
    """
    loaded, _ = _with_log(catalog)
    done = _sealer(loaded).withdraw(names, reason, by or user_name())
    output.say(
        f"{done.files:,} files are withdrawn; seal {done.seal.number} says so: sha256 {done.seal.sha256}"
    )
    output.add("results", of="log", seal=done.seal.number, sha256=done.seal.sha256, files=done.files)


@log_verbs.command("rotate", epilog=STATUS_HELP)
def rotate(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="The new key: a file, made if it is not there; env:NAME, or kms:ID."
        ),
    ],
    lost: Annotated[
        str | None,
        typer.Option(
            "--lost", metavar="REASON", help="The key in force is lost: go on without it, and say why."
        ),
    ] = None,
    catalog: CatalogOption = None,
) -> None:
    """Sign with a new key from the next seal on. The key in force names it in a seal; then change `log.key`.

    With --lost, the new key signs at once, and `fixity log verify` needs it: the old key does not prove it.
    """
    from fixity.log.keys import make_key
    from fixity.log.kms import is_file, signer

    loaded, where = _with_log(catalog)
    if key == where:
        end(Exit.WRONG_USE, f"{key} is the key in force: name another one")
    if is_file(key) and not Path(key).exists():
        make_key(Path(key))
    new = signer(key, loaded.stores["aws"])
    done = _sealer(loaded, new).go_on_without(lost) if lost else _sealer(loaded).rotate(new.public)
    output.say(f"seal {done.seal.number}: from now on, {new.public.fingerprint} signs")
    output.say(f"Now write `key: {key}` below `log` in {loaded.file}")
    output.add("results", of="log", seal=done.seal.number, sha256=done.seal.sha256)


def _with_log(file: Path | None) -> tuple[Catalog, str]:
    """The catalog, and where its log's key is. Ends the command if it has no log."""
    loaded = load(file)
    if loaded.log is None:
        end(Exit.WRONG_USE, f"the catalog has no `log`: write `log: {{key: log-key.pem}}` in {loaded.file}")
    return loaded, loaded.log.key


def _sealer(loaded: Catalog, key: Signer | None = None) -> Sealer:
    """A sealer that trusts nobody: it seals only what this command writes. The witness must agree."""
    from fixity.clock import utc_now
    from fixity.lake import open_lake
    from fixity.log.kms import signer
    from fixity.log.outside import heads_outside
    from fixity.log.seals import Sealer

    assert loaded.log is not None  # see _with_log
    lake = open_lake(loaded)

    def heads() -> list[Head]:
        known, why_not = heads_outside(lake, loaded)
        if why_not:
            output.warn(f"what the witness knows was not looked at: {why_not}")
        return known

    return Sealer(lake, key or signer(loaded.log.key, loaded.stores["aws"]), lambda kept: {}, utc_now, heads)


def _head(text: str) -> Head:
    from fixity.log.chain import Head

    number, _, sha256 = text.partition(" ")
    if not number.isdigit() or len(sha256) != 64:
        raise typer.BadParameter(f"{text!r} is not the number of a seal and its SHA-256")
    return Head(int(number), sha256, "whoever gave --head")
