"""The one place where an error becomes words on stderr and an exit status.

A verb catches only errors after which it goes on.
"""

from __future__ import annotations

import os
from typing import Any

from typer.core import TyperGroup

from fixity.errors import WrongUsage, plain_words
from fixity_cli.shared import Exit, end


class Verbs(TyperGroup):
    """The verbs, each of which may raise any `FixityError`."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps the type of a context to itself
        """Run a verb. Ends the command at an error that can happen in use; raises every other."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever reads our output has enough: typer knows what to do
            raise
        except Exception as error:
            text = plain_words(error)
            if text is None and type(error).__module__.startswith("sqlalchemy."):
                home = os.environ.get("DAGSTER_HOME")
                text = f"Dagster cannot keep its runs in {home}: {getattr(error, 'orig', error)}"
            if text is None:
                raise
            end(Exit.WRONG_USE if isinstance(error, WrongUsage) else Exit.NOT_DONE, text)
