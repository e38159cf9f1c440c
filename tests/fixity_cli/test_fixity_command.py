"""The `fixity` command as a process: what it prints where, and what its exit status says."""

from __future__ import annotations

import contextlib
import csv
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from devstack.faults import Refuse
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets.base import NOT_UTF8
from tests.command import instance_of, run_command
from tests.platform import PAIR, Platform

FIXITY = Path(sys.executable).with_name("fixity")
SUMMARY = """\
Checksum report complete:
        Total objects:      2
        Matches:            2
        Mismatches:         0
        Missing replica:    0
        Missing source:     0
        Failed source:      0
        Failed replication: 0
"""


def fixity(
    *words: str, folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    home = {"DAGSTER_HOME": str(folder / "home")}
    return run_command(words, folder, {**os.environ, **home, **(environment or {})})


def test_verify_prints_the_summary_exactly_and_the_run_shows_in_the_instance(platform: Platform) -> None:
    platform.put("a")
    platform.put("b")
    assert platform.file.exists()
    done = fixity("verify", PAIR, folder=platform.folder)
    assert done.returncode == 0, done.stderr
    summary, _, csv = done.stdout.partition("CSV: ")
    assert summary == SUMMARY
    assert Path(csv.strip()).is_file()
    assert f"{PAIR}: 2 of 2 objects" in done.stderr  # progress as plain lines
    with instance_of(platform.folder / "home") as instance:
        runs = instance.get_runs()
        assert sorted(run.job_name for run in runs) == ["check_bucket", "check_bucket", "report_pair"]
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}


def test_on_a_terminal_a_bar_shows_objects_bytes_rate_and_time_left(platform: Platform) -> None:
    platform.bucket_settings["max_bandwidth"] = "8MiB"  # slow enough to have a rate
    for key in "abcd":
        platform.put(key, bytes(2 * 1024 * 1024))
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [str(FIXITY), "checksums", PAIR, "--catalog", str(platform.file)],
        env={**os.environ, "DAGSTER_HOME": str(platform.folder / "home"), "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert re.search(rb"deposit: hashing .*4/4.*8\.0/8\.0 MiB.*B/s.*\d:\d\d:\d\d", shown), shown
    assert output.startswith(b"Checksums of deposit complete:")


def test_the_example_catalog_runs_as_it_is(tmp_path: Path) -> None:
    repository = Path(__file__).resolve().parents[2]
    shutil.copy(repository / "fixity.yaml", tmp_path)
    shutil.copytree(repository / "examples", tmp_path / "examples")
    done = fixity("verify", "letters", folder=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith(SUMMARY), done.stderr


def test_a_verdict_with_an_error_is_status_1_and_further_lines_stand_only_where_not_0(
    platform: Platform,
) -> None:
    platform.put("a", b"x", replica=b"y")
    done = fixity("verify", PAIR, "--catalog", str(platform.file), folder=platform.folder)
    assert done.returncode == 1, done.stderr
    assert "        Mismatches:         1\n" in done.stdout
    assert "Pending" not in done.stdout


def test_report_works_from_the_newest_tables_and_is_status_3_without_them(platform: Platform) -> None:
    platform.put("a")
    catalog = str(platform.file)
    before = fixity("report", PAIR, "--catalog", catalog, folder=platform.folder)
    assert before.returncode == 3 and f"there are no checksums of '{PAIR}' yet" in before.stderr
    for bucket in (PAIR, f"{PAIR}-repl"):
        done = fixity("checksums", bucket, "--catalog", catalog, folder=platform.folder)
        assert done.returncode == 0 and "Succeeded:          1" in done.stdout, done.stderr
    after = fixity("report", PAIR, "--catalog", catalog, folder=platform.folder)
    assert after.returncode == 0 and "Matches:            1" in after.stdout


def test_a_bucket_that_cannot_be_reached_is_status_3_and_said_plainly(platform: Platform) -> None:
    platform.put("a")
    platform.replica = "no-such-bucket"
    done = fixity("verify", PAIR, "--catalog", str(platform.file), folder=platform.folder)
    assert done.returncode == 3
    assert "no such bucket" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "deposti"], "Did you mean 'deposit'?"),
        (["checksums", "nothing"], "the catalog has no bucket 'nothing'"),
        (["inventory"], "Missing argument"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_use_is_status_2_and_says_what_would_be_right(
    platform: Platform, words: list[str], said: str
) -> None:
    assert platform.file.exists()
    done = fixity(*words, folder=platform.folder)
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""


def test_a_wrong_catalog_is_status_2_with_all_that_is_wrong(tmp_path: Path) -> None:
    catalog = tmp_path / "fixity.yaml"
    catalog.write_text("lake: ./lake\nbuckets: {a: {algorithm: SHA-256, prefix: /x}}\n")
    done = fixity("catalog", "check", folder=tmp_path)
    assert done.returncode == 2
    assert "buckets.a.algorithm" in done.stderr and "buckets.a.prefix" in done.stderr


def test_without_any_catalog_it_says_where_it_looked(tmp_path: Path) -> None:
    done = fixity("verify", "x", folder=tmp_path)
    assert done.returncode == 2 and "fixity.yaml" in done.stderr and "FIXITY_CATALOG" in done.stderr


def test_catalog_check_says_what_it_read(platform: Platform) -> None:
    done = fixity("catalog", "check", "--catalog", str(platform.file), folder=platform.folder)
    assert done.returncode == 0 and f"pair {PAIR}: {PAIR} -> {PAIR}-repl, by key" in done.stdout


def test_patterns_that_only_one_side_leaves_out_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "fixity.yaml").write_text(
        "lake: l\nbuckets: {a: {exclude: [x]}, b: {}}\npairs: {a: {replica: b}}"
    )
    done = fixity("catalog", "check", folder=tmp_path)
    assert done.returncode == 0 and "pair a: a -> b" in done.stdout
    assert done.stderr.startswith("warning: pairs.a: a excludes 'x', but b excludes nothing: ")


