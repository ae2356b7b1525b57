"""Streams of both APIs: server-sent events that begin with a status of their own, and never end without a word."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from sse_starlette import EventSourceResponse

from serve.errors import EngineError
from serve.pipeline.messages import Detected, Event

EMOTION_HEADER = "x-emotion"
PING_S = 15
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "with `stream`: events emotion, safety, delta, done, error"}
}
Wire = Callable[[AsyncGenerator[Event]], AsyncGenerator[Any]]


async def stream_of(events: AsyncGenerator[Event], wire: Wire) -> EventSourceResponse:
    """The events as `wire` writes them. What fails before the first one is an HTTP error like any other; its emotion is a header."""
    try:
        first = await anext(events)
    except StopAsyncIteration as error:
        raise EngineError("the answer ended before it began") from error
    return EventSourceResponse(
        wire(_all(first, events)),
        headers=emotion_headers(first),
        ping=PING_S,
        sep="\n",  # as OpenAI has it: `vllm bench serve` looks for nothing else between two events
    )


def emotion_headers(event: Event | None) -> dict[str, str]:
    return {EMOTION_HEADER: event.label} if isinstance(event, Detected) else {}


async def _all(first: Event, rest: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event
