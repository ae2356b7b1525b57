"""State of one answer while it is made, and the interface of those who write it to a client.

The pipeline fills an `Answer` in this order and tells the writer after each step: emotion (before
any text), safety (if a turn speaks of harm), text (any number of times), done.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from models.emotions import LABELS, Emotion
from models.safety.levels import Finding
from serve.detector.protocol import Detection, Scores
from serve.engine.protocol import FinishReason, TextChunk, TokenLogprob
from serve.pipeline.messages import Message
from serve.responder.mix import Mix
from serve.telemetry.tracing import Carrier

PARTS = ("queue", "detect", "first_token", "generate")


@dataclass(frozen=True, slots=True)
class EmotionScores:
    """Emotion of a message, its score, the scores of all six, and how reliable they are.

    Attributes:
        language: ISO 639 code of the message, None where it cannot be told or was not.
        reliable: false for a message that is certainly not in English.
    """

    label: Emotion
    score: float
    scores: Mapping[Emotion, float]
    language: str | None = None
    reliable: bool = True


def emotion_scores(scores: Scores) -> EmotionScores:
    """Return the likeliest emotion of six calibrated scores in label order."""
    named = {label: round(score, 4) for label, score in zip(LABELS, scores, strict=True)}
    best = max(LABELS, key=lambda label: named[label])
    return EmotionScores(best, named[best], named)


def detected_emotion(detection: Detection) -> EmotionScores:
    """Return the likeliest emotion of a detection."""
    found = emotion_scores(detection.scores)
    return replace(found, language=detection.language, reliable=detection.reliable)


def chosen_emotion(label: Emotion) -> EmotionScores:
    """Return the scores of an emotion that the client has chosen."""
    return EmotionScores(label, 1.0, {other: float(other is label) for other in LABELS})


@dataclass(frozen=True, slots=True)
class Candidates:
    """Choice of one of several candidates.

    Attributes:
        n: answers that were written.
        score: the critic's probability that the picked one makes sense; None if the critic failed.
        discarded_tokens: tokens of the others.
    """

    n: int
    score: float | None
    discarded_tokens: int


class Timer:
    """Milliseconds of each part since the request's first byte; they sum up to the total.

    A part that did not happen took 0.
    """

    def __init__(self, began_s: float) -> None:
        """Start the first part at `began_s` of `time.monotonic`."""
        self._began_s = began_s
        self._last_s = began_s
        self._parts_ms: dict[str, float] = {}

    def mark(self, part: str) -> None:
        """End `part` now. Later calls for the same part do nothing."""
        if part not in self._parts_ms:
            now_s = time.monotonic()
            self._parts_ms[part] = round((now_s - self._last_s) * 1000, 2)
            self._last_s = now_s

    def timings_ms(self) -> dict[str, float]:
        """Return the parts and their total."""
        total_ms = round((self._last_s - self._began_s) * 1000, 2)
        return dict.fromkeys(PARTS, 0.0) | self._parts_ms | {"total": total_ms}


class Answer:
    """State of one answer.

    Attributes:
        emotion: None for the base model.
        persona: the one that answers; None for the base model and in a crisis.
        safety: what the safety check found in the user's turns.
        complete: whether the detector read the whole conversation.
        adapter: versioned name of the adapter that answers, or name of a blend; None if there is
            none.
        mix: weights of the personas' adapters; None if no persona answers.
        candidates: how the answer was picked; None if it was the only one.
        prompt_tokens: length of the prompt.
        completion_tokens: tokens generated so far.
        first_text_s: time of the first text.
        trace: parent span of what is done for this answer.
        finish_reason: None until the answer is complete.
        logprobs: an entry for each token so far, if the message asks for them.
    """

    def __init__(self, message: Message) -> None:
        """Start the timer at the first byte of the request."""
        self.message = message
        self.trace: Carrier = message.context.trace
        self.timer = Timer(message.context.began_s)
        self.emotion: EmotionScores | None = None
        self.persona: str | None = None
        self.safety: Finding | None = None
        self.complete = True
        self.adapter: str | None = None
        self.mix: Mix | None = None
        self.candidates: Candidates | None = None
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.first_text_s: float | None = None
        self.finish_reason: FinishReason | None = None
        self.logprobs: list[TokenLogprob] = []
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """Text so far, without white space at its end."""
        return "".join(self._texts).rstrip()

    def add(self, chunk: TextChunk) -> None:
        """Count a chunk's tokens; keep its text and log-probabilities."""
        self.completion_tokens += chunk.tokens
        self.logprobs += chunk.logprobs
        if chunk.text:
            self.timer.mark("first_token")
            self.first_text_s = self.first_text_s or time.monotonic()
            self._texts.append(chunk.text)

    def finish(self, reason: FinishReason) -> None:
        """Stop the timer."""
        self.timer.mark("generate")
        self.finish_reason = reason


class AnswerWriter(Protocol):
    """Writer of an answer to one client. Each method may wait until the client has read."""

    async def emotion(self, answer: Answer) -> None:
        """Write the emotion, or for the base model that there is none."""
        ...

    async def safety(self, answer: Answer) -> None:
        """Write what the safety check found."""
        ...

    async def text(self, answer: Answer, text: str) -> None:
        """Write the next part of the text."""
        ...

    async def done(self, answer: Answer) -> None:
        """Write everything else. The answer is complete."""
        ...


class Collector:
    """Writer for a client that wants the whole answer at once: it writes nothing."""

    async def emotion(self, answer: Answer) -> None:
        """Do nothing."""

    async def safety(self, answer: Answer) -> None:
        """Do nothing."""

    async def text(self, answer: Answer, text: str) -> None:
        """Do nothing: the answer keeps its text."""

    async def done(self, answer: Answer) -> None:
        """Do nothing."""
