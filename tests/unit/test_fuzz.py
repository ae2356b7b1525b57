"""Requests drawn from the OpenAPI document, right ones and wrong ones: none breaks the server, or gets what is not described."""

import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from http_stages import FakeIngress
from serve.config import IngressConfig
from serve.http import make_http_app
from serve.ingress import this_ingress

app = make_http_app(IngressConfig(), None, on_loopback=True)
app.dependency_overrides[this_ingress] = lambda: FakeIngress()
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
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
    case.call_and_validate(checks=CHECKS)
