"""Paths and headers: which calls are counted, and which request ids are accepted."""

import pytest

from serve.api.requests import call_of, is_openai, request_id_of


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/respond", "respond"),
        ("/v1/chat/completions", "respond"),
        ("/v1/completions", "respond"),
        ("/v1/responses", "respond"),
        ("/v1/detect", "detect"),
        ("/v1/admin/adapters", "admin"),
        ("/v1/admin/adapters/rollback", "admin"),
        ("/v1/respond/", None),
        ("/v1/models", None),
        ("/healthz", None),
    ],
)
def test_counts_the_calls_that_do_work(path: str, call: str | None) -> None:
    assert call_of(path) == call


@pytest.mark.parametrize("given", ["Abc-1.2_3", "a", "x" * 64])
def test_keeps_a_valid_request_id(given: str) -> None:
    assert request_id_of(given) == given


@pytest.mark.parametrize(
    "given", [None, "", "a b", "x" * 65, "<script>", "a;b", "a\n", "\u00e4", "\u0661"]
)
def test_replaces_an_invalid_request_id_by_a_new_one(given: str | None) -> None:
    first = request_id_of(given)
    assert first != given
    assert first.isalnum()
    assert request_id_of(given) != first


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", True),
        ("/v1/models/joy", True),
        ("/v1/no-such-path", True),
        ("/chat/completions", True),
        ("/v1/respond", False),
        ("/v1/personas/x", False),
        ("/v1/admin/adapters", False),
        ("/chatter", False),
        ("/", False),
        ("", False),
    ],
)
def test_knows_whose_clients_read_an_error(path: str, expected: bool) -> None:
    assert is_openai(path) is expected
