"""The stand-in for S3 Control: `python -m devstack.s3_control --s3 URL --sqs URL --queue URL [--port N]`.

Serves CreateJob, DescribeJob, ListJobs and UpdateJobStatus on loopback. To use it, set `s3_batch:
{endpoint_url: http://127.0.0.1:PORT}` in the catalog. Credentials for the S3 server and the queue come from
the environment. Running jobs does not belong here.
"""

from __future__ import annotations

import argparse
import json
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3

from devstack.s3_control_jobs import REGION, Behaviour, Jobs, Refused
from devstack.s3_control_xml import NoSuchOperation, read_request, service_model, write_answer, write_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_MODEL = service_model("s3control")


class S3ControlServer:
    """The server for the length of a `with` block; `behaviour` may be changed at any time.

    `compute_jobs` are its descriptions of AWS Batch jobs, by their ids.
    Arguments: `s3`, the client for the objects; `sqs` and `queue_url`, for the events; `port`, 0 for a free
    one.
    """

    def __init__(self, s3: S3Client, sqs: SQSClient, queue_url: str, port: int = 0) -> None:
        self.behaviour = Behaviour()
        self.jobs = Jobs(
            s3, lambda event: sqs.send_message(QueueUrl=queue_url, MessageBody=event), self.behaviour
        )
        self.compute_jobs: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.behaviour.hold:
            self.behaviour.hold.set()
        self.jobs.wait()  # the buckets that they read may be gone soon
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, target: str, headers: Message, body: bytes) -> tuple[int, bytes]:
        """The status and body of the response to a request."""
        operations = {
            "CreateJob": self.jobs.create_job,
            "DescribeJob": self.jobs.describe_job,
            "ListJobs": self.jobs.list_jobs,
            "UpdateJobStatus": self.jobs.update_job_status,
        }
        if target == "/v1/describejobs":  # of AWS Batch
            wanted = json.loads(body)["jobs"]
            return 200, json.dumps(
                {"jobs": [self.compute_jobs[i] for i in wanted if i in self.compute_jobs]}
            ).encode()
        try:
            operation, parameters = read_request(_MODEL, method, target, headers, body)
            self.requests.append((operation, dict(parameters)))
            if operation not in operations:
                raise NoSuchOperation(operation)
            return 200, write_answer(_MODEL, operation, operations[operation](parameters))
        except Refused as error:
            return 400, write_error(error.code, str(error))
        except NoSuchOperation as error:
            return 501, write_error("NotImplemented", f"not served here: {error}")


def _handler(server: S3ControlServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = server.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = _handle

        def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401 - the base class's own
            """Log nothing."""

    return Handler


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s3", required=True, help="endpoint of the S3 server with the objects")
    parser.add_argument("--sqs", required=True, help="endpoint of the SQS server")
    parser.add_argument("--queue", required=True, help="URL of the queue for the events")
    parser.add_argument("--port", type=int, default=9091)
    parser.add_argument("--fail-key", action="append", default=[], help="an object whose task fails")
    parser.add_argument("--fail-jobs-of", action="append", default=[], help="a bucket whose jobs fail")
    parser.add_argument("--lose-events", action="store_true")
    parser.add_argument("--send-twice", action="store_true")
    parser.add_argument("--hold", action="store_true", help="jobs stay active for ever")
    given = parser.parse_args()
    s3 = boto3.client("s3", endpoint_url=given.s3, region_name=REGION)
    sqs = boto3.client("sqs", endpoint_url=given.sqs, region_name=REGION)
    with S3ControlServer(s3, sqs, given.queue, given.port) as server:
        server.behaviour.fail_keys |= set(given.fail_key)
        server.behaviour.fail_jobs |= set(given.fail_jobs_of)
        server.behaviour.lose_events, server.behaviour.send_twice = given.lose_events, given.send_twice
        server.behaviour.hold = threading.Event() if given.hold else None
        print(f"S3 Control on {server.endpoint_url}", flush=True)  # noqa: T201 - for the person who starts it
        threading.Event().wait()


if __name__ == "__main__":
    main()
