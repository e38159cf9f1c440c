"""Texts from outside: short, on one line, and without credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.humanize import error_text

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261128/us-east-1/s3/aws4_request, "
    "SignedHeaders=host;x-amz-date, "
    "Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
)


@pytest.mark.parametrize(
    "text",
    [
        "The AWS Access Key Id you provided does not exist in our records.",
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
        "The request signature we calculated does not match the signature you provided. Check your key.",
        "The provided token has expired.",
        "Access Denied",
    ],
)
def test_what_a_store_says_of_credentials_stays(text: str) -> None:
    assert error_text(text) == text


@pytest.mark.parametrize(
    "echo",
    [
        f"Authorization: {SIGNED}",
        f'{{"authorization": "{SIGNED}"}}',
        f"<pre>authorization&#58; {SIGNED}",
        SIGNED.removeprefix("AWS4-HMAC-SHA256 "),
        SIGNED[17:].replace("=", "%3D"),
        SIGNED[-64:],
        "AKIAIOSFODNN7EXAMPLE",
        "X-Amz-Security-Token: IQoJb3JpZ2luX2VjE",
        "IQoJb3JpZ2luX2VjE" * 8,
        "Bearer abcdefgh",
        "<AWSAccessKeyId>minio-admin</AWSAccessKeyId>",
        "my-own-key",
    ],
)
def test_a_credential_that_is_sent_back_is_left_out_with_all_that_follows(echo: str) -> None:
    told = error_text(f"Refused. {echo} Goodbye", secrets=["my-own-key-of-22-letters", "my-own-key"])
    assert told.startswith("Refused. ")
    for piece in ("AKIAIOSF", "fe5f80f7", "IQoJ", "abcdefgh", "minio-admin", "my-own", "Goodbye"):
        assert piece not in told


@given(st.text(), st.sampled_from(["", "secret-value"]))
def test_any_text_becomes_one_short_line_that_can_be_printed(text: str, secret: str) -> None:
    told = error_text(text + secret, [secret])
    assert told.isprintable() and "secret-value" not in told
    assert len(told) <= 301 * len("\\U00010000")


def test_a_text_of_megabytes_is_cut() -> None:
    assert error_text("x " * 2_000_000) == "x " * 150 + "…"