def test_inventory_lists_a_bucket(platform: Platform) -> None:
    platform.put("a", b"12345")
    done = fixity("inventory", PAIR, "--catalog", str(platform.file), folder=platform.folder)
    assert done.returncode == 0 and "Bytes:              5" in done.stdout


def test_inventory_tells_how_many_objects_exclude_left_out(platform: Platform) -> None:
    platform.bucket_settings["exclude"] = ["*.tmp"]
    for key in ("a", "b.tmp", "c/d.tmp"):
        platform.put(key, b"123")
    done = fixity("inventory", PAIR, "--catalog", str(platform.file), folder=platform.folder)
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    assert ["Objects:", "1"] in said and ["Bytes:", "3"] in said and ["Excluded:", "2"] in said


def test_what_takes_long_to_import_is_imported_where_it_is_needed(platform: Platform) -> None:
    program = (
        "import sys\nfrom fixity_cli.main import app\n"
        f"app(['catalog', 'check', '--catalog', {str(platform.file)!r}], standalone_mode=False)\n"
        "app(['--help'], standalone_mode=False)\n"
        "assert not {'dagster', 'rich'} & set(sys.modules)\n"  # there is no terminal
        "import fixity.reports\n"  # as a check does, to describe what it found
        "assert 'duckdb' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert done.returncode == 0 and "Usage:" in done.stdout, done.stderr


def test_what_is_due_and_the_coverage_are_told_without_the_modules_that_they_do_not_need(
    platform: Platform,
) -> None:
    platform.bucket_settings["fixity_every"] = "90d"
    platform.put("a", b"123")
    done = fixity("verify", PAIR, "--catalog", str(platform.file), folder=platform.folder)
    assert done.returncode == 0, done.stderr
    for words in (["due", PAIR], ["coverage"], ["status"]):
        program = (
            "import atexit, sys\nfrom fixity_cli.main import app_with\n"
            "unused = {'dagster', 'botocore', 'pyarrow.compute', 'fixity.engines.s3_batch', 'rich'}\n"
            "atexit.register(lambda: print(unused & set(sys.modules), file=sys.stderr))\n"
            f"app_with({words[0]!r})({[*words, '--catalog', str(platform.file)]!r})"
        )
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
        assert told.returncode in (0, 1), (words, told.stderr)  # no batch was taken yet: it is overdue
        assert told.stderr.splitlines()[-1] == "set()", (words, told.stderr)


def test_a_pair_of_which_all_is_right_is_verified_without_what_only_damage_needs(platform: Platform) -> None:
    platform.put("a", b"123")
    program = (
        "import atexit, sys\nfrom fixity_cli.main import app_with\n"
        "unused = {'duckdb', 'pyarrow.dataset'}\n"
        "atexit.register(lambda: print(unused & set(sys.modules), file=sys.stderr))\n"
        f"app_with('verify')(['verify', {PAIR!r}, '--catalog', {str(platform.file)!r}])"
    )
    for _ in range(2):  # the second time there are checks of before
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "set()"), done.stderr


