"""The key that a catalog names, wherever it is; and one that stays in AWS KMS, where nobody can read it.

Reading keys from files and from the environment does not belong here; that is in `keys`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from fixity.catalog import Store
from fixity.catalog.clients import kms_client
from fixity.catalog.log import FROM_ENVIRONMENT, FROM_KMS
from fixity.humanize import error_text
from fixity.log.errors import LogError
from fixity.log.keys import PublicKey, Signer, public_key, signing_key

_REMEDY = (
    "it must be of the spec ECC_NIST_EDWARDS25519, to sign and verify; allow kms:GetPublicKey and kms:Sign"
)


def is_file(where: str) -> bool:
    """Whether a key is in a file."""
    return not where.startswith((FROM_ENVIRONMENT, FROM_KMS))


def signer(where: str, aws: Store) -> Signer:
    """The key that signs. Arguments: `where`, as in the catalog; `aws`, for KMS. Raises WrongUsage."""
    return KmsKey(where.removeprefix(FROM_KMS), aws) if where.startswith(FROM_KMS) else signing_key(where)


def verifier(where: str, aws: Store) -> PublicKey:
    """The key that verifies. Arguments: as of `signer`. Raises WrongUsage, LogError."""
    return signer(where, aws).public if where.startswith(FROM_KMS) else public_key(where)


@dataclass(frozen=True)
class KmsKey:
    """A `Signer` whose private key is in AWS KMS. Arguments: `name`, its id, ARN or alias; `store`, whose
    credentials and region are used."""

    name: str
    store: Store

    @cached_property
    def public(self) -> PublicKey:
        """Its public half, asked once. Raises LogError."""
        der = self._ask("get_public_key")["PublicKey"]
        try:
            key = load_der_public_key(der)
        except ValueError as error:
            raise LogError(f"AWS KMS answered with no public key for {self.name}: {_REMEDY}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise LogError(f"the key {self.name} in AWS KMS is not of Ed25519: {_REMEDY}")
        return PublicKey(key)

    def sign(self, text: bytes) -> bytes:
        """The signature of a text of at most 4,096 bytes. Raises LogError."""
        said = self._ask("sign", Message=text, MessageType="RAW", SigningAlgorithm="ED25519_SHA_512")
        signature: bytes = said["Signature"]
        if not self.public.verifies(signature, text):
            raise LogError(f"AWS KMS gave a signature that is not of the key {self.name}: nothing was sealed")
        return signature

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - its stubs are not installed
        return kms_client(self.store, self.name)

    def _ask(self, operation: str, **said: object) -> Any:  # noqa: ANN401 - as of the client
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(KeyId=self.name, **said)
        except (BotoCoreError, ClientError) as error:
            text = f"AWS KMS does not give the key {self.name}: {error_text(str(error))}; {_REMEDY}"
            raise LogError(text) from error
