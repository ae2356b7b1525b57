"""What comes into the pipeline and what comes out of it, in the order in which it may come."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.detector.harm import Category
from models.emotions import Emotion
from models.prompt import Turn
from serve.api.auth import Key
from serve.engine.protocol import Sampling
from serve.responder.voice import persona_for
from serve.tracing import Carrier


@dataclass(frozen=True, slots=True)
class Message:
    """`persona` None asks for that of the emotion that is detected; `bare` asks for the base model, without an emotion.

    `began_s` and `deadline_s` are of `time.monotonic`. `region` says whose helplines a message that speaks of harm is answered with.
    `x_request_id` is the one that the client knows, `trace` the span that this is part of.
    """

    request_id: str
    turns: tuple[Turn, ...]
    sampling: Sampling
    began_s: float
    deadline_s: float
    persona: str | None = None
    bare: bool = False
    region: str | None = None
    key: Key | None = None
    x_request_id: str = ""
    trace: Carrier = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of which only the emotions are asked, all of one request. The other fields are as a message's."""

    request_id: str
    texts: tuple[str, ...]
    began_s: float
    deadline_s: float
    key: Key | None = None
    x_request_id: str = ""
    trace: Carrier = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Detected:
    """The emotion, its score and all six. A chosen emotion has a score of 1. `asked` is a persona that was chosen and is no emotion's."""

    label: Emotion
    score: float
    scores: Mapping[Emotion, float]
    asked: str | None = None

    @property
    def persona(self) -> str:
        """Who answers."""
        return self.asked or persona_for(self.label)


@dataclass(frozen=True, slots=True)
class Flagged:
    """The message speaks of harm, and is not amplified."""

    category: Category


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of text, and the tokens of prompt and answer so far."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    timings_ms: Mapping[str, float]
    adapter: str | None = None


Event = Detected | Flagged | Said | Finished


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole one. `detected` is None for the bare base model, `flagged` for a message without harm."""

    detected: Detected | None
    flagged: Flagged | None
    text: str
    finished: Finished
