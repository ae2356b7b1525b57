"""Request of the pipeline to the responder's generator."""

from dataclasses import dataclass, field

from models.prompt import Turn
from serve.engine.protocol import Sampling
from serve.tracing import Carrier


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One text to generate. `persona` None is the base model; `trace` is the parent span."""

    request_id: str
    persona: str | None
    turns: tuple[Turn, ...]
    sampling: Sampling
    trace: Carrier = field(default_factory=dict)
