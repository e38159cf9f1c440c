"""Time stamps of seals (RFC 3161): an authority outside signs that a seal was there at a time.

`log/stamps/<number>.tsr` is the authority's answer as it came, and `log/stamps/<digest>.pem` the certificates
that it is checked with. Both are sealed the next day. Copies of seals elsewhere do not belong here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fixity.clock import CLOCKS_DIFFER
from fixity.errors import FixityError
from fixity.humanize import printable
from fixity.lake import Lake
from fixity.log.chain import Problem
from fixity.log.manifest import Seal, seal_file
from fixity.log.records import STAMPS, sha256_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_TIMEOUT = 20.0  # seconds
_LATE = timedelta(days=7)  # a stamp is made each day, unless the authority is down
_LARGEST = 100_000  # bytes of an answer; usual ones have some thousand


class NotStamped(FixityError):
    """An authority gave no time stamp that can be believed. The text says why, and what to do."""

    final = False


@dataclass(frozen=True)
class Stamp:
    """A time stamp that was checked: of which seal, and when the authority made it (UTC).

    is_trusted: whether a root certificate proves it that the reader has from outside of the lake.
    """

    number: int
    at: datetime
    is_trusted: bool


def stamp(
    lake: Lake, number: int, seal: bytes, authority: tuple[str, list[Certificate]], now: datetime
) -> Stamp:
    """Have an authority stamp a seal, and keep its answer.

    Arguments: `authority`, its URL and its certificates; `now` in UTC. Raises NotStamped, LakeError.
    """
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    url, certificates = authority
    asked = TimestampRequestBuilder().data(seal).hash_algorithm(HashAlgorithm.SHA256)
    request = asked.nonce(nonce=True).cert_request(cert_request=True).build()
    answer = _ask(url, request.as_bytes())
    try:
        at = _verified(answer, seal, certificates, request.nonce)
    except _Refuted as error:
        raise NotStamped(f"the answer of {url} is not used: {error}") from error
    if abs(at - now) > CLOCKS_DIFFER:
        raise NotStamped(
            f"the answer of {url} is not used: it says that it is {_time(at)}, and this machine says "
            f"{_time(now)}: see which clock is wrong"
        )
    text = "".join(map(_pem, certificates))
    lake.put_text(f"{STAMPS}{sha256_of(text.encode())[:16]}.pem", text)
    with lake.workspace() as workspace:
        (local := workspace / "answer").write_bytes(answer)
        try:
            lake.put(stamp_file(number), local)
        except FileExistsError as error:
            raise NotStamped(f"there is another time stamp of seal {number} already") from error
    return Stamp(number, at, is_trusted=True)


def check_stamps(
    lake: Lake, seals: Mapping[int, Seal], trusted: list[Certificate]
) -> Iterator[Stamp | Problem]:
    """Check all stamps that are kept, the newest first. No network is needed.

    Arguments: `seals`, the genuine ones by number; `trusted`, the certificates that the reader has from
    outside of the lake. Yields each stamp, or what is wrong with it. Raises LakeError.
    """
    names = [file.name for file in lake.list(STAMPS)]
    kept = list(_kept_certificates(lake, (name for name in names if name.endswith(".pem"))))
    for name in reversed(names):
        if not (found := _STAMP.search(name)):
            continue
        number = int(found[1])
        if number not in seals:
            if number > max(seals, default=0) and not _is_there(lake, seal_file(number)):
                text = f"there is a time stamp of seal {number}, and no such seal"
                yield Problem(seal_file(number), "deleted", text)
            continue  # else the chain says what is wrong with the seal
        answer = lake.read_bytes(name)
        for certificates in (trusted, kept):
            try:
                at = _verified(answer, seals[number].text, certificates)
            except _Refuted as error:
                why = str(error)
            else:
                yield Stamp(number, at, is_trusted=certificates is trusted)
                break
        else:
            yield Problem(name, "edited", f"it does not prove seal {number}: {why}")


def wrong_times(seals: Mapping[int, Seal], stamps: Iterable[Stamp]) -> Iterator[str]:
    """Seals that say a time that they cannot have been made at, because of the stamps before and after them.

    Yields a text for people for each: a clock was wrong, or a seal was to look older or newer than it is.
    """
    times = {each.number: each.at for each in stamps}
    said = {number: datetime.fromisoformat(seals[number].at) for number in sorted(seals)}
    before: datetime | None = None
    for number, at in said.items():
        if before is not None and at < before - CLOCKS_DIFFER:
            yield f"seal {number} says {_time(at)}, but was made after a time stamp of {_time(before)}"
        before = max(filter(None, (before, times.get(number))), default=None)
    after: datetime | None = None
    for number, at in reversed(said.items()):
        after = min(filter(None, (after, times.get(number))), default=None)
        if after is not None and at > after + CLOCKS_DIFFER:
            yield f"seal {number} says {_time(at)}, but a time stamp of {_time(after)} proves it"


def late_stamps(seals: Mapping[int, Seal], stamps: Iterable[Stamp]) -> Iterator[str]:
    """Seals that were stamped long after the time that they say, so that they may have been made later.

    Yields a text for people for all those that one stamp proves first.
    """
    numbers = sorted(seals)
    begin = 0
    for each in sorted(stamps, key=lambda each: each.number):
        end = bisect_right(numbers, each.number)
        said = {number: datetime.fromisoformat(seals[number].at) for number in numbers[begin:end]}
        late = [number for number, at in said.items() if at < each.at - _LATE]
        begin = end
        if late:
            first, last = late[0], late[-1]
            yield (
                f"seals {first} to {last} say {_time(said[first])} to {_time(said[last])}, but the first "
                f"time stamp that proves them is of {_time(each.at)}: nothing proves them before"
            )


def stamp_file(number: int) -> str:
    """The name of the time stamp of a seal in the lake."""
    return f"{STAMPS}{number:08}.tsr"


def certificates_of(file: Path) -> list[Certificate]:
    """The certificates that the catalog names as `log.tsa_root`. Raises NotStamped."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no certificates (PEM)"
        raise NotStamped(f"{file}, the catalog's `log.tsa_root`, cannot be used: {why}") from error


