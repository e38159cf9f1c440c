"""Where a bucket is, if a store says that it is in another region or at another endpoint.

A redirect is followed to the same bucket in another region: of AWS, or signed for that region at the same
host. No other host is asked: a bucket is at one place, which the catalog names. Other errors do not belong
here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_STATUSES = (301, 302, 307, 308)
_MALFORMED = "AuthorizationHeaderMalformed"
_AWS_ENDS = (".amazonaws.com", ".amazonaws.com.cn")
_CODES = {"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
# A host, perhaps with its scheme and port; never the user, path or query of a URL.
_PLACE = re.compile(r"(https?://)?[A-Za-z0-9][A-Za-z0-9.-]{0,99}(:[0-9]{1,5})?(?![^/?#])")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}")
# AWS's host of S3, perhaps after a bucket's name, and perhaps with a region. VPC endpoints have others.
_OF_AWS = re.compile(r"((?:^|.+\.)s3)(?:[.-][a-z]{2}(?:-[a-z]+)+-[0-9])?(\.amazonaws\.com(?:\.cn)?)$")


def moved(
    status: int, headers: Mapping[str, str], told: Mapping[str, str], host: str, region: str
) -> tuple[str, str] | None:
    """The host and the region where a request may be sent once more; None if that is not safe.

    Arguments: as for `elsewhere`; `host`, which the request was sent to.
    """
    if not _is_redirect(status, told) and told.get("Code") != _MALFORMED:
        return None
    right, to = _region(headers, told), host
    if host.endswith(_AWS_ENDS):
        to = _OF_AWS.sub(rf"\g<1>.{right}\g<2>", host)
        if not _OF_AWS.fullmatch(to) or right.startswith("cn-") != to.endswith(".cn"):
            return None
    return (to, right) if right and (to, right) != (host, region) else None


def elsewhere(status: int, headers: Mapping[str, str], told: Mapping[str, str], region: str) -> str | None:
    """Where a bucket is, and what to do; None for any other error.

    Arguments: `headers` of the response, with lower-case names; `told`, the fields of its error; `region`,
    which the request was signed for.
    """
    code = told.get("Code")
    redirected = _is_redirect(status, told)
    if not redirected and code != _MALFORMED:
        return None
    right = _region(headers, told)
    if right and right != region:
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


def _is_redirect(status: int, told: Mapping[str, str]) -> bool:
    return status in _STATUSES or told.get("Code") in _CODES


def _region(headers: Mapping[str, str], told: Mapping[str, str]) -> str:
    """The region that an answer names; '' if it names none."""
    said = headers.get("x-amz-bucket-region") or told.get("Region", "")
    return said if _REGION.fullmatch(said) else ""
