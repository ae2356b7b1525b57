"""The way of one message through the graph: detect, choose the persona, answer. It does not know of HTTP.

Message -> Detected (before any text) -> Said, Said, ... -> Finished
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from serve.detector import Scores
from serve.engine import Sampling
from serve.errors import EngineError
from serve.policy import persona_for
from serve.responder import Ask, Piece


@dataclass(frozen=True, slots=True)
class Message:
    """`emotion` None asks to detect it; `bare` asks for the base model, without detection. `deadline_s` is of `time.monotonic`."""

    request_id: str
    turns: tuple[Turn, ...]
    sampling: Sampling
    deadline_s: float
    emotion: Emotion | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Detected:
    """The emotion, its score and all six. A chosen emotion has a score of 1."""

    label: Emotion
    score: float
    scores: Mapping[Emotion, float]


@dataclass(frozen=True, slots=True)
class Said:
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    timings_ms: Mapping[str, float]


Event = Detected | Said | Finished


class Stages(Protocol):
    """The two stages, however they are reached."""

    async def detect(self, text: str) -> Scores: ...

    def respond(self, ask: Ask) -> AsyncGenerator[Piece]: ...


async def answer(stages: Stages, message: Message) -> AsyncGenerator[Event]:
    """The step at the top. Closing the generator ends the generation in the engine."""
    clock = _Clock()
    persona = None
    if not message.bare:
        detected = await _emotion(stages, message)
        clock.mark("detect")
        yield detected
        persona = persona_for(detected.label)
    ask = Ask(message.request_id, persona, message.turns, message.sampling, message.deadline_s - time.monotonic())
    async with aclosing(stages.respond(ask)) as pieces:
        async for piece in pieces:
            if piece.text:
                clock.mark("first_token")
                yield Said(piece.text)
            if piece.finish_reason:
                clock.mark("total")
                yield Finished(piece.finish_reason, piece.prompt_tokens, piece.completion_tokens, clock.marks)


async def collect(events: AsyncGenerator[Event]) -> tuple[Detected | None, str, Finished]:
    """A whole answer: the emotion (None for the bare base model), the text and the figures. Raises EngineError if it was cut."""
    detected, texts = None, []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Detected):
                detected = event
            elif isinstance(event, Said):
                texts.append(event.text)
            else:
                return detected, "".join(texts).rstrip(), event
    raise EngineError("the answer ended without its figures")


async def _emotion(stages: Stages, message: Message) -> Detected:
    if message.emotion is not None:
        return Detected(message.emotion, 1.0, {label: float(label is message.emotion) for label in LABELS})
    last = next(turn.text for turn in reversed(message.turns) if turn.role == "user")
    return to_detected(await stages.detect(last))


def to_detected(scores: Scores) -> Detected:
    """`scores` are six, in label order."""
    named = {label: round(score, 4) for label, score in zip(LABELS, scores, strict=True)}
    best = max(LABELS, key=lambda label: named[label])
    return Detected(best, named[best], named)


class _Clock:
    """Milliseconds since the start at which something first happened. What did not happen stays 0."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self.marks: dict[str, float] = {"detect": 0.0, "first_token": 0.0, "total": 0.0}

    def mark(self, what: str) -> None:
        if not self.marks[what]:
            self.marks[what] = round((time.perf_counter() - self._began_s) * 1000, 2)
