"""Asks for a streamed chat completion, of the graph or of a bare vLLM server, and writes down how it went."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from load.harness.outcomes import Outcome
from load.harness.workload import Asked
from models.personas import builtin_personas
from models.prompt import PERSONA_STOP, USER, one_line

Body = Callable[[Asked], dict[str, Any]]
TIMEOUT_S = 120


def of_graph(asked: Asked) -> dict[str, Any]:
    """The graph detects the emotion."""
    return _sampled(asked) | {"model": asked.persona or "auto", "messages": [{"role": "user", "content": asked.text}]}


def of_bare(asked: Asked) -> dict[str, Any]:
    """The client knows the persona and renders the prompt, of the same tokens."""
    prompt = f"{USER}: {one_line(asked.text)}\n{builtin_personas()[asked.emotion].name}:"
    return _sampled(asked) | {"model": str(asked.emotion), "messages": [{"role": "user", "content": prompt}]}


def _sampled(asked: Asked) -> dict[str, Any]:
    """The same dice on both sides, and the stop that the graph adds by itself."""
    return {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": asked.max_tokens,
        "stop": [PERSONA_STOP],
        "temperature": asked.temperature,
        "top_p": 0.8,
        "seed": asked.seed,
    }


async def complete(session: aiohttp.ClientSession, url: str, asked: Asked, body: Body) -> Outcome:
    """One completion. Whatever is not a whole answer counts as lost here: a benchmark with any is not one."""
    began_s, tokens_at_s, usage, text, problem = time.monotonic(), [], {}, "", None
    status = None
    try:
        async with asyncio.timeout(TIMEOUT_S), session.post(f"{url}/v1/chat/completions", json=body(asked)) as reply:
            status = reply.status
            if status != 200:
                problem = (await reply.text())[:200]
            async for raw in reply.content:
                line = raw.decode()
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                usage = chunk.get("usage") or usage
                piece = chunk["choices"][0]["delta"].get("content") if chunk.get("choices") else None
                if piece:
                    tokens_at_s.append(time.monotonic())
                    text += piece
    except (TimeoutError, aiohttp.ClientError) as error:
        problem = type(error).__name__
    return Outcome(
        emotion=asked.emotion,
        end="ok" if usage and not problem else "lost",
        began_s=began_s,
        ended_s=time.monotonic(),
        status=status,
        problem=problem,
        tokens_at_s=tuple(tokens_at_s),
        prompt_tokens=usage.get("prompt_tokens", 0),
        completion_tokens=usage.get("completion_tokens", 0),
        asked=asked.text,
        probe=asked.probe,
        text=text,
    )
