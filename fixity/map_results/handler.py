"""The Lambda by the name under which it is deployed; it lives in `fixity.engines.step_functions.handler`."""

from fixity.engines.step_functions.handler import handler

__all__ = ["handler"]
