"""What the responder asks of an engine, and nothing more. `vllm_engine` and `scripted_engine` implement it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from models.manifest import Adapter
from serve.tracing import Carrier

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn, in vLLM's names. `temperature` 0 is greedy; `stop` are strings that end the answer and are not part of it.

    `ignore_eos` has the answer end nowhere but at its token limit and at `stop`, and nothing ends it before `min_tokens`.
    """

    max_tokens: int = 96
    temperature: float = 0.7
    top_p: float = 0.8
    seed: int | None = None
    stop: tuple[str, ...] = ()
    min_tokens: int = 0
    ignore_eos: bool = False
    top_k: int = 0
    min_p: float = 0
    frequency_penalty: float = 0
    presence_penalty: float = 0
    repetition_penalty: float = 1


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of an answer. The last one carries `finish_reason`."""

    text: str
    tokens: int
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What the engine does at this moment."""

    running: int
    adapters: tuple[str, ...]


class Engine(Protocol):
    """A text generator that mixes adapters in one batch. Adapters go by their versioned name."""

    async def start(self) -> None: ...

    def generate(
        self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling, trace: Carrier | None = None
    ) -> AsyncGenerator[TextChunk]:
        """Deltas until the answer ends. Closing the generator aborts the request in the engine. Raises EngineError.

        `trace` is the span that this is part of, for an engine that keeps traces.
        """
        ...

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        """Log-probabilities of the likeliest next tokens: what shows whether an adapter changes anything."""
        ...

    async def load(self, adapter: Adapter) -> None:
        """Makes an adapter resident. Raises ArtifactError if the engine refuses it."""
        ...

    async def unload(self, versioned_name: str) -> None: ...

    async def health(self) -> None:
        """Returns if the engine can answer. Raises EngineError."""
        ...

    def stats(self) -> EngineStats: ...

    async def stop(self) -> None: ...
