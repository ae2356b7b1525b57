"""Public reports of failures of such clients and servers: the source is at each case.

A source is `owner/repository#number` on GitHub.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.engine.protocol import TextChunk, TokenLogprob
from serve.errors import EngineError, PromptTooLong
from support.fakes import CHUNKS
from support.http_client import (
    CHAT,
    COMPLETIONS,
    HELLO,
    JSON,
    RESPONSES,
    FakeResponder,
    http_client,
    openai_client,
    sse_events,
)

Body = dict[str, Any]
USER: Body = {"role": "user", "content": "hello"}
CALL: Body = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LOGPROBS = (
    TextChunk("Oh", 1, None, (TokenLogprob("Oh", -0.5),)),
    TextChunk("", 1, "stop", (TokenLogprob("", -9999.0),)),
)


def history(*messages: Body) -> Body:
    return {"messages": [USER, *messages, USER]}


ACCEPTED: dict[str, tuple[str, Body]] = {
    # An empty message of the assistant in the history.
    "vllm-project/vllm#21089": (CHAT, history({"role": "assistant", "content": ""})),
    # A turn that had reasoning alone is sent back with null, and every later request failed.
    "magnitudedev/magnitude#42": (
        CHAT,
        history({"role": "assistant", "content": None, "reasoning_content": "hm"}),
    ),
    # Null without tool calls.
    "tashfeenahmed/freellmapi#165": (CHAT, history({"role": "assistant", "content": None})),
    # The key is missing.
    "jekalmin/extended_openai_conversation#456": (CHAT, history({"role": "assistant"})),
    # An answer that failed leaves an empty message at the end.
    "abdulmominsakib/localmind#11": (
        CHAT,
        {"messages": [USER, {"role": "assistant", "content": ""}]},
    ),
    # CodeCompanion keeps fields of its own in each message.
    "vllm-project/vllm#10463": (
        CHAT,
        history(USER | {"id": 1947269257, "opts": {"visible": False}}),
    ),
    "vllm-project/vllm#12864": (CHAT, {"messages": [USER | {"name": "bob"}]}),
    "odysseus-dev/odysseus#103": (CHAT, {"messages": [USER | {"metadata": {"_db_id": "7c"}}]}),
    # The system prompt as a developer message, also an empty one.
    "peonist-ai/halogen-server#3": (
        CHAT,
        {"messages": [{"role": "developer", "content": "Be brief."}, USER]},
    ),
    "QuantumNous/new-api#5330": (
        CHAT,
        {"messages": [{"role": "developer", "content": ""}, USER], "stream": True},
    ),
    # A limit far above ours, under the newer name.
    "voideditor/void#128": (CHAT, HELLO | {"max_completion_tokens": 8192}),
    "gonka-ai/gonka#1177": (
        CHAT,
        HELLO | {"user": "x", "metadata": {"run": 1}, "parallel_tool_calls": True},
    ),
    # Reasoning parameters go to every model.
    "generative-computing/mellea#270": (CHAT, HELLO | {"reasoning_effort": "none"}),
    "marimo-team/marimo#7007": (CHAT, HELLO | {"reasoning_effort": "minimal"}),
    "vllm-project/vllm#3773": (CHAT, HELLO | {"stop": ["<end>"], "skip_special_tokens": False}),
    # No model: the server's default.
    "webbrain-one/webbrain#2808": (CHAT, HELLO),
    "ollama/ollama#6089": (COMPLETIONS, {"prompt": "hello", "max_tokens": 20, "seed": 10}),
    # Clients without redirects, and a slash at the end of the path.
    "songquanpeng/one-api#533": (f"{CHAT}/", HELLO),
    # Messages without a type.
    "agentgateway/agentgateway#1159": (RESPONSES, {"input": [USER]}),
    "agentgateway/agentgateway#1100": (
        RESPONSES,
        {
            "input": [{"role": "system", "content": "test"}, USER],
            "parallel_tool_calls": False,
            "text": {"format": {"type": "text"}},
        },
    ),
    # Reasoning and texts of an earlier response, with their null fields.
    "openai/openai-agents-python#1616": (
        RESPONSES,
        {
            "include": [],
            "instructions": "Reply concisely.",
            "tools": [],
            "input": [
                USER,
                {"id": "rs_1", "summary": [], "type": "reasoning", "encrypted_content": None},
                {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [
                        {"type": "output_text", "text": "Hm", "annotations": [], "logprobs": None}
                    ],
                },
                USER,
            ],
        },
    ),
}


@pytest.mark.parametrize("source", ACCEPTED)
async def test_accepts_what_peers_refused(source: str) -> None:
    path, body = ACCEPTED[source]
    responder = FakeResponder()
    reply = await http_client(responder).post(path, json=body)
    assert (reply.status_code, reply.history) == (200, []), reply.text
    assert responder.requests[0].turns[-1].text == "hello"


REFUSED: dict[str, tuple[Body, int, str]] = {
    # A parameter that changes the prompt must not be ignored.
    "vllm-project/vllm#6890": (
        HELLO | {"truncate_prompt_tokens": 5},
        400,
        "truncate_prompt_tokens",
    ),
    "deepseek-ai/DeepSeek-V2#9": (HELLO | {"top_logprobs": 3}, 400, "logprobs: true"),
    # A settings object that was sent along.
    "stanfordnlp/dspy#974": (HELLO | {"port": 443, "url": ["localhost"]}, 400, "port"),
    "mistralai/mistral-common#324": (
        history({"role": "assistant", "content": None, "tool_calls": [CALL]}),
        400,
        "tools are not supported",
    ),
}


@pytest.mark.parametrize("source", REFUSED)
async def test_refuses_by_name(source: str) -> None:
    body, status, reason = REFUSED[source]
    reply = await http_client(FakeResponder()).post(CHAT, json=body)
    assert reply.status_code == status
    assert reason in reply.json()["error"]["message"]


async def chunks(chosen: tuple[TextChunk, ...] = CHUNKS, **fields: Any) -> list[Body]:
    body = HELLO | {"stream": True} | fields
    reply = await http_client(FakeResponder(chosen)).post(CHAT, json=body)
    return [json.loads(data) for _, data in sse_events(reply)[:-1]]


async def test_usage_is_not_sent_unasked() -> None:
    """Arthur-Ficial/apfel#100, Lambdua/openai4j#60: tutorials read choices[0] of each chunk."""
    found = await chunks()
    assert all(len(chunk["choices"]) == 1 for chunk in found)
    assert not any("usage" in chunk for chunk in found)


