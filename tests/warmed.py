"""What a process that commands are forked from has done before: its imports, and a first short run.

Half of the time of a short command is what each process does once: to read the scripts of Dagster's
migrations, to work out the schema of its settings, to import what is imported late. Only `tests.command` has
this loaded, in a process of its own.
"""

from __future__ import annotations

import gc
import os
import threading
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

import fixity_assets
import fixity_cli
from tests import migrations

for package in (fixity_cli, fixity_assets):
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
for late in ("sensors", "pyarrow.dataset", "fixity.rolling.roll"):
    import_module(late)

kept = migrations.loaded_once()
kept.__enter__()
with TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "bucket").mkdir()
    (folder / "fixity.yaml").write_text("lake: ./lake\nbuckets: {bucket: {path: bucket}}\n")
    first = CliRunner().invoke(
        import_module("fixity_cli.main").app,
        ["inventory", "bucket", "--catalog", str(folder / "fixity.yaml")],
        catch_exceptions=False,
    )
assert first.exit_code == 0, first.output
assert threading.active_count() == 1  # no other survives a fork
del os.environ["DAGSTER_HOME"]  # the command has set it
gc.collect()
gc.freeze()  # a collection in the command would write to each page that it goes through
