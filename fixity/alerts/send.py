"""Sends messages with apprise, and asks heartbeat URLs. Only here is a URL of a target known.

The URLs hold secrets: they are in no text and no log that leaves this module.
"""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_TIMEOUT = 10.0  # seconds
_HEARING: ContextVar[_Heard] = ContextVar("_HEARING")
"""Who hears of the message that is being sent: apprise sends in other threads, with the sender's context."""


def send(variable: str, title: str, body: str) -> str:
    """Send a message to the target whose URL is in an environment variable.

    Returns why it could not be sent, for people; '' if it was sent.
    """
    if not (url := os.environ.get(variable, "").strip()):
        return f"the environment variable {variable} is not set"
    import apprise

    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.propagate = False  # its lines name hosts, users, and parts of URLs
    logger.setLevel(logging.WARNING)
    logger.addHandler(heard)
    listening = _HEARING.set(heard)
    try:
        service = apprise.Apprise()
        if not service.add(url):
            return f"the URL in {variable} is none that apprise knows (the value is not shown here)"
        if service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
            return ""
        return heard.why or "apprise could not send the message"
    except Exception as error:  # of any of its services; the text may hold the URL
        return f"apprise could not send the message: {type(error).__name__}"
    finally:
        _HEARING.reset(listening)
        logger.removeHandler(heard)  # the rest stays so: another thread may be sending


def ask(variable: str) -> str:
    """Ask the heartbeat URL that is in an environment variable. Returns why not, for people; '' if it was."""
    if not (url := os.environ.get(variable, "").strip()):
        return f"the environment variable {variable} is not set"
    if not url.startswith(("http://", "https://")):
        return f"the URL in {variable} begins neither with http:// nor with https://"
    try:
        with urlopen(Request(url, headers={"User-Agent": "fixity"}), timeout=_TIMEOUT):
            return ""
    except HTTPError as error:
        error.close()
        return f"the answer was {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        return f"no answer ({type(error).__name__})"


class _Heard(logging.Handler):
    """Takes from the lines of apprise what is safe to tell of its own message: others are sent meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.why = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Note a status or a failed connection."""
        if _HEARING.get(None) is not self:
            return
        text = record.getMessage()
        if found := re.search(r"\berror=([0-9]{3})\b", text):
            self.why = f"the answer was {found[1]}"
        elif "onnection error" in text:
            self.why = "no connection"
