"""HTTP client for `/v1/respond` that turns every reply or failure into an outcome.

It never raises: a load test has to count failures, not to stop at the first one.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from load.harness.outcomes import End, Outcome
from load.harness.reply_checks import Check, accept_any
from load.harness.workload import Request

GRACE_S = 5.0  # after its deadline a request must end in some way within this time
REJECTED = {429, 503}
PROBLEM_PREFIX = "urn:face-your-emotions:"


@dataclass
class _Reply:
    """State of one reply while it arrives."""

    request: Request
    started_s: float = field(default_factory=time.monotonic)
    status: int | None = None
    retry_after_s: float | None = None
    emotion_at_s: float | None = None
    chunks_at_s: list[float] = field(default_factory=list)
    text: str = ""
    done: dict[str, Any] | None = None  # data of the final event, or the whole JSON document
    error: str | None = None

    def outcome(self, end: End, error: str | None = None) -> Outcome:
        done = self.done or {}
        usage = done.get("usage", {})
        return Outcome(
            emotion=self.request.emotion,
            end=end,
            started_s=self.started_s,
            ended_s=time.monotonic(),
            status=self.status,
            error=error or self.error,
            retry_after_s=self.retry_after_s,
            emotion_at_s=self.emotion_at_s,
            chunks_at_s=tuple(self.chunks_at_s),
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            detected=(done.get("emotion") or {}).get("label"),
            adapter=done.get("adapter"),
            timings_ms=done.get("timings_ms", {}),
            message=self.request.text,
            probe=self.request.probe,
            text=self.text,
        )


async def send_request(
    session: aiohttp.ClientSession,
    url: str,
    request: Request,
    timeout_s: float,
    check: Check = accept_any,
) -> Outcome:
    """Send one message to `/v1/respond` of the server at `url`, with a deadline of `timeout_s`."""
    reply = _Reply(request)
    headers = {"x-request-timeout-ms": str(round(timeout_s * 1000))}
    try:
        async with (
            asyncio.timeout(timeout_s + GRACE_S),
            session.post(
                f"{url}/v1/respond", json=request.respond_body(), headers=headers
            ) as response,
        ):
            reply.status = response.status
            return await _read(response, reply, check)
    except TimeoutError:
        return reply.outcome("hung", "no end within the deadline and the grace")
    except aiohttp.ClientError as error:
        return reply.outcome(end_of_error(error, reply.status), type(error).__name__)


def end_of_error(error: aiohttp.ClientError, status: int | None) -> End:
    """Classify a failed connection: an error that the client sees, or a lost request.

    A chunked body without its last chunk, or one shorter than its length, has failed explicitly.
    """
    cut = isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientConnectionError)
    return "failed_explicitly" if cut and status is not None else "lost"


async def _read(response: aiohttp.ClientResponse, reply: _Reply, check: Check) -> Outcome:
    if response.status != 200:
        return await _read_error(response, reply)
    if reply.request.stream:
        async for event, data in read_events(response.content):
            _record(event, data, reply)
    else:
        reply.done = await response.json()
        reply.text = reply.done["text"]
    if reply.error:
        return reply.outcome("failed_explicitly")
    if reply.done is None:
        return reply.outcome("lost", "the stream ended without its final event")
    wrong = check(reply.request, reply.text, reply.done.get("adapter"))
    return reply.outcome("wrong", wrong) if wrong else reply.outcome("ok")


async def _read_error(response: aiohttp.ClientResponse, reply: _Reply) -> Outcome:
    retry_after = response.headers.get("retry-after")
    reply.retry_after_s = float(retry_after) if retry_after else None
    if response.content_type != "application/problem+json":
        error = f"status {response.status} without a problem document: {response.content_type}"
        return reply.outcome("lost", error)
    reply.error = _slug(await response.json(content_type=None))
    return reply.outcome("rejected" if response.status in REJECTED else "failed_explicitly")


def _record(event: str, data: dict[str, Any], reply: _Reply) -> None:
    if event == "emotion":
        reply.emotion_at_s = time.monotonic()
    elif event == "delta":
        reply.chunks_at_s.append(time.monotonic())
        reply.text += data["text"]
    elif event == "done":
        reply.done = data
    elif event == "error":
        reply.error = _slug(data)


def _slug(problem: dict[str, Any]) -> str:
    return str(problem["type"]).removeprefix(PROBLEM_PREFIX)


async def read_events(stream: aiohttp.StreamReader) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Parse the name and data of server-sent events that have one line of each."""
    event = ""
    async for raw in stream:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
