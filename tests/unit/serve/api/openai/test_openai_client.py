"""OpenAI's own package against the HTTP application: what it sends, and the errors it raises."""

from pathlib import Path
from typing import Any

import openai
import pytest

from models.errors import FyeError
from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.engine.protocol import Sampling
from serve.errors import DeadlineExceeded, EngineError, NotReady, Overloaded, PromptTooLong
from support.fakes import CHUNKS
from support.http_client import FakeResponder, http_client

MESSAGES: Any = [{"role": "user", "content": "hello"}]
SECRET = new_secret()
READER = new_secret()


def client_of(
    responder: FakeResponder, keys: KeyRing | None = None, secret: str = SECRET
) -> openai.AsyncOpenAI:
    client: Any = http_client(responder, keys=keys)
    return openai.AsyncOpenAI(
        base_url="http://localhost/v1", api_key=secret, max_retries=0, http_client=client
    )


async def complete(responder: FakeResponder, **fields: Any) -> Any:
    client = client_of(responder)
    return await client.chat.completions.create(model="joy", messages=MESSAGES, **fields)


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    rows = [(SECRET, "respond"), (READER, "detect")]
    text = "\n".join(
        f'[[keys]]\nname = "{scope}"\nsha256 = "{sha256_of(secret)}"\nscopes = ["{scope}"]'
        for secret, scope in rows
    )
    (tmp_path / "keys.toml").write_text(text)
    return KeyRing(tmp_path / "keys.toml")


VLLM_FIELDS = {
    "ignore_eos": True,
    "min_tokens": 5,
    "top_k": 40,
    "min_p": 0.1,
    "repetition_penalty": 1.2,
}


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({}, Sampling()),
        (
            {"temperature": 0, "top_p": 0.5, "seed": 3, "stop": "END"},
            Sampling(96, 0, 0.5, 3, ("END",)),
        ),
        ({"stop": ["a", "b"], "max_completion_tokens": 9}, Sampling(9, stop=("a", "b"))),
        (
            {"frequency_penalty": 0.5, "presence_penalty": -1},
            Sampling(frequency_penalty=0.5, presence_penalty=-1),
        ),
        (
            {"extra_body": VLLM_FIELDS},
            Sampling(min_tokens=5, ignore_eos=True, top_k=40, min_p=0.1, repetition_penalty=1.2),
        ),
    ],
)
async def test_sampling_parameters_reach_the_generator(
    fields: dict[str, Any], sampling: Sampling
) -> None:
    responder = FakeResponder()
    await complete(responder, **fields)
    assert responder.requests[0].sampling == sampling


WITHOUT_EFFECT: list[dict[str, Any]] = [
    {
        "n": 1,
        "logprobs": False,
        "store": False,
        "user": "somebody",
        "metadata": {"run": "1"},
        "service_tier": "auto",
    },
    {
        "response_format": {"type": "text"},
        "tool_choice": "none",
        "modalities": ["text"],
        "logit_bias": {},
        "parallel_tool_calls": True,
    },
    {
        "logprobs": None,
        "top_logprobs": None,
        "tools": None,
        "stop": None,
        "temperature": None,
        "response_format": None,
        "n": None,
    },
    {"safety_identifier": "x", "prompt_cache_key": "y", "stream_options": None},
]


@pytest.mark.parametrize("fields", WITHOUT_EFFECT, ids=lambda fields: next(iter(fields)))
async def test_accepts_fields_without_effect(fields: dict[str, Any]) -> None:
    responder = FakeResponder()
    await complete(responder, **fields)
    assert responder.requests[0].sampling == Sampling()


UNSUPPORTED: dict[str, tuple[Any, str]] = {
    "top_logprobs": (5, "logprobs: true"),
    "n": (2, "n must be 1"),
    "tools": ([{"type": "function", "function": {"name": "f"}}], "tools"),
    "tool_choice": ("required", "tools"),
    "response_format": ({"type": "json_object"}, "plain text"),
    "modalities": (["audio"], "only text"),
    "logit_bias": ({"7": 100}, "logit_bias"),
    "store": (True, "not stored"),
}


