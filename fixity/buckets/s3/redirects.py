"""What to set in the catalog if a store says that a bucket is in another region or at another endpoint.

Redirects are never followed: a bucket is at one place, which the catalog names. Other errors do not belong
here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_STATUSES = (301, 302, 307, 308)
_CODES = {"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
# A host, perhaps with its scheme and port; never the user, path or query of a URL.
_PLACE = re.compile(r"(https?://)?[A-Za-z0-9][A-Za-z0-9.-]{0,99}(:[0-9]{1,5})?(?![^/?#])")


def elsewhere(status: int, headers: Mapping[str, str], told: Mapping[str, str], region: str) -> str | None:
    """Where a bucket is, and what to do; None for any other error.

    Arguments: `headers` of the response, with lower-case names; `told`, the fields of its error; `region`,
    which the request was signed for.
    """
    code = told.get("Code")
    redirected = status in _STATUSES or code in _CODES
    if not redirected and code != "AuthorizationHeaderMalformed":
        return None
    right = headers.get("x-amz-bucket-region") or told.get("Region", "")
    if _PLACE.fullmatch(right) and right != region:
        return (
            f"the bucket is in the region {right}, but requests are signed for {region}: set "
            f"`region: {right}` for its store in the catalog; an `endpoint_url` of the store must be that "
            "region's too"
        )
    if not redirected:
        return None
    found = _PLACE.match(told.get("Endpoint") or headers.get("location", ""))
    return (
        f"the store sends requests on to {found[0] if found else 'another place, but does not say which'}: "
        "set `endpoint_url` of its store in the catalog to the endpoint there, without the bucket's name"
    )
