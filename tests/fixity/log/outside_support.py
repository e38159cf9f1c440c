"""A chain of seals in a lake, and a catalog with a witness and an authority, for the tests of both."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fixity.catalog import Catalog, load_catalog
from fixity.lake import Lake
from fixity.log.keys import SigningKey
from fixity.log.manifest import Seal, read_seal, seal_file, seal_text

KEY = SigningKey(Ed25519PrivateKey.generate())
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def chain(count: int, at: datetime = NOW, entry: str = "a", begin: Iterable[Seal] = ()) -> dict[int, Seal]:
    """Seals up to a number, signed with KEY. Arguments: `begin`, those that they follow; `entry`, a file."""
    seals = {seal.number: seal for seal in begin}
    for number in range(len(seals) + 1, count + 1):
        before = seals[number - 1].sha256 if seals else None
        text = seal_text(number, at.isoformat(), KEY, before, {f"{entry}/{number}": "0" * 64})
        seals[number] = read_seal(text)
    return seals


def put(lake: Lake, seals: dict[int, Seal]) -> None:
    """Make these the seals of a lake."""
    for file in lake.list("log/seals/"):
        lake.discard(file.name)
    for number, seal in seals.items():
        assert lake.put_if(seal_file(number), seal.text.decode(), None)


def catalog(folder: Path, log: str, endpoint_url: str = "http://127.0.0.1:9") -> Catalog:
    """A catalog with these keys of `log`."""
    (folder / "fixity.yaml").write_text(
        f"lake: ./lake\nbuckets: {{a: {{path: a}}}}\nlog: {{key: key.pem{log}}}\n"
        f"stores: {{far: {{endpoint_url: '{endpoint_url}', region: us-east-1}}}}\n"
    )
    return load_catalog(folder / "fixity.yaml")
