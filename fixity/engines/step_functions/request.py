"""Starts the map of a bucket: its state machine, once for each request. Its results are found by a sensor.

{"bucket": "maps-on-s3", "prefix": "", "versions": "all", "algorithm": "SHA256"}      the machine's input
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fixity.catalog import Bucket
from fixity.engines.step_functions.errors import MapNotStarted


def start_map(client: Any, state_machine: str, bucket: Bucket, request_id: str) -> str:  # noqa: ANN401 - no stubs
    """Start the state machine for a bucket; returns the execution's ARN.

    Arguments: `client` of Step Functions; `state_machine`, its ARN; `request_id`, the same for every attempt
    at one request, so that Step Functions starts only one. Raises MapNotStarted.
    """
    name = f"fixity-{request_id}"[:80]
    of_map = {
        "bucket": bucket.real_name,
        "prefix": bucket.prefix,
        "versions": bucket.versions,
        "algorithm": bucket.algorithm,
    }
    try:
        started = client.start_execution(stateMachineArn=state_machine, name=name, input=json.dumps(of_map))
    except client.exceptions.ExecutionAlreadyExists:  # an earlier attempt started it, and it has ended
        return f"{state_machine.replace(':stateMachine:', ':execution:')}:{name}"
    except (ClientError, BotoCoreError) as error:
        raise MapNotStarted(f"the map of '{bucket.name}' was not started: {error}") from error
    return str(started["executionArn"])
