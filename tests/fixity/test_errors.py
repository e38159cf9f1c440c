import errno
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from itertools import chain
from types import ModuleType

import dagster as dg
import pytest
from typer.testing import CliRunner

import fixity
import fixity.errors
import resources
import sensors
from fixity.catalog import CatalogError
from fixity.digests.state import StateUnusable
from fixity.errors import BucketUnreachable, FixityError, WrongUsage, plain_words
from fixity.lake import LakeError
from fixity_assets.describe import failures_in_plain_words
from fixity_assets.workers import broker, steps, watch
from fixity_cli import main
from jobs.names import WRONG_USAGE

INSIDE = {"BrokenConnection", "NoProof", "Retry", "Stopped", "TooSlow", "Unreadable", "Unusable"} | {
    "WholeObject",
    "WrongRange",
}
"""Exceptions by which parts of the reader, the lake, the status or the pages speak to each other."""


def modules(of: ModuleType) -> Iterator[ModuleType]:
    yield of
    for found in pkgutil.walk_packages(of.__path__, f"{of.__name__}."):
        yield importlib.import_module(found.name)


def exceptions() -> Iterator[type[Exception]]:
    of_rooms = chain.from_iterable(modules(room) for room in (fixity, resources, sensors))
    for module in (*of_rooms, broker, steps, watch):
        for name, found in vars(module).items():
            if name.startswith("_") or not inspect.isclass(found) or found.__module__ != module.__name__:
                continue
            if issubclass(found, Exception):
                yield found


ALL = sorted(exceptions(), key=lambda each: each.__name__)
OURS = [each for each in ALL if issubclass(each, FixityError)]


def test_every_public_exception_stands_in_the_tree_under_a_name_of_its_own() -> None:
    assert {each.__name__ for each in ALL if each not in OURS} == INSIDE
    names = [each.__name__ for each in OURS]
    assert len(names) > 30 and len(set(names)) == len(names)


def test_the_tree_drawn_in_the_docstring_is_the_tree_as_it_is() -> None:
    drawn = {}
    above = ["FixityError"]
    for line in (fixity.errors.__doc__ or "").splitlines():
        branch, _, words = line.partition("── ")
        if words:
            depth = (len(branch) - 5) // 4 + 1
            name = words.split()[0]
            above[depth:] = [name]
            drawn[name] = above[depth - 1], "(not final)" in words
    assert drawn == {
        each.__name__: (each.__base__.__name__ if each.__base__ else "", "final" in vars(each))
        for each in OURS
        if each is not FixityError
    }


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_each_says_in_its_docstring_when_it_is_raised(error: type[Exception]) -> None:
    assert len((vars(error).get("__doc__") or "").split()) > 3


def made(error: type[FixityError]) -> FixityError:
    """An error of a class, whatever it takes to make one."""
    if error.__init__ is Exception.__init__:
        return error("why")
    needed = [each for each in inspect.signature(error).parameters.values() if each.default is each.empty]
    return error(*["why"] * len(needed))


@pytest.mark.parametrize("error", OURS, ids=lambda error: error.__name__)
def test_a_step_is_retried_unless_the_error_is_final(error: type[FixityError]) -> None:
    raised = made(error)
    with pytest.raises(dg.Failure) as failure, failures_in_plain_words():
        raise raised
    assert failure.value.allow_retries is not raised.final
    assert failure.value.description == str(raised)
    assert (WRONG_USAGE in failure.value.metadata) == isinstance(raised, WrongUsage)


def test_an_unreachable_bucket_says_itself_whether_a_retry_may_help() -> None:
    for final in (True, False):
        with pytest.raises(dg.Failure) as failure, failures_in_plain_words():
            raise BucketUnreachable("the cable is out", final=final)
        assert failure.value.allow_retries is not final


def test_a_full_disk_is_named_with_what_to_do_and_may_be_retried() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/lake/file")
    with pytest.raises(dg.Failure, match="No space left") as failure, failures_in_plain_words():
        raise full
    assert failure.value.allow_retries
    assert "make room in /lake/file" in (failure.value.description or "")
    assert "temporary files" in (plain_words(OSError(errno.ENOSPC, "No space left on device")) or "")


@pytest.mark.parametrize("bug", [KeyError("k"), ValueError("v"), TypeError("t"), AssertionError()])
def test_a_bug_in_an_asset_keeps_its_stack_trace_and_is_no_failure_told_to_the_user(bug: Exception) -> None:
    @dg.asset
    def broken() -> None:
        with failures_in_plain_words():
            raise bug

    result = dg.materialize([broken], raise_on_error=False)
    (data,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert data.user_failure_data is None
    assert data.error and data.error.cause and data.error.cause.cls_name == type(bug).__name__


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (CatalogError(["pairs.a: is wrong"]), 2, "pairs.a: is wrong\n"),
        (LakeError("the lake is away"), 3, "the lake is away\n"),
        (StateUnusable("it is damaged"), 3, "it is damaged\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "there"), 3, "[Errno 2] No such file: 'there'\n"),
    ],
)
def test_the_command_says_an_error_plainly_with_its_exit_status(
    error: Exception, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(file: object) -> None:
        raise error

    monkeypatch.setattr("fixity.catalog.load_catalog", failing)
    done = CliRunner().invoke(main.app, ["catalog", "check"])
    assert (done.exit_code, done.stderr) == (status, said)


def test_the_command_calls_a_bug_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(file: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("fixity.catalog.load_catalog", failing)
    monkeypatch.setattr(sys, "argv", ["fixity", "catalog", "check"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr().err
    assert ended.value.code == 3
    assert said.startswith("this is a bug of fixity: KeyError: 'surprise'\n") and "in failing" in said