async def test_the_chunk_with_the_usage_has_choices() -> None:
    """ROCm/ATOM#1711: strict clients reject a chunk without the field."""
    *_, last = await chunks(stream_options={"include_usage": True})
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)


async def test_every_choice_has_a_finish_reason_that_is_null_or_a_name() -> None:
    """ollama/ollama#4357, sgl-project/sglang#3912, vllm-project/vllm#19662."""
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in await chunks()]
    assert reasons == [None, None, None, "stop"]


async def test_the_chunk_with_the_finish_reason_has_an_empty_delta() -> None:
    """vllm-project/vllm#36944, BerriAI/litellm#2692: the text came with the finish reason."""
    found = await chunks((TextChunk("Oh", 1, "length"),))
    assert [chunk["choices"][0]["delta"] for chunk in found[1:]] == [{"content": "Oh"}, {}]
    assert found[-1]["choices"][0]["finish_reason"] == "length"


async def test_chunks_have_deltas_alone() -> None:
    """perplexityai/api-discussion#209: chunks repeated the whole message."""
    assert not any("message" in chunk["choices"][0] for chunk in await chunks())


async def stream_text() -> tuple[httpx.Response, list[str]]:
    reply = await http_client(FakeResponder()).post(CHAT, json=HELLO | {"stream": True})
    return reply, [line for line in reply.text.split("\n") if line]


