"""Sends messages with apprise, and asks heartbeat URLs. Only here is a URL of a target known.

The URLs hold secrets: they are in no text and no log that leaves this module.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_TIMEOUT = 10.0  # seconds
_HEARING = threading.Lock()
"""One message at a time: apprise sends in other threads, and of two at once nobody knows whose line it is."""


def send(variable: str, title: str, body: str) -> str:
    """Send a message to the target whose URL is in an environment variable.

    Returns why it could not be sent, for people; '' if it was sent.
    """
    if not (url := os.environ.get(variable, "").strip()):
        return f"the environment variable {variable} is not set"
    import apprise

    heard = _Heard()
    logger = logging.getLogger("apprise")
    before = logger.propagate, logger.level
    logger.propagate = False  # its lines name hosts, users, and parts of URLs
    logger.setLevel(logging.WARNING)
    logger.addHandler(heard)
    try:
        service = apprise.Apprise()
        if not service.add(url):
            return f"the URL in {variable} is none that apprise knows (the value is not shown here)"
        with _HEARING:
            heard.why = ""
            if service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
                return ""
            return heard.why or "apprise could not send the message"
    except Exception as error:  # of any of its services; the text may hold the URL
        return f"apprise could not send the message: {type(error).__name__}"
    finally:
        logger.removeHandler(heard)
        logger.propagate, level = before
        logger.setLevel(level)


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
    """Takes from the lines of apprise what is safe to tell."""

    def __init__(self) -> None:
        super().__init__()
        self.why = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Note a status or a failed connection."""
        text = record.getMessage()
        if found := re.search(r"\berror=([0-9]{3})\b", text):
            self.why = f"the answer was {found[1]}"
        elif "onnection error" in text:
            self.why = "no connection"
