"""The way of one message through the graph: check, detect, choose the persona, answer. It does not know of HTTP.

Message -> Detected (before any text) -> Said, Said, ... -> Finished
                                      -> Flagged -> Said -> Finished, if it speaks of harm: calm words instead of a persona's
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from models.emotions import LABELS, Emotion
from serve.detector.replica import Reading, Scores
from serve.errors import EngineError
from serve.pipeline.messages import Answer, Detected, Event, Finished, Flagged, Message, Said
from serve.pipeline.safety import calm_answer
from serve.responder.replica import Ask, Piece
from serve.tracing import Carrier

TURNS_READ = 4  # of the user's, the last ones: what one of them says of harm holds for all that is answered to it


class Stages(Protocol):
    """The stages, however they are reached."""

    async def read(self, texts: list[str], trace: Carrier) -> list[Reading]: ...

    def respond(self, ask: Ask) -> AsyncGenerator[Piece]: ...


async def answer(stages: Stages, message: Message, harm: bool = True) -> AsyncGenerator[Event]:
    """The step at the top. Closing the generator ends the generation in the engine. `harm` says whether the detector looks for it."""
    clock = _Clock(message.began_s)
    clock.mark("queue")
    readings: list[Reading] = []
    if harm or not (message.bare or message.persona in LABELS):  # otherwise nobody needs to know
        readings = await stages.read([turn.text for turn in message.turns if turn.role == "user"][-TURNS_READ:], message.trace)
        clock.mark("detect")
    category = next((reading.harm for reading in reversed(readings) if reading.harm), None)
    detected = None if message.bare else _emotion(message, readings)
    if detected is not None:
        yield detected
    if category is not None:
        yield Flagged(category)
        yield Said(calm_answer(category, message.region))
        yield Finished("stop", 0, 0, clock.done())
        return
    persona = detected.persona if detected else None
    ask = Ask(message.request_id, persona, message.turns, message.sampling, message.deadline_s - time.monotonic(), message.trace)
    async with aclosing(stages.respond(ask)) as pieces:
        async for piece in pieces:
            if piece.text:
                clock.mark("first_token")
                yield Said(piece.text, piece.prompt_tokens, piece.completion_tokens)
            if piece.finish_reason:
                yield Finished(piece.finish_reason, piece.prompt_tokens, piece.completion_tokens, clock.done(), piece.adapter)


async def collect(events: AsyncGenerator[Event]) -> Answer:
    """A whole answer. Raises EngineError if it was cut."""
    detected, flagged, texts = None, None, list[str]()
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Detected):
                detected = event
            elif isinstance(event, Flagged):
                flagged = event
            elif isinstance(event, Said):
                texts.append(event.text)
            else:
                return Answer(detected, flagged, "".join(texts).rstrip(), event)
    raise EngineError("the answer ended without its figures")


def _emotion(message: Message, readings: list[Reading]) -> Detected:
    """The one that was asked for, or that of the user's last turn, whoever else is to answer it."""
    if message.persona in LABELS:
        chosen = Emotion(message.persona)
        return Detected(chosen, 1.0, {label: float(label is chosen) for label in LABELS})
    return replace(to_detected(readings[-1].scores), asked=message.persona)


def to_detected(scores: Scores) -> Detected:
    """`scores` are six, in label order."""
    named = {label: round(score, 4) for label, score in zip(LABELS, scores, strict=True)}
    best = max(LABELS, key=lambda label: named[label])
    return Detected(best, named[best], named)


class _Clock:
    """Milliseconds that each part took, from the request's first byte on; together they are the total. What did not happen took 0."""

    def __init__(self, began_s: float) -> None:
        self._began_s = self._last_s = began_s
        self._parts_ms = dict.fromkeys(("queue", "detect", "first_token", "generate"), 0.0)

    def mark(self, part: str) -> None:
        """That part ends now, if it has not ended before."""
        if not self._parts_ms[part]:
            now_s = time.monotonic()
            self._parts_ms[part], self._last_s = round((now_s - self._last_s) * 1000, 2), now_s

    def done(self) -> dict[str, float]:
        self.mark("generate")
        return self._parts_ms | {"total": round((self._last_s - self._began_s) * 1000, 2)}