async def test_lines_of_a_stream_are_of_the_strictest_form() -> None:
    """SamSaffron/term-llm#487, dataelement/Clawith#106, lidge-jun/opencodex#1170."""
    reply, lines = await stream_text()
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert all(line.startswith("data: ") for line in lines)


async def test_a_stream_ends_with_done_and_has_json_before() -> None:
    """EricLBuehler/mistral.rs#1226, cline/cline#1786."""
    _, lines = await stream_text()
    assert lines[-1] == "data: [DONE]"
    assert all("choices" in json.loads(line.removeprefix("data: ")) for line in lines[:-1])


async def test_a_chat_stream_has_no_named_events() -> None:
    """NousResearch/hermes-agent#7989: clients took events of another kind for chunks."""
    _, lines = await stream_text()
    assert not any(line.startswith("event:") for line in lines)


async def logprobs_of(**fields: Any) -> list[Body]:
    body = HELLO | {"logprobs": True} | fields
    reply = await http_client(FakeResponder(LOGPROBS)).post(CHAT, json=body)
    found: list[Body] = reply.json()["choices"][0]["logprobs"]["content"]
    return found


@pytest.mark.parametrize("fields", [{}, {"top_logprobs": 0}, {"top_logprobs": None}], ids=str)
async def test_top_logprobs_are_a_list(fields: Body) -> None:
    """BerriAI/litellm#21932: null where the specification has a list."""
    assert [entry["top_logprobs"] for entry in await logprobs_of(**fields)] == [[], []]


async def test_bytes_and_numbers_are_never_null() -> None:
    """UKGovernmentBEIS/inspect_ai#42, xorbitsai/inference#5252: tokens without text."""
    found = await logprobs_of()
    assert [entry["bytes"] for entry in found] == [[79, 104], []]
    assert [entry["logprob"] for entry in found] == [-0.5, -9999.0]


async def test_a_complete_answer_has_a_finish_reason_and_nullable_fields() -> None:
    """PowerShell/AIShell#350, openai/openai-agents-python#1616: clients require the fields."""
    [choice] = (await http_client(FakeResponder()).post(CHAT, json=HELLO)).json()["choices"]
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)
    assert choice["message"]["refusal"] is None


async def test_an_empty_model_is_not_repeated() -> None:
    """BaseIntelligence/bounty-challenge#6888: the reply named no model."""
    reply = await http_client(FakeResponder()).post(CHAT, json=HELLO | {"model": ""})
    assert reply.json()["model"] == "auto"


async def test_models_are_listed_with_the_default_first() -> None:
    """madroidmaq/mlx-omni-server#130, tashfeenahmed/freellmapi#62: clients discover models."""
    models = (await http_client(FakeResponder()).get("/v1/models")).json()
    assert models["object"] == "list"
    assert models["data"][0]["id"] == "auto"


@pytest.mark.parametrize(("asked", "used"), [(5, 5), (300, 256)])
async def test_the_newer_name_of_the_limit_has_an_effect(asked: int, used: int) -> None:
    """abetlen/llama-cpp-python#1907, ikawrakow/ik_llama.cpp#2321: it was ignored."""
    responder = FakeResponder()
    await http_client(responder).post(CHAT, json=HELLO | {"max_completion_tokens": asked})
    assert responder.requests[0].sampling.max_tokens == used


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        # openai/openai-openapi#194, aws/chalice#306
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=UTF-8", 200),
        # diegosouzapw/OmniRoute#6414
        ("text/plain", 415),
    ],
)
async def test_content_types(content_type: str, status: int) -> None:
    body = json.dumps(HELLO).encode()
    headers = {"content-type": content_type}
    reply = await http_client(FakeResponder()).post(CHAT, content=body, headers=headers)
    assert reply.status_code == status


