from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_POOL = "ARROW_DEFAULT_MEMORY_POOL"
_PROGRAM = """
import gc, json, sys
from fixity.start import started_quickly

def collections():
    return sum(each["collections"] for each in gc.get_stats())

usual, before = gc.get_threshold(), collections()
with started_quickly():
    import fixity.catalog
    while_imported = collections() - before
print(json.dumps({
    "while imported": while_imported,
    "looked through": len(gc.get_objects()),
    "kept": gc.get_freeze_count(),
    "as usual": gc.get_threshold() == usual,
    "plugins": sys.modules["pydantic.plugin._loader"]._plugins,
}))
"""


@pytest.fixture(scope="module")
def started() -> dict[str, int | None]:
    """What a process of its own says that has started quickly."""
    said = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    found: dict[str, int | None] = json.loads(said.stdout)
    return found


def test_nobody_looks_for_garbage_while_modules_are_imported(started: dict[str, int | None]) -> None:
    assert started["while imported"] == 0


def test_what_was_imported_is_not_looked_through_later(started: dict[str, int | None]) -> None:
    kept, looked_through = started["kept"], started["looked through"]
    assert kept is not None and looked_through is not None
    assert looked_through < 1_000 < kept


def test_garbage_is_collected_as_usual_afterwards(started: dict[str, int | None]) -> None:
    assert started["as usual"]


def test_pydantic_looks_for_plugins_in_no_package(started: dict[str, int | None]) -> None:
    assert started["plugins"] is None


def test_a_bucket_is_listed_and_read_without_the_modules_that_only_reports_need(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "one").write_bytes(b"1")
    catalog = tmp_path / "fixity.yaml"
    catalog.write_text(f"lake: {tmp_path / 'lake'}\nbuckets:\n  local: {{path: {tmp_path / 'objects'}}}\n")
    program = (
        "import sys; from pathlib import Path; from bench.ours import hash_bucket; "
        f"assert hash_bucket(Path({str(catalog)!r}), 'local').succeeded == 1; "
        "print({'duckdb', 'pyarrow.dataset', 'fixity.ledger.fold'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


@pytest.mark.parametrize("asked", [None, "mimalloc"])
def test_arrow_takes_its_memory_from_jemalloc_unless_the_user_asks_for_another_pool(
    asked: str | None,
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != _POOL}
    if asked:
        environment[_POOL] = asked
    program = "import fixity.buckets, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == (asked or "jemalloc")


_ARENAS = """
import ctypes, fixity
from threading import Barrier, Thread

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
there = Barrier(8)

def take():
    there.wait()
    assert libc.malloc(5000)
    there.wait()

threads = [Thread(target=take) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="only glibc has arenas")
@pytest.mark.parametrize(("asked", "arenas"), [(None, 2), ("3", 3)])
def test_threads_share_two_arenas_unless_the_user_asks_for_another_number(
    asked: str | None, arenas: int
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    if asked:
        environment["MALLOC_ARENA_MAX"] = asked
    said = subprocess.run(
        [sys.executable, "-c", _ARENAS], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.count("<heap nr=") == arenas
