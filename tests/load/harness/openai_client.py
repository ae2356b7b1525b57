"""HTTP client for streamed chat completions of the graph or of `vllm serve`."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from load.harness.client import end_of_error
from load.harness.outcomes import End, Outcome
from load.harness.workload import Request
from models.personas import builtin_personas
from models.prompt import PERSONA_STOP, USER, one_line

BuildBody = Callable[[Request], dict[str, Any]]
TIMEOUT_S = 120
FINAL_EVENT = "[DONE]"


def graph_body(request: Request) -> dict[str, Any]:
    """Build the body for the graph, which detects the emotion itself."""
    return _sampling(request) | {
        "model": request.persona or "auto",
        "messages": [{"role": "user", "content": request.text}],
    }


def vllm_body(request: Request) -> dict[str, Any]:
    """Build the body for `vllm serve`: the client chooses the persona and renders the prompt.

    Both servers then read the same tokens.
    """
    persona = builtin_personas()[request.emotion].name
    prompt = f"{USER}: {one_line(request.text)}\n{persona}:"
    return _sampling(request) | {
        "model": str(request.emotion),
        "messages": [{"role": "user", "content": prompt}],
    }


def _sampling(request: Request) -> dict[str, Any]:
    """Build the sampling of both servers, with the stop that the graph adds itself."""
    return {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        "stop": [PERSONA_STOP],
        "temperature": request.temperature,
        "top_p": 0.8,
        "seed": request.seed,
    }


@dataclass
class _Completion:
    """State of one completion while it arrives."""

    request: Request
    started_s: float = field(default_factory=time.monotonic)
    status: int | None = None
    chunks_at_s: list[float] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)
    text: str = ""
    done: bool = False

    def record(self, data: str) -> None:
        if data == FINAL_EVENT:
            self.done = True
        if not data.startswith("{"):
            return
        chunk = json.loads(data)
        self.usage = chunk.get("usage") or self.usage
        text = chunk["choices"][0]["delta"].get("content") if chunk.get("choices") else None
        if text:
            self.chunks_at_s.append(time.monotonic())
            self.text += text

    def outcome(self, end: End, error: str | None = None) -> Outcome:
        return Outcome(
            emotion=self.request.emotion,
            end=end,
            started_s=self.started_s,
            ended_s=time.monotonic(),
            status=self.status,
            error=error,
            chunks_at_s=tuple(self.chunks_at_s),
            prompt_tokens=self.usage.get("prompt_tokens", 0),
            completion_tokens=self.usage.get("completion_tokens", 0),
            message=self.request.text,
            probe=self.request.probe,
            text=self.text,
        )


async def send_completion(
    session: aiohttp.ClientSession, url: str, request: Request, build_body: BuildBody
) -> Outcome:
    """Send one request to `/v1/chat/completions` of the server at `url`.

    An error status counts as lost here: a benchmark with failures in it is discarded as a whole.
    """
    completion = _Completion(request)
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            session.post(f"{url}/v1/chat/completions", json=build_body(request)) as response,
        ):
            completion.status = response.status
            return await _read(response, completion)
    except TimeoutError:
        return completion.outcome("lost", f"no end within {TIMEOUT_S} s")
    except aiohttp.ClientError as error:
        end = end_of_error(error, completion.status)
        return completion.outcome(end, type(error).__name__)


async def _read(response: aiohttp.ClientResponse, completion: _Completion) -> Outcome:
    if response.status != 200:
        return completion.outcome("lost", (await response.text())[:200])
    async for raw in response.content:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("data: "):
            completion.record(line.removeprefix("data: "))
    if completion.done and completion.usage:
        return completion.outcome("ok")
    return completion.outcome("lost", "the stream ended without its usage or its final event")
