"""The key `log`: its defaults, and what is refused, without showing a private key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fixity.catalog.conftest import Load, Problems, with_bucket


def with_log(keys: str) -> str:
    return with_bucket("") + f"log: {{{keys}}}\n"


def test_there_is_no_log_unless_the_catalog_names_a_key(load: Load, problems: Problems) -> None:
    assert load(with_bucket("")).log is None
    (found,) = problems(with_bucket("") + "log: {witness: ./w}\n")
    assert "log.key: is missing: the private key that signs the seals" in found


def test_paths_begin_at_the_catalog_and_a_variable_stays_a_variable(load: Load, folder: Path) -> None:
    tsa = "tsa: 'https://tsa.example/tsr', tsa_root: tsa.pem"
    log = load(with_log(f"key: keys/log.pem, {tsa}, witness: ../witness")).log
    assert log and (log.key, log.witness) == (str(folder / "keys/log.pem"), str(folder / "../witness"))
    assert (log.tsa, log.tsa_root) == ("https://tsa.example/tsr", folder / "tsa.pem")
    assert log.witness_lock == timedelta(days=3650)
    for key in ("1234abcd-12ab", "alias/log", "arn:aws:kms:us-east-1:111122223333:alias/of/log"):
        in_kms = load(with_log(f"key: 'kms:{key}'")).log
        assert in_kms and in_kms.key == f"kms:{key}"
    named = load(with_log("key: env:LOG_KEY, witness: s3://w/p/, witness_store: far, witness_lock: 90d")).log
    assert named and (named.key, named.witness) == ("env:LOG_KEY", "s3://w/p")
    assert (named.witness_store, named.witness_lock) == ("far", timedelta(days=90))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("key: 'env:'", "write it like env:FIXITY_LOG_KEY"),
        ("key: 'env:A B'", "write it like env:FIXITY_LOG_KEY"),
        ("key: 'kms:'", "names no key in AWS KMS"),
        ("key: 'kms:arn:aws:s3:::bucket'", "names no key in AWS KMS"),
        ("key: 's3://a/b'", "is not a local path"),
        ("key: ./lake/log.pem", "is within the lake"),
        ("key: k, tsa: 'https://tsa.example'", "`tsa` needs `tsa_root`"),
        ("key: k, tsa_root: root.pem", "`tsa_root` does nothing without `tsa`"),
        ("key: k, tsa: tsa.example, tsa_root: r", "write it like https://host/path"),
        ("key: k, tsa: 'ftp://tsa.example', tsa_root: r", "write it like https://host/path"),
        ("key: k, tsa: 'https://tsa.example/a b', tsa_root: r", "write it like https://host/path"),
        ("key: k, tsa: 'https://[', tsa_root: r", "write it like https://host/path"),
        ("key: k, witness: 'ftp://a'", "cannot hold the witness"),
        ("key: k, witness: 's3:///a'", "write s3://bucket/prefix"),
        ("key: k, witness: /", "such as ./witness"),
        ("key: k, witness: ./lake/witness", "is within the lake"),
        ("key: k, witness: 's3://a/log'", "is within the bucket a (s3://a/)"),
        ("key: k, witness: 's3://w', witness_store: fra", "is not a store of this catalog"),
        ("key: k, witness: ./w, witness_store: far", "`witness_store` is only for a `witness` on S3"),
        ("key: k, witness_lock: 90d", "`witness_lock` is only for a `witness` on S3"),
        ("key: k, witness: 's3://w', witness_lock: 0s", "0s is too short"),
        ("key: k, withness: ./w", "did you mean witness?"),
    ],
)
def test_what_cannot_be_meant_is_refused(problems: Problems, keys: str, why: str) -> None:
    (found,) = problems(with_log(keys))
    assert found.startswith("fixity.yaml: log") and why in found


@pytest.mark.parametrize("secret", ["-----BEGIN PRIVATE KEY-----MC4CAQ", "a\\nMC4CAQ"])
def test_a_private_key_in_the_file_is_refused_and_not_shown(problems: Problems, secret: str) -> None:
    (found,) = problems(with_log(f'key: "{secret}"'))
    assert "a private key does not belong in the catalog" in found and "MC4" not in found


def test_a_user_in_a_url_is_refused_and_not_shown(problems: Problems) -> None:
    for keys in ("tsa: 'https://ann:hunter2@tsa', tsa_root: r", "witness: 's3://ann:hunter2@b/p'"):
        (found,) = problems(with_log(f"key: k, {keys}"))
        assert "credentials do not belong in the catalog" in found and "hunter2" not in found


def test_an_unknown_store_of_the_witness_is_told_together_with_what_else_is_wrong(problems: Problems) -> None:
    found = problems("lake: 5\nbuckets: {a: }\nlog: {key: k, witness: 's3://w', witness_store: far}")
    assert [problem.split(": ")[1] for problem in found] == ["lake", "log.witness_store"]