_STAMP = re.compile(r"/([0-9]{8})\.tsr$")


def _is_there(lake: Lake, name: str) -> bool:
    """Whether a seal is there now: another sealer may have put it, and stamped it, since all were read."""
    try:
        return bool(lake.sha256(name))
    except FileNotFoundError:
        return False


class _Refuted(ValueError):
    """An answer of an authority does not prove what it should. The text says why."""


def _verified(
    answer: bytes, seal: bytes, certificates: list[Certificate], nonce: int | None = None
) -> datetime:
    """When an authority stamped a seal (UTC). Its certificate must have been valid then. Raises _Refuted."""
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    roots = [each for each in certificates if each.issuer == each.subject]
    if not roots:
        raise _Refuted("there is no root certificate (one that signs itself) to check it with")
    others = [each for each in certificates if each not in roots]
    try:
        decoded = decode_timestamp_response(answer)
        if decoded.status not in (0, 1):
            raise _Refuted(f"the authority refuses: {printable('; '.join(decoded.status_string), 200)}")
        VerifierBuilder(roots=roots, intermediates=others, nonce=nonce).build().verify_message(decoded, seal)
        return decoded.tst_info.gen_time
    except (ValueError, VerificationError) as error:
        found = re.search(r'Verify error: ([^"\n]+)', str(error))
        raise _Refuted(printable(found[1] if found else error, 200)) from error


def _ask(url: str, query: bytes) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "User-Agent": "fixity"}
    try:
        with urlopen(Request(url, data=query, headers=headers), timeout=_TIMEOUT) as answer:
            body: bytes = answer.read(_LARGEST + 1)
    except HTTPError as error:
        error.close()
        raise NotStamped(f"the authority {url} answered {error.code}: its stamp is missing") from error
    except (OSError, ValueError, HTTPException) as error:
        raise NotStamped(f"the authority {url} did not answer ({type(error).__name__})") from error
    if len(body) > _LARGEST:
        raise NotStamped(f"the authority {url} sent more than {_LARGEST:,} bytes, which is no time stamp")
    return body


def _kept_certificates(lake: Lake, names: Iterable[str]) -> Iterator[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    for name in names:
        try:
            yield from load_pem_x509_certificates(lake.read_bytes(name))
        except ValueError:
            continue  # it has changed, which the log itself tells; without it, stamps are refuted


def _pem(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
