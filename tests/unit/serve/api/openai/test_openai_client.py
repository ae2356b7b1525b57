"""OpenAI's own package against the HTTP application: what it can send, and which of its errors it makes of ours."""

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.engine.protocol import Sampling
from serve.errors import DeadlineExceeded, FyeError, NotReady, Overloaded, PromptTooLong
from support.http_client import FakeIngress, http_client

MESSAGES: Any = [{"role": "user", "content": "hello"}]
SECRET, READER = new_secret(), new_secret()


def package(ingress: FakeIngress, keys: KeyRing | None = None, secret: str = SECRET) -> openai.AsyncOpenAI:
    client: httpx.AsyncClient = http_client(ingress, keys=keys)
    return openai.AsyncOpenAI(base_url="http://test/v1", api_key=secret, max_retries=0, http_client=client)


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    rows = [(SECRET, "respond"), (READER, "detect")]
    text = "\n".join(f'[[keys]]\nname = "{scope}"\nsha256 = "{sha256_of(key)}"\nscopes = ["{scope}"]' for key, scope in rows)
    (tmp_path / "keys.toml").write_text(text)
    return KeyRing(tmp_path / "keys.toml")


@pytest.mark.parametrize(
    ("given", "sampling"),
    [
        ({}, Sampling()),
        ({"temperature": 0, "top_p": 0.5, "seed": 3, "stop": "END"}, Sampling(96, 0, 0.5, 3, ("END",))),
        ({"stop": ["a", "b"], "max_completion_tokens": 9}, Sampling(9, stop=("a", "b"))),
        ({"frequency_penalty": 0.5, "presence_penalty": -1}, Sampling(frequency_penalty=0.5, presence_penalty=-1)),
        (
            {"extra_body": {"ignore_eos": True, "min_tokens": 5, "top_k": 40, "min_p": 0.1, "repetition_penalty": 1.2}},
            Sampling(min_tokens=5, ignore_eos=True, top_k=40, min_p=0.1, repetition_penalty=1.2),
        ),
    ],
)
async def test_how_tokens_are_drawn_reaches_the_responder(given: dict[str, Any], sampling: Sampling) -> None:
    ingress = FakeIngress()
    await package(ingress).chat.completions.create(model="joy", messages=MESSAGES, **given)
    assert ingress.asked[0].sampling == sampling


HARMLESS: list[dict[str, Any]] = [
    {"n": 1, "logprobs": False, "store": False, "user": "somebody", "metadata": {"run": "1"}, "service_tier": "auto"},
    {"response_format": {"type": "text"}, "tool_choice": "none", "modalities": ["text"], "logit_bias": {}, "parallel_tool_calls": True},
    {"logprobs": None, "top_logprobs": None, "tools": None, "stop": None, "temperature": None, "response_format": None, "n": None},
    {"safety_identifier": "x", "prompt_cache_key": "y", "stream_options": None},
]


@pytest.mark.parametrize("given", HARMLESS, ids=lambda given: next(iter(given)))
async def test_what_asks_for_nothing_is_let_pass(given: dict[str, Any]) -> None:
    ingress = FakeIngress()
    await package(ingress).chat.completions.create(model="joy", messages=MESSAGES, **given)
    assert ingress.asked[0].sampling == Sampling()


REFUSED = {
    "logprobs": (True, "log-probabilities are not given here"),
    "top_logprobs": (5, "log-probabilities are not given here"),
    "n": (2, "a request gets one answer: n is 1"),
    "tools": ([{"type": "function", "function": {"name": "f"}}], "a persona calls no tools"),
    "tool_choice": ("required", "a persona calls no tools"),
    "response_format": ({"type": "json_object"}, "a persona answers in plain text, in no other format"),
    "modalities": (["audio"], "a persona answers in text"),
    "logit_bias": ({"7": 100}, "the tokens' chances cannot be changed one by one"),
    "store": (True, "no answer is stored here"),
}


@pytest.mark.parametrize("field", REFUSED)
async def test_what_would_be_a_lie_is_refused_with_its_reason(field: str) -> None:
    value, reason = REFUSED[field]
    ingress = FakeIngress()
    with pytest.raises(openai.BadRequestError) as caught:
        await package(ingress).chat.completions.create(model="joy", messages=MESSAGES, **{field: value})
    error = caught.value
    assert f"{field}: {reason}" in error.message
    assert (error.type, error.code, error.param) == ("invalid_request_error", "invalid-request", field)
    assert ingress.asked == []


@pytest.mark.parametrize(
    "given", [{"temprature": 1}, {"min_tokens": 97}, {"max_tokens": 257}, {"top_k": -2}], ids=lambda given: next(iter(given))
)
async def test_what_is_misspelt_or_impossible_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match=next(iter(given))):
        await package(FakeIngress()).chat.completions.create(model="joy", messages=MESSAGES, extra_body=given)


async def test_a_model_is_found_by_its_name_or_not_found() -> None:
    client = package(FakeIngress())
    assert (await client.models.retrieve("joy")) in (await client.models.list()).data
    with pytest.raises(openai.NotFoundError, match="there are auto, sadness") as caught:
        await client.models.retrieve("gpt-4o")
    assert caught.value.code == "unknown-model"


async def test_a_wrong_key_and_one_that_may_not(keys: KeyRing) -> None:
    with pytest.raises(openai.AuthenticationError):
        await package(FakeIngress(), keys, "fye-unknown").chat.completions.create(model="joy", messages=MESSAGES)
    with pytest.raises(openai.PermissionDeniedError, match="does not allow respond"):
        await package(FakeIngress(), keys, READER).chat.completions.create(model="joy", messages=MESSAGES)
    await package(FakeIngress(), keys).chat.completions.create(model="joy", messages=MESSAGES)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fails", "raised", "code"),
    [
        (Overloaded("no place is free", 7), openai.RateLimitError, "overloaded"),
        (PromptTooLong("too long"), openai.APIStatusError, "prompt-too-long"),
        (NotReady("not yet"), openai.InternalServerError, "not-ready"),
        (DeadlineExceeded("too late"), openai.InternalServerError, "deadline-exceeded"),
    ],
)
async def test_what_fails_before_the_answer_is_an_error_of_the_package(
    fails: FyeError, raised: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    client = package(FakeIngress(pieces=(), fails=fails))
    with pytest.raises(raised) as caught:
        await client.chat.completions.create(model="joy", messages=MESSAGES, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (fails.status, code)
    assert caught.value.response.headers.get("retry-after") == ("7" if code == "overloaded" else None)


async def test_an_answer_goes_back_as_the_package_dumps_it() -> None:
    """With its fields that are null."""
    ingress = FakeIngress()
    client = package(ingress)
    first = (await client.chat.completions.create(model="joy", messages=MESSAGES)).choices[0].message
    turns: Any = [*MESSAGES, first.model_dump(), first, *MESSAGES]
    await client.chat.completions.create(model="joy", messages=turns)
    assert [turn.text for turn in ingress.asked[1].turns] == ["hello", first.content, first.content, "hello"]


async def test_usage_grows_with_the_chunks_if_asked() -> None:
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    stream = await package(FakeIngress()).chat.completions.create(model="joy", messages=MESSAGES, stream=True, stream_options=options)
    chunks = [chunk async for chunk in stream]
    assert [chunk.usage is not None for chunk in chunks] == [False, True, True, False, True]
