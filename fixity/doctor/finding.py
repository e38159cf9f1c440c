"""What one look at a part of a deployment found; and what a refused request says is missing.

Asking the parts does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from fixity.clock import CLOCKS_AGREE
from fixity.humanize import error_text, seconds_text

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

OK, WARNING, WRONG = "ok", "warning", "wrong"
"""The states of a finding. A warning is something that could not be tried, or that only some need."""


_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")  # as AWS words it
_KEYS = {
    "InvalidAccessKeyId": "the store does not know the access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is wrong",
    "UnrecognizedClientException": "the credentials are not accepted",
}
_RENEW = "give the store's profile, or the AWS credential chain, credentials that are valid"


@dataclass(frozen=True)
class Finding:
    """What was found: about which part (`bucket letters`), the state, the fact, and what to do ('' if ok)."""

    about: str
    state: str
    text: str
    to_do: str = ""


def finding_of_refusal(about: str, error: ClientError | BotoCoreError, action: str, resource: str) -> Finding:
    """What an error of a request says.

    Arguments: `action` of IAM that the request needs, and `resource`, on what.
    """
    response: Mapping[str, Mapping[str, object]] | None = getattr(error, "response", None)
    if response is None or "Error" not in response:
        return Finding(
            about,
            WRONG,
            f"the endpoint cannot be used: {error_text(str(error))}",
            "see the store's `endpoint_url`, `region`, `profile` and `ca_bundle` in the catalog, and whether "
            "this machine reaches it: curl --head ENDPOINT",
        )
    code, message = str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _KEYS:
        return Finding(about, WRONG, f"{_KEYS[code]} ({code})", _RENEW)
    if code in ("NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue"):
        return Finding(about, WRONG, f"there is no {resource}", "correct its name in the catalog, or make it")
    if code == "RequestTimeTooSkewed":
        return Finding(about, WRONG, "the store refuses this machine's time", "set the clock: start chrony")
    if status in (401, 403):
        named = _ACTION.search(message)
        action = named[1] if named else action  # such as kms:Decrypt
        told = error_text(message) or code or "no reason given"
        return Finding(about, WRONG, f"{action} is refused: {told}", f"allow {action} on {resource}")
    told = error_text(message) or "no message"
    return Finding(
        about,
        WRONG,
        f"a request that needs {action} failed: {code} (HTTP {status}): {told}",
        "see what the store says about it, then ask again",
    )


def clock_finding(about: str, ours: datetime, theirs: datetime) -> Finding:
    """Whether this machine's clock agrees with another one. Arguments: both times (UTC) of one moment."""
    ahead = (ours - theirs).total_seconds()
    if abs(ahead) <= CLOCKS_AGREE.total_seconds():
        return Finding(about, OK, "agrees with this machine's clock")
    differs = f"this machine's clock is {seconds_text(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} it"
    return Finding(about, WRONG, differs, "set the clock: evidence and leases rest on it (start chrony)")
