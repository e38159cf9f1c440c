"""Credentials are refused in the catalog, and shown nowhere."""

from __future__ import annotations

import traceback

import pytest

from fixity.catalog import CatalogError
from tests.fixity.catalog.conftest import Load, with_bucket, with_store

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "text",
    [
        *(
            with_store(f"{key}: {SECRET}")
            for key in (
                "aws_secret_access_key",
                "access_key",
                "aws_access_key_id",
                "secret",
                "Password",
                "token",
                "session-token",
                "credentials",
            )
        ),
        with_store(f"secret: {{key: {SECRET}}}"),
        with_store(f"endpoint_url: 'https://ann:{SECRET}@far'"),
        with_store(f"endpoint_url: 'ann:{SECRET}@far/x?y'"),
        with_store(f"endpoint_url: 'https://{SECRET}/x@far'"),
        with_bucket(f"password: {SECRET}"),
        f"lake: s3://ann:{SECRET}@bucket/prefix\nbuckets: {{a: }}",
        f"lake: l\nbuckets: {{a: }}\ntoken: {SECRET}",
    ],
)
def test_a_secret_in_the_catalog_is_refused_and_never_shown(load: Load, text: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load(text)
    assert "credentials do not belong in the catalog" in str(caught.value)
    assert "AWS credential chain" in str(caught.value)
    whole = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in whole


@pytest.mark.parametrize(
    "text",
    [
        f"lake: l\nbuckets: {{a: }}\nstores: {{aws_secret_access_key: {SECRET}}}",
        f"lake: l\nbuckets: {{a: }}\nstores: {{far: [{SECRET}]}}",
        f"lake: http://ann:{SECRET}@far\nbuckets: {{a: {{path: 'http://ann:{SECRET}@far'}}}}",
        with_store(f"endpoint_url: 'https://far/x?X-Amz-Signature={SECRET}'"),
        with_store(f"profile: {{aws_secret_access_key: {SECRET}}}"),
        with_store(f"profil: {SECRET}"),
        with_store(f"secret: *{SECRET}"),
        with_store(f"secret: !{SECRET} x"),
        with_store(f"secret: {SECRET}: x"),
        with_store(f'secret: "{SECRET}'),
    ],
)
def test_a_secret_in_a_wrong_place_is_not_shown_either(load: Load, text: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load(text)
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


def test_a_bucket_may_be_named_after_secrets(load: Load) -> None:
    assert list(load("lake: l\nbuckets: {secret-archive: , tokens: }").buckets) == [
        "secret-archive",
        "tokens",
    ]
