"""Requests drawn from the OpenAPI document, right ones and wrong ones: none breaks or holds the server, or gets what is not described."""

import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serve.api.routes import make_http_app
from serve.config import IngressConfig
from serve.pipeline.ingress import this_ingress
from support.http_client import FakeIngress

app = make_http_app(IngressConfig(), None, on_loopback=True)
app.dependency_overrides[this_ingress] = lambda: FakeIngress()
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
LIMIT_S = 2.0  # of a request
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schema.parametrize()
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_server_does_what_its_document_says(case: schemathesis.Case) -> None:
    reply = case.call()
    case.validate_response(reply, checks=CHECKS)
    assert reply.elapsed < LIMIT_S


def test_every_json_reply_is_described() -> None:
    """A schema that is empty would let anything pass."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            assert operation["responses"]["200"]["content"]["application/json"]["schema"], (method, path)
