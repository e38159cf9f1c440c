"""A key of the log in AWS KMS. Requests are built and answers read by botocore; KMS itself is a stand-in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as other_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from fixity.catalog import Store
from fixity.catalog.clients import kms_client
from fixity.lake import LocalLake
from fixity.log import kms
from fixity.log.errors import LogError
from fixity.log.keys import SigningKey, make_key
from fixity.log.kms import signer, verifier
from fixity.log.verify import verify
from fixity_cli.main import app
from tests.fixity.log.archive import files_of, new_archive

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
AWS = Store(name="aws")
_FORM = PublicFormat.SubjectPublicKeyInfo
_P256 = other_key(SECP256R1()).public_key().public_bytes(Encoding.DER, _FORM)


@dataclass
class _Body:
    content: bytes

    def stream(self) -> list[bytes]:
        return [self.content]


@dataclass
class Kms:
    """KMS as botocore sees it: it refuses what the real one refuses, and notes what was asked."""

    key: SigningKey
    asked: list[str] = field(default_factory=list)
    public: bytes = b""
    signs: Callable[[bytes], bytes] | None = None
    refuses: bool = False

    def answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        assert isinstance(request.body, bytes)
        said = json.loads(request.body)
        target: Any = request.headers["X-Amz-Target"]  # bytes, whatever the stubs say
        operation = target.decode().removeprefix("TrentService.")
        self.asked.append(f"{operation} {request.url}")
        if self.refuses:
            return self._say(400, {"__type": "AccessDeniedException", "message": "is not authorized"})
        assert said["KeyId"] == ARN
        if operation == "GetPublicKey":
            der = self.public or self.key.public.key.public_bytes(Encoding.DER, _FORM)
            return self._say(200, {"KeyId": ARN, "PublicKey": base64.b64encode(der).decode()})
        assert (said["MessageType"], said["SigningAlgorithm"]) == ("RAW", "ED25519_SHA_512")
        message = base64.b64decode(said["Message"])
        assert len(message) <= 4096
        signature = (self.signs or self.key.sign)(message)
        return self._say(200, {"KeyId": ARN, "Signature": base64.b64encode(signature).decode()})

    def _say(self, status: int, said: dict[str, str]) -> AWSResponse:
        return AWSResponse("", status, HTTPHeaders(), _Body(json.dumps(said).encode()))


@pytest.fixture
def in_kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kms:
    made = Kms(make_key(tmp_path / "in-kms.pem"))

    def client(*arguments: Any) -> Any:
        opened = kms_client(*arguments)
        opened.meta.events.register("before-send.kms", made.answer)
        return opened

    monkeypatch.setattr(kms, "kms_client", client)
    return made


def test_a_key_in_kms_signs_long_seals_and_anybody_with_the_public_half_verifies_them(
    in_kms: Kms, tmp_path: Path
) -> None:
    archive = new_archive(LocalLake(tmp_path / "lake"), tmp_path)
    sealer = replace(archive.sealer, key=signer(f"kms:{ARN}", AWS))
    sealer.begin()
    for day in range(1, 10):
        archive.run(f"run-{day}", files_of(day))
    sealed = sealer.seal()
    assert len(sealed.seal.text) > 4096  # more than KMS signs
    assert verify(archive.lake, in_kms.key.public).unbroken
    assert verifier(f"kms:{ARN}", AWS) == in_kms.key.public
    assert set(in_kms.asked) == {
        f"{each} https://kms.eu-central-1.amazonaws.com/" for each in ("GetPublicKey", "Sign")
    }


def test_the_command_begins_a_log_with_a_key_in_kms_and_goes_on_with_one_in_a_file(
    in_kms: Kms, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "fixity.yaml"
    text = f"lake: ./lake\nbuckets: {{a: {{path: a}}}}\nlog: {{key: 'kms:{ARN}'}}\n"
    file.write_text(text)

    def fixity(*words: str) -> Result:
        return CliRunner().invoke(app, ["log", *words, "--catalog", str(file)])

    begun = fixity("init")
    assert begun.exit_code == 0 and in_kms.key.public.fingerprint in begun.output
    assert not list(tmp_path.glob("*kms:*"))  # no file of that name was made
    assert fixity("verify").exit_code == 0
    new = tmp_path / "new.pem"
    rotated = fixity("rotate", str(new))
    assert rotated.exit_code == 0 and f"Now write `key: {new}`" in rotated.output
    file.write_text(text.replace(f"kms:{ARN}", str(new)))
    assert fixity("verify").exit_code == 0
    assert [each.split()[0] for each in in_kms.asked].count("Sign") == 2


def test_a_signature_that_is_not_of_the_key_is_not_put_into_the_lake(in_kms: Kms, tmp_path: Path) -> None:
    in_kms.signs = make_key(tmp_path / "other.pem").sign
    archive = new_archive(LocalLake(tmp_path / "lake"), tmp_path)
    with pytest.raises(LogError, match="a signature that is not of the key"):
        replace(archive.sealer, key=signer(f"kms:{ARN}", AWS)).begin()
    assert archive.lake.list("log/seals/") == []


@pytest.mark.parametrize("wrong", [b"no key", _P256], ids=["no key", "P-256"])
def test_a_key_of_another_kind_is_refused_with_what_it_must_be(in_kms: Kms, wrong: bytes) -> None:
    in_kms.public = wrong
    with pytest.raises(LogError, match="ECC_NIST_EDWARDS25519"):
        verifier(f"kms:{ARN}", AWS)


def test_a_key_that_may_not_be_used_is_told_with_the_rights_that_it_needs(in_kms: Kms) -> None:
    in_kms.refuses = True
    with pytest.raises(LogError, match=r"is not authorized.*kms:GetPublicKey and kms:Sign"):
        verifier(f"kms:{ARN}", AWS)