@pytest.mark.parametrize("field", UNSUPPORTED)
async def test_rejects_unsupported_fields_with_the_reason(field: str) -> None:
    value, reason = UNSUPPORTED[field]
    responder = FakeResponder()
    with pytest.raises(openai.BadRequestError, match=f"{field}: .*{reason}") as caught:
        await complete(responder, **{field: value})
    error = caught.value
    assert (error.type, error.code, error.param) == (
        "invalid_request_error",
        "invalid-request",
        field,
    )
    assert responder.requests == []


@pytest.mark.parametrize(
    ("field", "value"), [("temprature", 1), ("min_tokens", 97), ("max_tokens", 0), ("top_k", -2)]
)
async def test_rejects_misspelt_and_impossible_fields_by_name(field: str, value: int) -> None:
    with pytest.raises(openai.BadRequestError, match=field):
        await complete(FakeResponder(), extra_body={field: value})


async def test_retrieves_a_known_model_only() -> None:
    client = client_of(FakeResponder())
    assert (await client.models.retrieve("joy")) in (await client.models.list()).data
    with pytest.raises(openai.NotFoundError, match="known are auto, sadness") as caught:
        await client.models.retrieve("gpt-4o")
    assert caught.value.code == "unknown-model"


async def test_keys_are_those_of_openai(keys: KeyRing) -> None:
    for secret, error in (
        ("fye-unknown", openai.AuthenticationError),
        (READER, openai.PermissionDeniedError),
    ):
        client = client_of(FakeResponder(), keys, secret)
        with pytest.raises(error):
            await client.chat.completions.create(model="joy", messages=MESSAGES)
    client = client_of(FakeResponder(), keys)
    assert await client.chat.completions.create(model="joy", messages=MESSAGES)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (Overloaded("full", 7), openai.RateLimitError, "overloaded"),
        (PromptTooLong("too long"), openai.BadRequestError, "context_length_exceeded"),
        (NotReady("not yet"), openai.InternalServerError, "not-ready"),
        (DeadlineExceeded("too late"), openai.InternalServerError, "deadline-exceeded"),
    ],
)
async def test_a_failure_before_the_answer_is_an_error_of_the_package(
    error: FyeError, raised: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    with pytest.raises(raised) as caught:
        await complete(FakeResponder(chunks=(), error=error), stream=stream)
    status = 400 if raised is openai.BadRequestError else error.status
    assert (caught.value.status_code, caught.value.code) == (status, code)
    retry_after = "7" if code == "overloaded" else None
    assert caught.value.response.headers.get("retry-after") == retry_after


async def test_a_failure_during_a_stream_is_an_error_of_the_package() -> None:
    stream = await complete(FakeResponder(CHUNKS[:1], error=EngineError("broken")), stream=True)
    assert [(await anext(stream)).choices[0].delta.content for _ in range(2)] == ["", "Oh"]
    with pytest.raises(openai.APIError, match="broken"):
        await anext(stream)


async def test_an_answer_can_be_sent_back_with_its_null_fields() -> None:
    responder = FakeResponder()
    first = (await complete(responder)).choices[0].message
    turns: Any = [*MESSAGES, first.model_dump(), first, *MESSAGES]
    await client_of(responder).chat.completions.create(model="joy", messages=turns)
    texts = [turn.text for turn in responder.requests[1].turns]
    assert texts == ["hello", first.content, first.content, "hello"]


async def test_every_chunk_has_usage_if_asked_for() -> None:
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    stream = await complete(FakeResponder(), stream=True, stream_options=options)
    used = [chunk.usage and chunk.usage.completion_tokens async for chunk in stream]
    assert used == [0, 1, 2, 2, 2]
