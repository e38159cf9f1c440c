"""`fixity ingest`, `fixity restore` and `fixity deposit`: what they print and what they return."""

from __future__ import annotations

import hashlib
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from devstack.moto_server import MotoServer
from fixity.clock import utc_now
from fixity.lake import LocalLake
from fixity.rolling.egress import EgressBudget, egress_left
from fixity_cli.main import app
from jobs.names import INVENTORY_JOB
from tests.fixity_cli.test_fixity_command import fixity
from tests.platform import PAIR, Platform, read_report
from tests.sensors.archive import BUCKET, ArchivePlatform

MD5 = hashlib.md5(b"abc").hexdigest()


def figures(text: str) -> dict[str, int]:
    lines = [line.strip().split(":") for line in text.splitlines() if line.startswith("        ")]
    return {name: int(value) for name, value in lines}


def csv_of(text: str) -> list[dict[str, str]]:
    return read_report(text.partition("CSV: ")[2].strip())


def plain(*words: str, folder: Path) -> Result:
    """A verb that starts no run, inside this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(app, list(words))


def test_ingest_of_a_key_and_of_a_list(platform: Platform) -> None:
    platform.put("a", b"abc")
    platform.put("b", b"abc")
    assert platform.file.exists()
    wrong = fixity("ingest", PAIR, "a", "--expected", f"MD5:{'0' * 32}", folder=platform.folder)
    assert (wrong.returncode, figures(wrong.stdout)["Not matched"]) == (1, 1), wrong.stderr
    (row,) = csv_of(wrong.stdout)
    assert (row["key"], row["result"], row["compared_with"]) == ("a", "NOTMATCHED", "api")
    typo = fixity("ingest", PAIR, "typo", folder=platform.folder)
    assert (typo.returncode, figures(typo.stdout)["Missing"]) == (1, 1), typo.stderr
    (platform.folder / "list.csv").write_text(f"key,checksum\nb,{MD5}\nlost,{MD5}\n")
    listed = fixity("ingest", PAIR, "--expected", "list.csv", folder=platform.folder)
    rows = {row["key"]: row for row in csv_of(listed.stdout)}
    assert {key: (row["result"], row["status"]) for key, row in rows.items()} == {
        "b": ("MATCHED", "succeeded"),
        "lost": ("SKIPPED", "missing"),
    }
    assert listed.returncode == 1


def test_a_key_with_a_cr_is_checked_by_its_record_and_stays_itself(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/Icon\r").write_bytes(b"abc")
    (tmp_path / "a/=cmd").write_bytes(b"abc")
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: ./a}}\n")
    (tmp_path / "list.csv").write_bytes(f'key,checksum\r\n"Icon\r",{MD5}\r\n'.encode())
    given = fixity("ingest", "a", "--expected", "list.csv", folder=tmp_path)
    assert (given.returncode, [row["key"] for row in csv_of(given.stdout)]) == (0, ["Icon\r"]), given.stderr
    again = fixity("ingest", "a", "--for-excel", "for-excel.csv", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    place, _, said = again.stdout.partition("CSV: ")[2].partition("\n")
    assert said == "For a spreadsheet: for-excel.csv\n"
    assert [row["key"] for row in read_report(place)] == ["=cmd", "Icon\r"]
    shown = (tmp_path / "for-excel.csv").read_bytes().decode()
    assert shown.startswith("\ufeffkey,version_id,")
    assert "\n'=cmd,,3," in shown


def test_a_folder_for_a_spreadsheet_that_does_not_exist_is_wrong_use_before_anything_is_read(
    platform: Platform,
) -> None:
    assert platform.file.exists()
    for words in (["verify", PAIR], ["report", PAIR], ["ingest", PAIR], ["sql", "from due"]):
        done = plain(*words, "--for-excel", "no-such/x.csv", folder=platform.folder)
        assert (done.exit_code, "there is no folder" in done.stderr) == (2, True), done.output
    assert not (platform.folder / "lake").exists()


def test_the_answer_to_a_query_is_written_for_a_spreadsheet(platform: Platform) -> None:
    assert platform.file.exists()
    query = "select '=1+1' as key, 'a' || chr(13) as other, -1 as size"
    done = plain("sql", query, "--for-excel", "x.csv", folder=platform.folder)
    assert (done.exit_code, done.output) == (0, "For a spreadsheet: x.csv\n")
    assert (platform.folder / "x.csv").read_bytes() == b'\xef\xbb\xbfkey,other,size\n\'=1+1,"a\r",-1\n'
    assert plain("sql", query, folder=platform.folder).stdout == 'key,other,size\n=1+1,"a\r",-1\n'


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("no-such-file.csv", "a checksum needs exactly one KEY"),
        ("bad.csv", "bad.csv, line 3: 'xyz' does not say which algorithm it is"),
        ("latin.csv", "latin.csv, line 3: not in UTF-8"),
        ("wrong.csv", "must name the columns key and checksum"),
        ("empty.csv", "empty.csv: no object in it"),
        ("versions.csv", "versions.csv, line 2: a has a version_id"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_its_line_and_nothing_is_kept(
    platform: Platform, expected: str, said: str
) -> None:
    assert platform.file.exists()
    (platform.folder / "bad.csv").write_text(f"key,checksum\na,{MD5}\nb,xyz\n")
    (platform.folder / "latin.csv").write_bytes(f"key,checksum\na,{MD5}\n\xe9,{MD5}\n".encode("latin-1"))
    (platform.folder / "wrong.csv").write_text("name;sum\n")
    (platform.folder / "empty.csv").write_text("key,checksum\n")
    (platform.folder / "versions.csv").write_text(f"key,checksum,version_id\na,{MD5},v1\n")
    done = plain("ingest", PAIR, "--expected", expected, folder=platform.folder)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (platform.folder / "lake" / "expected").exists()


def test_a_dry_run_of_a_restore_says_what_it_comes_to_and_asks_for_nothing(
    moto_server: MotoServer, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    archive = ArchivePlatform(tmp_path, moto_server, settings={"archived": "restore"})
    for key, storage_class in (("film", "GLACIER"), ("tape", "DEEP_ARCHIVE"), ("at-hand", "STANDARD")):
        archive.s3.put_object(
            Bucket=archive.real_name,
            Key=key,
            Body=bytes(1024**2),
            StorageClass=storage_class,  # type: ignore[arg-type]  # any class that a test names
        )
    assert archive.catalog.file.exists()
    early = plain("restore", BUCKET, "--dry-run", folder=tmp_path)
    assert (early.exit_code, "run fixity inventory deposit first" in early.stderr) == (3, True)
    archive.run(instance, INVENTORY_JOB)
    dry = plain("restore", BUCKET, "--dry-run", folder=tmp_path)
    assert dry.exit_code == 0, dry.stderr
    assert dry.stdout.splitlines()[:3] == [
        "GLACIER: 1 objects, 1.0 MiB, Bulk, $0.00",
        "DEEP_ARCHIVE: 1 objects, 1.0 MiB, Bulk, $0.00",
        "Archived in deposit: 2 objects, 2.0 MiB, 10.0 TiB at a time",
    ]
    assert "Restore" not in archive.s3.head_object(Bucket=archive.real_name, Key="film")
    real = fixity("restore", BUCKET, folder=tmp_path)
    assert (real.returncode, figures(real.stdout)["Requested"]) == (0, 2), real.stderr


def test_an_estimate_says_of_how_many_objects_nobody_could_tell(
    moto_server: MotoServer, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    archive = ArchivePlatform(tmp_path, moto_server, settings={"archived": "restore"})
    for key, storage_class in (("film", "GLACIER"), ("gone", "INTELLIGENT_TIERING")):
        archive.s3.put_object(
            Bucket=archive.real_name,
            Key=key,
            Body=b"abc",
            StorageClass=storage_class,  # type: ignore[arg-type]  # any class that a test names
        )
    archive.run(instance, INVENTORY_JOB)
    archive.s3.delete_object(Bucket=archive.real_name, Key="gone")
    dry = plain("restore", BUCKET, "--dry-run", folder=tmp_path)
    assert dry.exit_code == 0, dry.stderr
    assert dry.stdout.splitlines()[:2] == [
        "GLACIER: 1 objects, 3 B, Bulk, $0.00",
        "Not in the estimate, because their storage tier is unknown: 1 objects, 3 B (gone: "
        "DeletedSinceListed: the object was deleted since it was listed)",
    ]


def test_a_deposit_is_verified_by_directory_and_by_prefix(platform: Platform) -> None:
    folder = platform.folder / "files"
    folder.mkdir()
    (folder / "a").write_bytes(b"abc")
    platform.put("2026/a", b"abc")
    assert platform.file.exists()
    done = plain("deposit", "files", PAIR, "--prefix", "2026/", folder=platform.folder)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"Deposit in {PAIR} verified:\n")
    (row,) = csv_of(done.stdout)
    assert (row["status"], row["comparison"], row["local"]) == ("verified", "etag", MD5)
    (folder / "lost").write_bytes(b"never uploaded")
    worse = plain("deposit", "files", PAIR, "--prefix", "2026/", "--read", folder=platform.folder)
    assert (worse.exit_code, figures(worse.stdout)["Missing"]) == (1, 1)
    (platform.folder / "empty").mkdir()
    empty = plain("deposit", "empty", PAIR, folder=platform.folder)
    assert (empty.exit_code, empty.stderr.startswith("empty: there is no file in it")) == (2, True)
    unknown = plain("deposit", "nowhere", PAIR, folder=platform.folder)
    assert (unknown.exit_code, unknown.stderr) == (2, "nowhere is not a directory\n")


def test_what_a_deposit_reads_back_counts_as_egress_of_its_bucket(tmp_path: Path) -> None:
    for folder, body in (("files", b"abc"), ("a", b"abd")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_bytes(b"12345")
        (tmp_path / folder / "other").write_bytes(body)
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: ./a}}\n")
    assert plain("deposit", "files", "a", "--read", folder=tmp_path).exit_code == 1
    budget = EgressBudget(100, ("a",))
    left = egress_left(LocalLake(tmp_path / "lake"), [budget], None, utc_now())
    assert left.size == 100 - 5 - 2 * 3  # what differs is read twice


def test_the_csv_of_a_deposit_of_files_with_any_name_is_read_back(tmp_path: Path) -> None:
    names = ["Icon\r", "a\nb", '"', " a ", "=1,2", "-"]
    for folder in ("files", "a"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_bytes(b"abc")
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: ./a}}\n")
    done = plain("deposit", "files", "a", "--for-excel", "x.csv", folder=tmp_path)
    place, _, said = done.stdout.partition("CSV: ")[2].partition("\n")
    assert (done.exit_code, said) == (0, "For a spreadsheet: x.csv\n"), done.output
    assert sorted(row["key"] for row in read_report(place)) == sorted(names)
    assert {row["key"] for row in read_report(tmp_path / "x.csv", "utf-8-sig")} > {"'=1,2", "'-", "Icon\r"}


def test_a_deposit_is_verified_by_a_pair_whose_source_is_a_directory(platform: Platform) -> None:
    folder = platform.folder / "files"
    folder.mkdir()
    for key in ("a", "not-uploaded.tmp", "left-out-there.log"):
        (folder / key).write_bytes(b"abc")
    platform.put("a", b"abc")
    platform.put("another.log", b"of the bucket, left out")
    platform.bucket_settings = {"exclude": ["*.log"]}
    text = platform.file.read_text()
    local = f"\n  local: {{path: {folder}, exclude: ['*.tmp']}}"
    text = text.replace("buckets:", f"buckets:{local}").replace(
        "pairs:", f"pairs:\n  upload: {{source: local, replica: {PAIR}}}"
    )
    (platform.folder / "pair.yaml").write_text(text)
    done = plain("deposit", "upload", "--catalog", "pair.yaml", folder=platform.folder)
    said = figures(done.stdout)
    assert (done.exit_code, said["Files"], said["Verified"], said["Not local"]) == (0, 1, 1, 0), done.stderr
    assert [(row["key"], row["comparison"]) for row in csv_of(done.stdout)] == [("a", "etag")]
    (folder / "lost").write_bytes(b"never uploaded")
    platform.put("a", b"abd")
    worse = plain("deposit", "upload", "--catalog", "pair.yaml", folder=platform.folder)
    assert {row["key"]: (row["status"], row["comparison"]) for row in csv_of(worse.stdout)} == {
        "a": ("mismatch", "read"),
        "lost": ("missing", "none"),
    }
    assert worse.exit_code == 1
    no_directory = plain("deposit", PAIR, folder=platform.folder)
    assert (no_directory.exit_code, "is not a local directory: use fixity verify" in no_directory.stderr) == (
        2,
        True,
    )
    unknown = plain("deposit", "uplaod", "--catalog", "pair.yaml", folder=platform.folder)
    assert (unknown.exit_code, "Did you mean 'upload'?" in unknown.stderr) == (2, True)


def test_records_of_what_the_catalog_leaves_out_are_not_asked_for(platform: Platform) -> None:
    platform.bucket_settings = {"exclude": ["*.tmp"]}
    platform.put("a", b"abc")
    platform.put("b.tmp", b"abc")
    assert platform.file.exists()
    (platform.folder / "list.csv").write_text(f"key,checksum\na,{MD5}\nb.tmp,{'0' * 32}\n")
    done = fixity("ingest", PAIR, "--expected", "list.csv", folder=platform.folder)
    assert done.returncode == 0, done.stderr
    assert [(row["key"], row["result"]) for row in csv_of(done.stdout)] == [("a", "MATCHED")]
    (platform.folder / "left-out.csv").write_text(f"key,checksum\nb.tmp,{MD5}\n")
    none = plain("ingest", PAIR, "--expected", "left-out.csv", folder=platform.folder)
    assert (none.exit_code, none.stderr) == (
        2,
        f"`exclude` of {PAIR} in the catalog leaves out all of these objects\n",
    )
