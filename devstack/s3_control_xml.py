"""REST-XML for a server: parses requests and writes responses, using botocore's service model.

What an operation does does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import OperationModel, ServiceModel


class NoSuchOperation(Exception):
    """A request that is not an operation of the service."""


def service_model(service: str) -> ServiceModel:
    """botocore's model of a service, such as `s3control`."""
    return botocore.session.get_session().get_service_model(service)


def read_request(
    model: ServiceModel, method: str, target: str, headers: Message, body: bytes
) -> tuple[str, dict[str, Any]]:
    """The operation of a request, and its parameters. Raises NoSuchOperation."""
    url = urlsplit(target)
    for name in model.operation_names:
        operation = model.operation_model(name)
        labels = _labels(operation, method, url.path)
        if labels is not None:
            return name, _parameters(operation, labels, parse_qs(url.query), headers, body)
    raise NoSuchOperation(f"{method} {url.path}")


def _labels(operation: OperationModel, method: str, path: str) -> dict[str, str] | None:
    if operation.http["method"] != method:
        return None
    template = operation.http["requestUri"].partition("?")[0]
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    found = re.fullmatch(pattern, path)
    return {name: unquote(value) for name, value in found.groupdict().items()} if found else None


def _parameters(
    operation: OperationModel,
    labels: Mapping[str, str],
    query: Mapping[str, list[str]],
    headers: Message,
    body: bytes,
) -> dict[str, Any]:
    shape = operation.input_shape
    assert shape is not None
    parameters = _read(shape, ElementTree.fromstring(body)) if body else {}
    for name, member in shape.members.items():
        where, called = member.serialization.get("location"), member.serialization.get("name", name)
        if where == "uri":
            parameters[name] = labels[called]
        elif where == "header" and called in headers:
            parameters[name] = headers[called]
        elif where == "querystring" and called in query:
            parameters[name] = query[called] if member.type_name == "list" else query[called][0]
    return dict(parameters)


def _read(shape: Any, element: ElementTree.Element) -> Any:  # noqa: ANN401 - as many types as shapes
    match shape.type_name:
        case "structure":
            children = {_local(child.tag): child for child in element}
            return {
                name: _read(member, children[member.serialization.get("name", name)])
                for name, member in shape.members.items()
                if member.serialization.get("name", name) in children
            }
        case "list":
            return [_read(shape.member, child) for child in element]
        case "integer" | "long":
            return int(element.text or 0)
        case "boolean":
            return element.text == "true"
        case "timestamp":
            return datetime.fromisoformat((element.text or "").replace("Z", "+00:00"))
        case _:
            return element.text or ""


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def write_answer(model: ServiceModel, operation: str, answer: Mapping[str, Any]) -> bytes:
    """The XML of an operation's response."""
    shape = model.operation_model(operation).output_shape
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_write(f"{operation}Result", shape, answer)}'.encode()


def _write(name: str, shape: Any, value: Any) -> str:  # noqa: ANN401 - as many types as shapes
    match shape.type_name:
        case "structure":
            inner = "".join(
                _write(member.serialization.get("name", each), member, value[each])
                for each, member in shape.members.items()
                if value.get(each) is not None
            )
        case "list":
            called = shape.member.serialization.get("name", "member")
            inner = "".join(_write(called, shape.member, each) for each in value)
        case "timestamp":
            inner = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case "boolean":
            inner = "true" if value else "false"
        case _:
            inner = escape(str(value))
    return f"<{name}>{inner}</{name}>"


def write_error(code: str, message: str) -> bytes:
    """The XML of an error."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ErrorResponse><Error><Type>Sender</Type>'
        f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    ).encode()
