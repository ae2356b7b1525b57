"""Request of the pipeline to the responder's generator."""

from dataclasses import dataclass, field

from models.prompt import Turn
from serve.engine.protocol import Sampling
from serve.responder.mix import Mix
from serve.telemetry.tracing import Carrier


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One text to generate.

    Attributes:
        persona: the speaker; None for the base model.
        trace: the parent span.
        mix: weights of the adapters; None for the speaker's alone, as trained.
        fallback: mix that is used if `mix` cannot be made; None if that is the client's error.
        user: the client's name of the user, by which conversations are recognised.
    """

    request_id: str
    persona: str | None
    turns: tuple[Turn, ...]
    sampling: Sampling
    trace: Carrier = field(default_factory=dict)
    mix: Mix | None = None
    user: str | None = None
    fallback: Mix | None = None
