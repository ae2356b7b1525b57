"""The stages with a span around each call, where traces are kept. What is passed on carries that span instead of the request's."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from serve.detector.replica import Reading
from serve.pipeline.respond import Stages
from serve.responder.replica import Ask, Piece
from serve.tracing import Carrier, Tracing


class TracedStages:
    """Any stages, seen from the ingress."""

    def __init__(self, stages: Stages, tracing: Tracing) -> None:
        self._stages, self._tracing = stages, tracing

    async def read(self, texts: list[str], trace: Carrier) -> list[Reading]:
        with self._tracing.span("detect", trace, "CLIENT") as span:
            span.note(texts=len(texts))
            return await self._stages.read(texts, span.carrier)

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        with self._tracing.span("respond", ask.trace, "CLIENT") as span:
            async with aclosing(self._stages.respond(replace(ask, trace=span.carrier))) as pieces:
                async for piece in pieces:
                    yield piece
