"""The queues of a catalog: a URL alone, or with the store that leads to it."""

from __future__ import annotations

import pytest

from fixity.catalog import Queue
from tests.fixity.catalog.conftest import Load, Problems

URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/fixity"
START = "lake: l\nstores: {far: {endpoint_url: 'http://far:9000'}}\nbuckets: {a: }\n"


def test_a_queue_is_a_url_or_a_url_with_its_store(load: Load) -> None:
    other = f"{URL}-of-batch"
    queues = load(START + f"queues: {{batch_completion: {other}, new_objects: {{url: '{URL}', store: far}}}}")
    assert queues.queues.batch_completion == Queue(url=other)
    assert queues.queues.new_objects == Queue(url=URL, store="far")
    assert queues.queues.restore_completion is None


def test_the_region_of_a_queue_stands_in_its_url() -> None:
    assert Queue(url=URL).region == "eu-west-1"
    assert Queue(url="http://127.0.0.1:5000/1/q").region is None


@pytest.mark.parametrize(
    ("queues", "problem"),
    [
        ("{batch_completed: 'x'}", "queues.batch_completed: there is no such key; did you mean batch_compl"),
        ("{new_objects: 'name'}", "queues.new_objects.url: 'name' is not the URL of a queue: write it as"),
        ("{new_objects: 'https://host'}", "is not the URL of a queue"),
        ("{new_objects: 'https://key:secret@host/1/q'}", "credentials do not belong in the catalog"),
        ("{new_objects: 5}", "queues.new_objects: 5 is not a mapping of keys to values"),
        ("{new_objects: {store: far}}", "queues.new_objects.url: is missing: the queue's URL"),
        (f"{{new_objects: {{url: '{URL}', regoin: x}}}}", "(keys here: url, store, account_id, topic_arn)"),
        (f"{{new_objects: {{url: '{URL}', account_id: '1'}}}}", "account_id: '1' is wrong: the AWS account"),
        (
            f"{{new_objects: {{url: '{URL}', topic_arn: objects}}}}",
            "topic_arn: 'objects' is wrong: the SNS topic",
        ),
        *(
            (f"{{new_objects: '{URL}{more}'}}", "has more than a host and a path; write it as SQS shows it")
            for more in (
                "?X-Amz-Signature=secret",
                "#secret",
                "%3FAWSAccessKeyId%3Dsecret",
                ";token=secret",
                " secret",
            )
        ),
        ("{new_objects: 'https://[host/1/q'}", "is not the URL of a queue"),
        (f"{{new_objects: {{url: '{URL}', store: fra}}}}", "queues.new_objects.store: 'fra' is not a store"),
        (
            f"{{new_objects: '{URL}', results_manifest: '{URL}'}}",
            "`new_objects` and `results_manifest` share a queue",
        ),
        ("[x]", "queues: a list is not a mapping of keys to values"),
    ],
)
def test_a_wrong_queue_is_refused_with_what_would_be_right(
    problems: Problems, queues: str, problem: str
) -> None:
    (found,) = problems(START + f"queues: {queues}")
    assert problem in found and "secret" not in found


def test_a_wrong_store_of_a_queue_is_told_beside_what_else_is_wrong(problems: Problems) -> None:
    found = problems(START + f"lake_store: 5\nqueues: {{new_objects: {{url: '{URL}', store: fra}}}}")
    assert len(found) == 1 and "lake_store" in found[0]
    found = problems(START + f"owners: [bob]\nqueues: {{new_objects: {{url: '{URL}', store: fra}}}}")
    assert len(found) == 2 and "queues.new_objects.store" in found[1]
