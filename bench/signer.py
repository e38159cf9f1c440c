"""Signing a request: our signer beside botocore's, which is the one that boto3 uses for S3."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.data import Collections
from bench.measure import Row, beside
from fixity.buckets.s3.sigv4 import Signer, encode_path

_REQUESTS = 10_000
_HOST, _REGION = "bucket.s3.eu-west-2.amazonaws.com", "eu-west-2"
_CREDENTIALS = Credentials("AKIDEXAMPLE", "an-example-secret")
_PATHS = ["/" + encode_path(f"collections/c{n // 1000:04d}/some file {n:06d}.tif") for n in range(_REQUESTS)]
_HEADERS = {"if-match": '"5d41402abc4b2a76b9719d911017c592"'}


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU a request, in this process: both have imported what they need."""
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(_microseconds(_ours))
        theirs.append(_microseconds(_botocores))
    return [beside("signing a GET, CPU", "µs a request", mine, theirs, 0.25, "botocore")]


def _microseconds(sign_all: Callable[[], None]) -> float:
    begun = time.process_time()
    sign_all()
    return (time.process_time() - begun) / _REQUESTS * 1e6


def _ours() -> None:
    signer = Signer(_CREDENTIALS.get_frozen_credentials, _REGION)
    for path in _PATHS:
        signer.headers("GET", _HOST, path, "", _HEADERS)


def _botocores() -> None:
    signer = S3SigV4Auth(_CREDENTIALS.get_frozen_credentials(), "s3", _REGION)
    for path in _PATHS:
        signer.add_auth(AWSRequest("GET", f"https://{_HOST}{path}", headers=dict(_HEADERS)))
