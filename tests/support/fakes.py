"""Fakes for the unit tests of `serve`: detector, generator, writer, handle and clock."""

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from models.safety.levels import Category, Finding, Level
from serve.detector.protocol import Detection, Input, Priority, Scores, turns_of
from serve.engine.protocol import Sampling, TextChunk
from serve.engine.scripted import script
from serve.errors import PromptTooLong
from serve.pipeline.answer import Answer
from serve.pipeline.messages import Message, RequestContext
from serve.responder.generator import Generation
from serve.responder.protocol import GenerationRequest
from serve.telemetry.tracing import Carrier

CHUNKS = (TextChunk("Oh", 1), TextChunk(" no", 1), TextChunk("", 0, "stop"))
PROMPT_TOKENS = 5
SCRIPTED_TOKENS = len(script(None).split())  # of a whole answer of the scripted engine


def scores(best: Emotion) -> Scores:
    """Build the scores of a text whose most likely emotion is `best`."""
    return tuple(0.75 if label is best else 0.05 for label in LABELS)


@dataclass
class FakeStages:
    """Detector and generator that return fixed results and record their requests."""

    chunks: tuple[TextChunk, ...] = CHUNKS
    emotion: Emotion = Emotion.FEAR  # of every text
    # Raised by the generator after its chunks, or by the detector if there are no chunks.
    error: Exception | None = None
    harm: Category | None = None
    concern: bool = False  # find a concern instead
    harmful_text: str | None = None  # the only turn with that harm; None means all turns
    classified: list[Sequence[Input]] = field(default_factory=list)
    priorities: list[Priority] = field(default_factory=list)
    traces: list[Carrier] = field(default_factory=list)
    requests: list[GenerationRequest] = field(default_factory=list)
    closed: bool = False  # whether the chunks' generator was closed
    released: bool = False  # whether the generation was closed, also before its first chunk

    async def ping(self) -> None:
        """Answer, or raise the configured error."""
        if self.error:
            raise self.error

    async def classify(
        self, inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
    ) -> list[Detection]:
        """Classify texts and conversations."""
        self.classified.append(inputs)
        self.priorities.append(priority)
        self.traces.append(trace)
        if self.error and not self.chunks:
            raise self.error
        return [self._detection(given) for given in inputs]

    def _detection(self, given: Input) -> Detection:
        texts = {turn.text for turn in turns_of(given) if turn.role == "user"}
        finding = self.finding if self.harmful_text in {None, *texts} else None
        return Detection(scores(self.emotion), finding, "fake", "en")

    @property
    def finding(self) -> Finding | None:
        """Return what the safety check finds."""
        if self.concern:
            return Finding(Level.CONCERN)
        return Finding(Level.CRISIS, self.harm) if self.harm else None

    async def generate(self, request: GenerationRequest) -> Generation:
        """Start a text, or raise the configured error if it is about the prompt."""
        if isinstance(self.error, PromptTooLong) and self.chunks is CHUNKS:
            raise self.error
        self.requests.append(request)
        adapter = f"{request.persona}@fake" if request.persona else None
        generation = Generation(adapter, PROMPT_TOKENS, self._generate(), request.mix)
        generation.held.callback(self._release)
        return generation

    def _release(self) -> None:
        self.released = True

    async def _generate(self) -> AsyncGenerator[TextChunk]:
        try:
            for chunk in self.chunks:
                yield chunk
            if self.error:
                raise self.error
        finally:
            self.closed = True


class RecordingWriter:
    """Writer that records each call with what it wrote."""

    def __init__(self) -> None:
        """Start with no calls."""
        self.steps: list[tuple[str, object]] = []

    async def emotion(self, answer: Answer) -> None:
        """Record the label, or None for the base model."""
        self.steps.append(("emotion", answer.emotion.label if answer.emotion else None))

    async def safety(self, answer: Answer) -> None:
        """Record the harm."""
        self.steps.append(("safety", answer.safety))

    async def text(self, answer: Answer, text: str) -> None:
        """Record the text."""
        self.steps.append(("text", text))

    async def done(self, answer: Answer) -> None:
        """Record the finish reason."""
        self.steps.append(("done", answer.finish_reason))


class FakeHandle:
    """Deployment handle whose calls reach the methods of a local object."""

    def __init__(self, target: object) -> None:
        """Call `target`."""
        self._target = target

    def __getattr__(self, name: str) -> SimpleNamespace:
        """Return the method as Serve's handles have it."""
        return SimpleNamespace(remote=getattr(self._target, name))


class FakeClock:
    """Clock that a test sets. Sleeping on it takes no time."""

    def __init__(self, now_s: float = 100.0) -> None:
        """Start at `now_s`."""
        self.now_s = now_s

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def pass_ms(self, ms: float) -> None:
        """Let time pass."""
        self.now_s += ms / 1000

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


def context(timeout_s: float = 60) -> RequestContext:
    """Build the context of a request that has just arrived."""
    now_s = time.monotonic()
    return RequestContext("m-1", now_s, now_s + timeout_s)


def message(
    *texts: str,
    persona: str | None = None,
    base_model: bool = False,
    request: RequestContext | None = None,
) -> Message:
    """Build a conversation whose turns alternate, beginning with the user's."""
    turns = tuple(
        Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)
    )
    return Message(request or context(), turns, Sampling(max_tokens=9), persona, base_model)