def test_an_instance_is_opened_without_what_colours_logs_on_a_terminal(tmp_path: Path) -> None:
    program = (
        "import sys\nimport dagster as dg\nfrom fixity_cli.storage import opened_at_once\n"
        f"with opened_at_once(), dg.DagsterInstance.local_temp({str(tmp_path)!r}) as instance:\n"
        "    assert not instance.get_runs()\n"
        "assert 'structlog' in sys.modules and 'rich' not in sys.modules\n"
        "import rich.console"  # as a progress bar does
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr


def test_a_command_does_what_is_to_be_done_at_the_end_and_then_takes_nothing_apart() -> None:
    program = (
        "import atexit, os, sys\nfrom fixity_cli import main\n"
        "class Kept:\n"
        "    def __del__(self, write=os.write): write(1, b'taken apart')\n"
        "sys.kept = Kept()\n"
        "def verb():\n"
        "    atexit.register(print, 'done at the end')\n"
        "    sys.exit(main.Exit.NOT_VERIFIED)\n"
        "main.app_with = lambda _: verb\n"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "done at the end\n", "")


def test_a_name_that_is_not_utf8_beside_one_that_spells_its_escape_is_one_failed_row(tmp_path: Path) -> None:
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for name in (b"caf\xe9.txt", b"caf\\xe9.txt", b"other"):
            Path(os.fsdecode(os.fsencode(tmp_path / side) + b"/" + name)).write_bytes(b"1")
    (tmp_path / "fixity.yaml").write_text(
        "lake: lake\nbuckets: {a: {path: a}, b: {path: b}}\npairs: {a: {replica: b}}\n"
    )
    done = fixity("verify", "a", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Matches:            2\n" in done.stdout and "Failed source:      1\n" in done.stdout
    assert "warning: a: objects with a name that is not UTF-8, which cannot be checked: 1, " in done.stderr
    with Path(done.stdout.partition("CSV: ")[2].strip()).open(newline="", encoding="utf-8") as rows:
        statuses = {row["key"]: row["status"] for row in csv.DictReader(rows)}
    assert statuses.pop(rf"caf\xe9.txt{NOT_UTF8}") not in ("ok", "mismatch")
    assert statuses == {r"caf\xe9.txt": "ok", "other": "ok"}


def test_the_same_command_typed_again_goes_on_where_it_lost_its_rights(
    platform: Platform, faulty_proxy: FaultyProxy
) -> None:
    keys = [f"key-{number:02d}" for number in range(12)]
    for key in keys:
        platform.put(key)
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings["max_concurrency"] = 1
    assert platform.file.exists()
    faulty_proxy.fault(Refuse(403, code="ExpiredToken", times=None), key=keys[11])
    lost = fixity("checksums", PAIR, folder=platform.folder)
    assert lost.returncode == 3 and "to read the rest, type the command again" in lost.stderr
    faulty_proxy.forget()
    again = fixity("checksums", PAIR, folder=platform.folder)
    assert again.returncode == 0, again.stderr
    assert [seen.key for seen in faulty_proxy.gets()] == keys[11:]
    assert f"{PAIR}: 11 objects were checked by interrupted runs; those checks count" in again.stderr
    assert "Succeeded:          12" in again.stdout
