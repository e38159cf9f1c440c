"""The platform as a package: its wheel, in an environment of its own, works outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from fixity.version import SOFTWARE
from tests.command import instance_of

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
CATALOG = """\
lake: ./lake
buckets: {letters: {path: letters}, copies: {path: copies}}
pairs: {letters: {replica: copies}}
"""


def _run(*words: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    built = _run(sys.executable, "-m", "pip", "wheel", *options, REPOSITORY, folder=folder)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the wheel, and this one's dependencies."""
    environment = tmp_path_factory.mktemp("environment")
    made = _run(sys.executable, "-m", "venv", "--without-pip", environment, folder=environment)
    assert made.returncode == 0, made.stderr
    python = environment / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    installed = _run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=environment)
    assert installed.returncode == 0, installed.stderr
    # Python reads no .pth in a folder that a .pth names: this checkout is not on the path there.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment / "bin"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with two equal local buckets, and their catalog."""
    for bucket in ("letters", "copies"):
        (tmp_path / bucket).mkdir()
        (tmp_path / bucket / "1828-11-19.txt").write_text("Mein lieber Schober")
    (tmp_path / "fixity.yaml").write_text(CATALOG)
    return tmp_path


def test_the_wheel_has_every_file_of_its_packages(wheel: Path) -> None:
    files = [file for package in PACKAGES for file in (REPOSITORY / package).rglob("*") if file.is_file()]
    sources = {file.relative_to(REPOSITORY).as_posix() for file in files if file.suffix != ".pyc"}
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name and ".data/" not in name}
    assert [name.partition("/data/")[2] for name in names if ".data/" in name] == ["share/man/man1/fixity.1"]
    assert packed == sources | {"fixity_cli/workspace.yaml"}
    assert {f"{package}/py.typed" for package in PACKAGES} < packed
    assert "fixity/reports/compare.sql" in packed and "fixity_cli/dagster.yaml" in packed


def test_nothing_of_the_repository_is_imported_there(programs: Path, tmp_path: Path) -> None:
    program = f"import {', '.join(PACKAGES)}\nfor package in ({', '.join(PACKAGES)}): print(package.__file__)"
    done = _run(programs / "python", "-c", program, folder=tmp_path)
    files = done.stdout.split()
    assert len(files) == len(PACKAGES), done.stderr
    assert all(Path(file).is_relative_to(programs.parent) for file in files)


def test_the_name_and_the_version_are_those_of_the_package(programs: Path, tmp_path: Path) -> None:
    done = _run(programs / "fixity", "--version", folder=tmp_path)
    asked = f"from importlib.metadata import version; print('fixity', version('{SOFTWARE}'))"
    assert done.stdout == _run(programs / "python", "-c", asked, folder=tmp_path).stdout


def test_a_pair_is_verified_with_all_guards_and_state_beside_the_catalog(
    programs: Path, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    catalog = {"FIXITY_CATALOG": str(archive / "fixity.yaml")}
    checked = _run(programs / "fixity", "catalog", "check", folder=elsewhere, **catalog)
    assert checked.returncode == 0 and "2 buckets, 1 pairs" in checked.stdout, checked.stderr
    verified = _run(programs / "fixity", "verify", "letters", folder=elsewhere, **catalog)
    assert verified.returncode == 0, verified.stderr
    assert "Matches:            1\n" in verified.stdout
    assert list(elsewhere.iterdir()) == []
    with instance_of(archive / ".dagster") as instance:
        assert len(instance.get_runs()) == 3
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        (limit,) = queue.tag_concurrency_limits
        assert (limit["key"], limit["limit"]) == ("dagster/partition", 1)


def test_a_users_module_with_a_name_of_ours_is_refused_by_name(programs: Path, archive: Path) -> None:
    theirs = archive / "jobs.py"
    theirs.write_text("print('a job of the user')\n")
    command = ("catalog", "check")
    beside = _run(programs / "fixity", *command, folder=archive)
    assert beside.returncode == 0, beside.stderr  # the command does not look in the working directory
    on_the_path = _run(programs / "fixity", *command, folder=archive, PYTHONPATH=str(archive))
    as_module = _run(programs / "python", "-m", "fixity_cli", *command, folder=archive)
    for refused in (on_the_path, as_module):
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith(f"{theirs}: ") and "Rename it" in refused.stderr
        assert "package 'jobs'" in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_dagster_names_the_users_module_when_it_loads_the_platform(programs: Path, archive: Path) -> None:
    (archive / "sensors").mkdir()
    (archive / "sensors/__init__.py").touch()
    words = ("-m", "dagster", "definitions", "validate", "-m", "fixity_assets.definitions")
    refused = _run(programs / "python", *words, folder=archive)
    assert refused.returncode != 0
    assert f"{archive}/sensors/__init__.py: this file has the same name as fixity's" in (
        refused.stdout + refused.stderr
    )