@pytest.mark.parametrize("authorization", ["Bearer noop", "Bearer ", "Basic x", ""])
async def test_a_server_without_keys_takes_any(authorization: str) -> None:
    """openai/openai-python#961, cline/cline#5670: clients insist on sending one."""
    headers = JSON | {"authorization": authorization}
    reply = await http_client(FakeResponder()).post(CHAT, json=HELLO, headers=headers)
    assert reply.status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_of_a_key_has_no_case(scheme: str, tmp_path: Path) -> None:
    """sgl-project/sglang#466: tools can send nothing but a bearer token."""
    secret = new_secret()
    row = f'[[keys]]\nname = "one"\nsha256 = "{sha256_of(secret)}"\nscopes = ["respond"]\n'
    (tmp_path / "keys.toml").write_text(row)
    client = http_client(FakeResponder(), keys=KeyRing(tmp_path / "keys.toml"))
    headers = {"authorization": f"{scheme} {secret}"}
    assert (await client.post(CHAT, json=HELLO, headers=headers)).status_code == 200


async def test_a_base_url_without_its_version_is_explained() -> None:
    """huggingface/huggingface_hub#2418."""
    client = openai_client(FakeResponder()).with_options(base_url="http://localhost")
    messages: Any = [USER]
    with pytest.raises(openai.NotFoundError, match="must end with /v1"):
        await client.chat.completions.create(model="auto", messages=messages)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_context_overflow_has_the_code_and_the_words_that_tools_look_for(
    stream: bool,
) -> None:
    """BerriAI/litellm#228 and #15968, OpenHands/OpenHands#8149, anomalyco/opencode#44888."""
    error = PromptTooLong("This model's maximum context length is 2048 tokens.")
    responder = FakeResponder(error=error)
    reply = await http_client(responder).post(CHAT, json=HELLO | {"stream": stream})
    found = reply.json()["error"]
    assert (reply.status_code, found["code"]) == (400, "context_length_exceeded")
    assert "maximum context length is" in found["message"]


async def response_events(responder: FakeResponder) -> list[Body]:
    reply = await http_client(responder).post(RESPONSES, json={"input": "hello", "stream": True})
    events = sse_events(reply)
    found = [json.loads(data) for _, data in events]
    assert [name for name, _ in events] == [event["type"] for event in found]
    return found


def has_sequence_numbers(events: list[Body]) -> bool:
    """onyx-dot-app/onyx#13624, ggml-org/llama.cpp#24957, openai-php/client#764."""
    return [event["sequence_number"] for event in events] == list(range(len(events)))


def has_status_and_output(events: list[Body]) -> bool:
    """diegosouzapw/OmniRoute#13964: responses and items without required fields."""
    responses = [event["response"] for event in events if "response" in event]
    items = [event["item"] for event in events if "item" in event]
    return (
        all("output" in one and "error" in one for one in responses)
        and [one["status"] for one in responses] == ["in_progress", "in_progress", "completed"]
        and [one["status"] for one in items] == ["in_progress", "completed"]
    )


def has_places(events: list[Body]) -> bool:
    """lemonade-sdk/lemonade#3607: deltas without output_index and content_index."""
    kinds = ("response.output_text", "response.content_part")
    parts = [event for event in events if event["type"].startswith(kinds)]
    return bool(parts) and all(
        (event["output_index"], event["content_index"]) == (0, 0) for event in parts
    )


@pytest.mark.parametrize(
    "check", [has_sequence_numbers, has_status_and_output, has_places], ids=lambda one: one.__name__
)
async def test_events_of_a_response(check: Callable[[list[Body]], bool]) -> None:
    assert check(await response_events(FakeResponder()))


async def test_errors_in_a_stream_of_events_are_numbered_too() -> None:
    """diegosouzapw/OmniRoute#13964."""
    events = await response_events(FakeResponder(CHUNKS[:1], error=EngineError("broken")))
    assert has_sequence_numbers(events)
    assert events[-1]["type"] == "response.failed"
