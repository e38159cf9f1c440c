"""boto3 sessions and clients of stores, for everything that is not in a hot path.

boto3 takes a third of a second to import, so each function imports it when called. What all clients share
is here too: which errors pass, and what of an error's text may be shown. Requests to a service, and what
its errors mean for an object, do not belong here.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fixity.catalog.model import Store
from fixity.catalog.queues import Queue
from fixity.catalog.s3_batch import S3Batch
from fixity.humanize import error_text

if TYPE_CHECKING:
    import boto3
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.client import BaseClient
    from botocore.loaders import Loader
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3control import S3ControlClient
    from mypy_boto3_sqs import SQSClient

THROTTLED = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
)
"""Codes of errors with which a service asks for fewer requests."""
_PASSING = {"RequestTimeout", "RequestTimeoutException", "InternalError", "OperationAborted"}


def store_session(store: Store) -> boto3.Session:
    """A session with a store's profile and its credentials. Raises BotoCoreError."""
    import boto3
    from botocore.session import get_session

    session = get_session()
    if store.profile is not None:
        session.set_config_variable("profile", store.profile)
    models = _models(session.get_config_variable("data_path"))
    session.register_component("data_loader", models)
    made = boto3.Session(botocore_session=session)
    while models.search_paths.count(models.search_paths[-1]) > 1:  # boto3 adds a folder for each session
        models.search_paths.pop()
    return made


@cache
def _models(data_path: str | None) -> Loader:
    """botocore's descriptions of services. Reading them is most of what a client costs: all share them."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def s3_client(store: Store, connections: int = 10, is_patient: bool = True) -> S3Client:
    """A client of a store's endpoint, with the store's region and profile, for `connections` threads.

    A request for a range raises `byte_ranges.WrongRange` if the store sends other bytes.
    Arguments: `is_patient`, whether it tries for minutes to reach a store that does not answer.
    Raises BotoCoreError.
    """
    from botocore.config import Config
    from botocore.handlers import validate_bucket_name

    from fixity.catalog.byte_ranges import watch_ranges

    style = "path" if store.endpoint_url and store.addressing_style == "auto" else store.addressing_style
    client = store_session(store).client(
        "s3",
        region_name=store.region,
        endpoint_url=store.endpoint_url,
        verify=_certificates(store),
        config=Config(
            retries={"mode": "adaptive", "total_max_attempts": 8 if is_patient else 2},
            connect_timeout=60 if is_patient else 10,
            max_pool_connections=max(10, connections),
            s3={"addressing_style": style},
            # Other vendors refuse the checksums that newer SDKs add by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    if store.endpoint_url:  # botocore knows only AWS's names, not Ceph's `tenant:bucket`
        client.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
        client.meta.events.register_first("needs-retry.s3", _stay)
    watch_ranges(client)
    _watch(client)
    return _paying(client, store)


def _stay(request_dict: dict[str, Any], **_: object) -> None:
    """Do not ask for the bucket's region after an error: an endpoint of its own has only one.

    botocore would send a second request for each HEAD that is refused with 400.
    """
    request_dict.setdefault("context", {}).setdefault("s3_redirect", {})["redirected"] = True


def aws_s3_client(session: boto3.Session, store: Store, region: str) -> S3Client:
    """A client of AWS's endpoint in a region, to find the region of a bucket. Raises BotoCoreError."""
    client = session.client("s3", region_name=region, verify=_certificates(store))
    _watch(client)
    return _paying(client, store)


def _paying(client: S3Client, store: Store) -> S3Client:
    """The client; its requests say that whoever sends them pays, if the store's buckets want that."""
    if store.requester_pays:
        client.meta.events.register("before-call.s3", _as_payer)
    return client


def _as_payer(params: dict[str, Any], **_: object) -> None:
    params["headers"]["x-amz-request-payer"] = "requester"


def s3_control_client(store: Store, settings: S3Batch) -> S3ControlClient:
    """A client of S3 Control in the store's region, where a bucket's jobs run. Raises BotoCoreError."""
    from botocore.config import Config

    session = store_session(store)
    client = session.client(
        "s3control",
        region_name=store.region or session.region_name or "us-east-1",
        verify=_certificates(store),
        config=Config(
            connect_timeout=10,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 2},
        ),
    )
    if settings.endpoint_url:
        client.meta.events.register("before-send.s3-control", _SentTo(settings.endpoint_url))
    _watch(client)
    return client


