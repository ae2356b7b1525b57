"""Asks as a user's program would, over HTTP, and writes down how it ended: never an exception, always an outcome."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from load.harness.outcomes import End, Outcome
from load.harness.workload import Asked

GRACE_S = 5.0  # after its deadline, in which an answer must have come to an end of some kind
Check = Callable[[Asked, str, str | None], str | None]  # what is wrong with a text and its adapter, if anything


def anything(_asked: Asked, _text: str, _adapter: str | None) -> str | None:
    return None


def by_its_persona(asked: Asked, _text: str, adapter: str | None) -> str | None:
    """The adapter is of the emotion that the message names."""
    if adapter is None or not adapter.startswith(f"{asked.emotion}@"):
        return f"{adapter} answered {asked.emotion}"
    return None


def as_scripted(asked: Asked, text: str, adapter: str | None) -> str | None:
    """The scripted engine says which adapter it was asked for, then its sentence, and the adapter again."""
    from serve.engine.scripted import script

    expected = " ".join(script(adapter).split()[: asked.max_tokens])
    wrong = by_its_persona(asked, text, adapter)
    if wrong:
        return wrong
    return None if text.strip() == expected else "other text than was generated"


@dataclass
class _Seen:
    """What has come of one answer so far."""

    asked: Asked
    began_s: float = field(default_factory=time.monotonic)
    status: int | None = None
    retry_after_s: float | None = None
    emotion_at_s: float | None = None
    tokens_at_s: list[float] = field(default_factory=list)
    text: str = ""
    done: dict[str, Any] | None = None
    problem: str | None = None

    def ended(self, end: End, problem: str | None = None) -> Outcome:
        done = self.done or {}
        return Outcome(
            emotion=self.asked.emotion,
            end=end,
            began_s=self.began_s,
            ended_s=time.monotonic(),
            status=self.status,
            problem=problem or self.problem,
            retry_after_s=self.retry_after_s,
            emotion_at_s=self.emotion_at_s,
            tokens_at_s=tuple(self.tokens_at_s),
            prompt_tokens=done.get("usage", {}).get("prompt_tokens", 0),
            completion_tokens=done.get("usage", {}).get("completion_tokens", 0),
            detected=(done.get("emotion") or {}).get("label"),
            adapter=done.get("adapter"),
            timings_ms=done.get("timings_ms", {}),
            asked=self.asked.text,
            probe=self.asked.probe,
            text=self.text,
        )


async def ask(session: aiohttp.ClientSession, url: str, asked: Asked, timeout_s: float, check: Check = anything) -> Outcome:
    """One message to `/v1/respond` of the server at `url`, with a deadline of `timeout_s`."""
    seen = _Seen(asked)
    try:
        async with asyncio.timeout(timeout_s + GRACE_S):
            headers = {"x-request-timeout-ms": str(round(timeout_s * 1000))}
            async with session.post(f"{url}/v1/respond", json=asked.own_body(), headers=headers) as reply:
                return await _read(reply, seen, check)
    except TimeoutError:
        return seen.ended("hung", "no end within deadline and grace")
    except aiohttp.ClientError as error:
        return seen.ended("lost", type(error).__name__)


async def _read(reply: aiohttp.ClientResponse, seen: _Seen, check: Check) -> Outcome:
    seen.status = reply.status
    if reply.status != 200:
        return await _refusal(reply, seen)
    if seen.asked.stream:
        async for event, data in events(reply.content):
            _take(event, data, seen)
    else:
        seen.done = await reply.json()
        seen.text = seen.done["text"]
    if seen.problem:
        return seen.ended("failed_explicitly")
    if seen.done is None:
        return seen.ended("lost", "the stream ended without a last event")
    wrong = check(seen.asked, seen.text, seen.done.get("adapter"))
    return seen.ended("wrong", wrong) if wrong else seen.ended("ok")


async def _refusal(reply: aiohttp.ClientResponse, seen: _Seen) -> Outcome:
    after = reply.headers.get("retry-after")
    seen.retry_after_s = float(after) if after else None
    if reply.content_type != "application/problem+json":
        return seen.ended("lost", f"{reply.status} that is not ours: {reply.content_type}")
    seen.problem = str((await reply.json(content_type=None))["type"]).removeprefix("urn:face-your-emotions:")
    return seen.ended("refused" if reply.status in {429, 503} else "failed_explicitly")


def _take(event: str, data: dict[str, Any], seen: _Seen) -> None:
    if event == "emotion":
        seen.emotion_at_s = time.monotonic()
    elif event == "delta":
        seen.tokens_at_s.append(time.monotonic())
        seen.text += data["text"]
    elif event == "done":
        seen.done = data
    elif event == "error":
        seen.problem = str(data["type"]).removeprefix("urn:face-your-emotions:")


async def events(stream: aiohttp.StreamReader) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Names and data of server-sent events, as this server writes them: one line of each, then an empty one."""
    event = ""
    async for raw in stream:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
