"""A time stamping authority (RFC 3161) on loopback: `openssl ts` behind an HTTP server. It can lie.

Each server makes its own root certificate. What is done with its answers does not belong here.
"""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devstack.loopback import HangUp, LoopbackServer, S3Handler, S3Request

Lie = Literal["nonce", "data", "expired", "stranger", "refuses", "page", "busy", "down"]
"""What it does wrong: it answers another request (another nonce), or stamps other data; its certificate has
expired, or is of a stranger; it refuses; it sends a page, a status 503, or nothing."""
_DAY = timedelta(days=1)
_CONFIG = """
[tsa]
serial = {0}/serial
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256
signer_digest = sha256
accuracy = secs:1
"""


class TimeStampAuthority(LoopbackServer):
    """An authority for the length of a `with` block.

    root: the file with its root certificate (PEM). lie: what it does wrong; None for nothing. asked:
    how often it was asked.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(_Handler)
        self.lie: Lie | None = None
        self.asked = 0
        self._directory = directory
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tsa.cnf").write_text(_CONFIG.format(directory))
        self.root = self._make_root("root")
        self._make_signer("good", "root", until=datetime.now(UTC) + 30 * _DAY)
        self._make_signer("expired", "root", until=datetime.now(UTC) - _DAY)
        self._make_root("stranger-root")
        self._make_signer("stranger", "stranger-root", until=datetime.now(UTC) + 30 * _DAY)

    def answer(self, query: bytes) -> bytes:
        """The answer to a request, or a lie."""
        self.asked += 1
        digest = query[query.index(b"\x04\x20") + 2 :][:32]
        if self.lie == "nonce":
            query = self._query(digest)
        elif self.lie == "data":
            query = self._query(bytes(32))
        elif self.lie == "refuses":
            query = query.replace(b"\x02\x01\x01", b"\x02\x01\x07", 1)  # a version that there is not
        signer = self.lie if self.lie in ("expired", "stranger") else "good"
        with tempfile.TemporaryDirectory(dir=self._directory) as folder:
            (file := Path(folder, "query")).write_bytes(query)
            return self._openssl(
                *("-reply", "-queryfile", str(file), "-config", str(self._directory / "tsa.cnf")),
                *("-section", "tsa", "-signer", self._pem(signer), "-inkey", self._pem(f"{signer}-key")),
            )

    def _query(self, digest: bytes) -> bytes:
        return self._openssl("-query", "-digest", digest.hex(), "-sha256", "-cert")

    def _openssl(self, *words: str) -> bytes:
        return subprocess.run(["openssl", "ts", *words], check=True, capture_output=True).stdout

    def _make_root(self, name: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"loopback {name}")])
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - 3650 * _DAY).not_valid_after(now + 3650 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return self._keep(name, key, builder.sign(key, hashes.SHA256()))

    def _make_signer(self, name: str, root: str, until: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(Path(self._pem(root)).read_bytes())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"loopback authority, {name}")])
        builder = x509.CertificateBuilder(
            issuer.subject, subject, key.public_key(), x509.random_serial_number()
        )
        builder = builder.not_valid_before(until - 365 * _DAY).not_valid_after(until)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
        self._keep(name, key, builder.sign(self._keys[root], hashes.SHA256()))

    def _keep(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
        self._keys[name] = key
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        Path(self._pem(f"{name}-key")).write_bytes(private)
        file = Path(self._pem(name))
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return file

    def _pem(self, name: str) -> str:
        return str(self._directory / f"{name}.pem")


class _Handler(S3Handler):
    server: TimeStampAuthority

    def handle_request(self, request: S3Request, body: bytes) -> None:
        match self.server.lie:
            case "down":
                raise HangUp
            case "busy":
                self.send_whole(503, [], b"busy")
            case "page":
                self.send_whole(200, [("Content-Type", "text/html")], b"<html>Welcome</html>")
            case _:
                answer = self.server.answer(body)
                self.send_whole(200, [("Content-Type", "application/timestamp-reply")], answer)
