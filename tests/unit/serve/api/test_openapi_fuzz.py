"""Valid and invalid requests generated from the OpenAPI document, and responses checked by it."""

from typing import Any

import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serve.api.app import make_http_app
from serve.config import HttpConfig
from serve.pipeline.replica import this_responder
from support.admin_key import ADMIN_HEADERS
from support.http_client import ADMIN_KEYS, FakeResponder

LIMIT_S = 30.0  # for one request, on a busy machine
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
app = make_http_app(HttpConfig(), None, ADMIN_KEYS, on_loopback=False)
app.dependency_overrides[this_responder] = lambda: FakeResponder()
schema = schemathesis.openapi.from_asgi("/openapi.json", app)


@schema.parametrize()
@settings(max_examples=30, deadline=None, derandomize=True)
def test_responses_conform_to_the_document(case: schemathesis.Case[Any]) -> None:
    reply = case.call(headers=ADMIN_HEADERS)
    case.validate_response(reply, checks=CHECKS)
    assert reply.elapsed < LIMIT_S
