"""Requests of the pipeline, independent of HTTP and of Ray.

Times are of `time.monotonic`. `request_id` is ours and unique; `x_request_id` is the one that the
client knows. `trace` is the parent span.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.prompt import Turn
from serve.engine.protocol import Sampling
from serve.pipeline.quota import KeyLimits
from serve.responder.mix import AS_TRAINED
from serve.telemetry.tracing import Carrier


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Properties of a request that do not depend on its body."""

    request_id: str
    began_s: float
    deadline_s: float
    region: str | None = None  # ISO 3166; its helplines are named in a safety reply
    limits: KeyLimits | None = None
    x_request_id: str = ""
    trace: Carrier = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """A conversation to answer.

    Attributes:
        persona: the persona that answers; None for that of the detected emotion.
        base_model: answer as the base model, without an emotion.
        blend: share of each persona that answers with `persona`, which has the largest; empty
            for one persona alone.
        intensity: 1 as trained, 0 the base model with the persona's instruction.
        user: the client's name of the user; it decides who takes part in the trial of a version.
    """

    context: RequestContext
    turns: tuple[Turn, ...]
    sampling: Sampling
    persona: str | None = None
    base_model: bool = False
    blend: Mapping[str, float] = field(default_factory=dict)
    intensity: float = AS_TRAINED
    user: str | None = None