def batch_client(store: Store, settings: S3Batch) -> Any:  # noqa: ANN401 - its stubs are not installed
    """A client of AWS Batch, the compute service, in the store's region. Raises BotoCoreError."""
    session = store_session(store)
    client = session.client(
        "batch",
        region_name=store.region or session.region_name or "us-east-1",
        endpoint_url=settings.endpoint_url,
    )
    _watch(client)
    return client


def step_functions_client(store: Store, state_machine: str) -> Any:  # noqa: ANN401 - its stubs are not installed
    """A client of Step Functions, in the region of a state machine's ARN. Raises BotoCoreError."""
    from botocore.config import Config

    client = store_session(store).client(
        "stepfunctions",
        region_name=state_machine.split(":")[3],
        endpoint_url=store.endpoint_url,
        verify=_certificates(store),
        config=Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard"}),
    )
    _watch(client)
    return client


def sqs_client(store: Store, queue: Queue) -> SQSClient:
    """A client for a queue, in the region of its store or of its URL. Raises BotoCoreError."""
    from botocore.config import Config

    session = store_session(store)
    client = session.client(
        "sqs",
        region_name=store.region or queue.region or session.region_name,
        endpoint_url=store.endpoint_url,
        verify=_certificates(store),
        config=Config(connect_timeout=10, read_timeout=20, retries={"mode": "standard"}),
    )
    _watch(client)
    return client


def kms_client(store: Store, key: str) -> Any:  # noqa: ANN401 - its stubs are not installed
    """A client of AWS KMS, in the region of the key's ARN or else of the store. Raises BotoCoreError."""
    session = store_session(store)
    of_arn = key.split(":")[3] if key.startswith("arn:") else None
    client = session.client("kms", region_name=of_arn or store.region or session.region_name or "us-east-1")
    _watch(client)
    return client


def passes(status: int, code: str = "") -> bool:
    """Whether an error of this HTTP status or with this code may pass, so that the request is sent again."""
    return (
        status in (408, 429)
        or (500 <= status <= 599 and status not in (501, 505))
        or code in THROTTLED
        or code in _PASSING
    )


def _watch(client: BaseClient) -> None:
    """Have a client send a request again after each error that may pass, and show no credentials."""
    events = client.meta.events
    events.register("needs-retry", _retry_after)  # type: ignore[arg-type]  # the stubs know no answer
    events.register("after-call", _clean_error)
    events.register("after-call-error", _clean_exception)


def _retry_after(response: tuple[Any, dict[str, Any]] | None, attempts: int, **_: object) -> float | None:
    """Seconds until the next attempt, where botocore itself would give up; None for no opinion."""
    if response is None:
        return None
    http, parsed = response
    code = parsed.get("Error", {}).get("Code", "")
    # A request that waited for long is too old; the next one is signed anew.
    if attempts == 1 and code == "RequestTimeTooSkewed":
        return 0.0
    if attempts < 4 and passes(http.status_code, code) and http.status_code not in (500, 502, 503, 504):
        return random.uniform(0, 0.1 * 2**attempts)
    return None


def _clean_error(parsed: dict[str, Any], **_: object) -> None:
    error = parsed.get("Error", {})
    error.update({name: error_text(error[name]) for name in ("Code", "Message") if error.get(name)})


def _clean_exception(exception: Exception, **_: object) -> None:
    if type(exception).__module__.startswith("botocore."):  # some of them hold the whole response
        exception.args = (error_text(str(exception)),)


def _certificates(store: Store) -> str | None:
    return str(store.ca_bundle) if store.ca_bundle else None


class _SentTo:
    """Sends requests to exactly this endpoint: botocore would put the account id in front of the host."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url

    def __call__(self, request: AWSPreparedRequest, **_: object) -> None:
        parts = urlsplit(request.url)
        request.url = f"{self._endpoint_url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
