"""Context of a request: content type, key, deadline, region and trace."""

import time
from pathlib import Path

import httpx
import pytest

from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.api.requests import is_openai
from serve.config import HttpConfig
from serve.pipeline.quota import KeyLimits
from support.http_client import BODIES, CHAT, DETECT, RESPOND, FakeResponder, http_client

SECRET = new_secret()
READER = new_secret()
KEYS = f"""\
[[keys]]
name = "app"
sha256 = "{sha256_of(SECRET)}"
scopes = ["respond", "detect"]
requests_per_minute = 7

[[keys]]
name = "reader"
sha256 = "{sha256_of(READER)}"
scopes = ["detect"]
"""
CALLS = pytest.mark.parametrize("path", BODIES)


@pytest.fixture
def responder() -> FakeResponder:
    return FakeResponder()


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    (tmp_path / "keys.toml").write_text(KEYS)
    return KeyRing(tmp_path / "keys.toml")


async def post(responder: FakeResponder, path: str, **headers: str) -> httpx.Response:
    return await http_client(responder).post(path, json=BODIES[path], headers=headers)


async def post_with_key(keys: KeyRing, path: str, authorization: str | None) -> httpx.Response:
    headers = {"authorization": authorization} if authorization else {}
    client = http_client(FakeResponder(), keys=keys)
    return await client.post(path, json=BODIES[path], headers=headers)


@CALLS
@pytest.mark.parametrize("given", [None, "Basic YTpi", "Bearer", "Bearer fye-wrong", "fye-bare"])
async def test_rejects_a_missing_or_unknown_key(
    keys: KeyRing, path: str, given: str | None
) -> None:
    reply = await post_with_key(keys, path, given)
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert "unauthenticated" in reply.text


@CALLS
async def test_accepts_a_key_with_the_scope(keys: KeyRing, path: str) -> None:
    assert (await post_with_key(keys, path, f"Bearer {SECRET}")).status_code == 200


@pytest.mark.parametrize(("path", "status"), [(DETECT, 200), (RESPOND, 403), (CHAT, 403)])
async def test_rejects_a_key_without_the_scope(keys: KeyRing, path: str, status: int) -> None:
    assert (await post_with_key(keys, path, f"Bearer {READER}")).status_code == status


@CALLS
async def test_the_key_is_checked_before_the_body(keys: KeyRing, path: str) -> None:
    reply = await http_client(FakeResponder(), keys=keys).post(path, json={"unknown": 1})
    assert reply.status_code == 401


async def test_health_readiness_and_lists_need_no_key(keys: KeyRing) -> None:
    client = http_client(FakeResponder(), keys=keys)
    for path in ("/healthz", "/health", "/readyz", "/v1/personas", "/v1/models"):
        assert (await client.get(path)).status_code == 200, path


@CALLS
async def test_the_pipeline_gets_the_limits_of_the_key_and_not_its_hash(
    keys: KeyRing, responder: FakeResponder, path: str
) -> None:
    client = http_client(responder, keys=keys)
    headers = {"authorization": f"Bearer {SECRET}"}
    await client.post(path, json=BODIES[path], headers=headers)
    assert responder.contexts[0].limits == KeyLimits("app", requests_per_minute=7)
    assert sha256_of(SECRET) not in repr(responder.contexts)


@CALLS
async def test_without_keys_there_are_no_limits(responder: FakeResponder, path: str) -> None:
    await post(responder, path)
    assert responder.contexts[0].limits is None


@CALLS
@pytest.mark.parametrize("given", ["text/plain", "application/x-www-form-urlencoded", "json", ""])
async def test_rejects_a_body_that_is_not_declared_as_json(
    responder: FakeResponder, path: str, given: str
) -> None:
    headers = {"content-type": given}
    reply = await http_client(responder).post(path, content=b"{}", headers=headers)
    assert (reply.status_code, "wrong-content-type" in reply.text) == (415, True)
    assert responder.contexts == []


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "Application/JSON"])
async def test_accepts_parameters_and_case_of_the_content_type(
    responder: FakeResponder, given: str
) -> None:
    headers = {"content-type": given}
    reply = await http_client(responder).post(RESPOND, content=b'{"text": "hi"}', headers=headers)
    assert reply.status_code == 200


@CALLS
@pytest.mark.parametrize(("given", "timeout_s"), [(None, 60), ("1500", 1.5), ("120000", 120)])
async def test_the_deadline_is_the_clients_or_the_default(
    responder: FakeResponder, path: str, given: str | None, timeout_s: float
) -> None:
    before_s = time.monotonic()
    reply = await post(responder, path, **({"x-request-timeout-ms": given} if given else {}))
    [context] = responder.contexts
    assert reply.status_code == 200
    assert before_s <= context.began_s <= time.monotonic()
    assert context.deadline_s == pytest.approx(context.began_s + timeout_s)


@CALLS
@pytest.mark.parametrize("given", ["0", "-1", "soon", "120001", "1.5", ""])
async def test_rejects_an_invalid_timeout(responder: FakeResponder, path: str, given: str) -> None:
    reply = await post(responder, path, **{"x-request-timeout-ms": given})
    assert reply.status_code == (400 if is_openai(path) else 422)
    assert "x-request-timeout-ms" in reply.text
    assert responder.contexts == []


async def test_default_and_limit_of_the_timeout_are_configurable(responder: FakeResponder) -> None:
    config = HttpConfig(default_timeout_ms=500, max_timeout_ms=1000)
    client = http_client(responder, config)
    await client.post(RESPOND, json={"text": "hi"})
    [context] = responder.contexts
    assert context.deadline_s == pytest.approx(context.began_s + 0.5)
    headers = {"x-request-timeout-ms": "1001"}
    assert (await client.post(RESPOND, json={"text": "hi"}, headers=headers)).status_code == 422


@CALLS
@pytest.mark.parametrize(("given", "region"), [(None, "GB"), ("DE", "DE"), ("us", "us")])
async def test_the_region_is_the_clients_or_the_configured_one(
    responder: FakeResponder, path: str, given: str | None, region: str
) -> None:
    client = http_client(responder, HttpConfig(region="GB"))
    headers = {"x-region": given} if given else {}
    assert (await client.post(path, json=BODIES[path], headers=headers)).status_code == 200
    assert responder.contexts[0].region == region


@pytest.mark.parametrize("given", ["DEU", "D", "12", "d\u00e9"])
async def test_rejects_an_invalid_region(responder: FakeResponder, given: str) -> None:
    headers = httpx.Headers({"x-region": given}, encoding="latin-1")
    reply = await http_client(responder).post(RESPOND, json={"text": "hi"}, headers=headers)
    assert [row["field"] for row in reply.json()["errors"]] == ["x-region"]


@CALLS
async def test_the_clients_trace_is_continued(responder: FakeResponder, path: str) -> None:
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}
    await post(responder, path, **trace, baggage="user=me")
    assert responder.contexts[0].trace == trace


@pytest.mark.parametrize(
    ("path", "prefix"), [(RESPOND, "resp-"), (DETECT, "detect-"), (CHAT, "chatcmpl-")]
)
async def test_request_ids_are_unique_and_named_after_the_call(
    responder: FakeResponder, path: str, prefix: str
) -> None:
    for _ in range(2):
        await post(responder, path, **{"x-request-id": "same"})
    first, second = [context.request_id for context in responder.contexts]
    assert first != second
    assert first.startswith(prefix)
    assert second.startswith(prefix)
