"""Interface between the responder and an engine: token ids in, text chunks out.

`vllm_engine` and `scripted` implement it. An engine does not know personas, prompts or HTTP.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from models.generation import DEFAULT_MAX_TOKENS, DEFAULT_TEMPERATURE, DEFAULT_TOP_P
from models.manifest import Adapter
from models.prompt import Turn
from serve.telemetry.tracing import Carrier

FinishReason = Literal["stop", "length"]
BlendParts = Sequence[tuple[str, float]]  # versioned name and weight of each adapter


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters, named as in vLLM.

    Attributes:
        temperature: 0 is greedy.
        stop: strings that end the answer and are not part of it.
        min_tokens: nothing ends the answer before that many tokens.
        ignore_eos: the answer ends only at `max_tokens` or at a `stop` string.
        logprobs: likeliest tokens to report for each token; None for no log-probabilities.
        n: candidates, answers of which one is picked; above 1 only with a temperature above 0.
    """

    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float = DEFAULT_TEMPERATURE
    top_p: float = DEFAULT_TOP_P
    seed: int | None = None
    stop: tuple[str, ...] = ()
    min_tokens: int = 0
    ignore_eos: bool = False
    top_k: int = 0
    min_p: float = 0
    frequency_penalty: float = 0
    presence_penalty: float = 0
    repetition_penalty: float = 1
    logprobs: int | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Natural logarithm of a token's probability.

    Attributes:
        text: the token alone; empty if it is only a part of a character.
        top: text and log-probability of the likeliest tokens, best first.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class TextChunk:
    """Text of one or more tokens. The last chunk of an answer has a `finish_reason`.

    `logprobs` has an entry for each token if the request asks for them. Text may be held back for
    a `stop` string, so it can be shorter than they are.
    """

    text: str
    tokens: int
    finish_reason: FinishReason | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Current load of an engine.

    Attributes:
        running: answers that are being generated.
        adapters: versioned names of the resident adapters, without blends.
        blends: names of the resident blends.
    """

    running: int
    adapters: tuple[str, ...]
    blends: tuple[str, ...] = ()


class Encoder(Protocol):
    """Prompt encoder of an engine."""

    def prompt(
        self, speaker: str, turns: Sequence[Turn], instruction: str | None = None
    ) -> list[int]:
        """Return the token ids of a conversation that `speaker` continues.

        Other threads can run meanwhile.
        """
        ...

    def fewest_tokens(self, turns: Sequence[Turn]) -> int:
        """Return a number of tokens that the turns' prompt surely exceeds, at no cost."""
        ...


class Engine(Protocol):
    """A text generator that mixes adapters in one batch. Adapters go by their versioned name."""

    async def start(self) -> None:
        """Load the weights."""
        ...

    def generate(
        self,
        request_id: str,
        prompt: list[int],
        adapter: str | None,
        sampling: Sampling,
        trace: Carrier | None = None,
    ) -> AsyncGenerator[TextChunk]:
        """Yield chunks until the answer ends; tokens made between two reads are joined.

        With `n` above 1 there is a chunk for each candidate, its whole answer, once all have ended.
        The same seed gives the same candidates.

        Closing the generator aborts the request in the engine. `trace` is the parent span, for an
        engine that records spans.

        Raises:
            EngineError: the engine failed, or the adapter is not resident.
        """
        ...

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        """Return log-probabilities of the likeliest next tokens, by token id."""
        ...

    async def load(self, adapter: Adapter) -> None:
        """Make an adapter resident. Raises ArtifactError if the engine refuses it."""
        ...

    def check_blend(self, parts: BlendParts) -> None:
        """Raise InvalidRequest if the ranks of the parts are too high together."""
        ...

    async def load_blend(self, name: str, parts: BlendParts) -> None:
        """Make the weighted sum of resident adapters resident under a name of its own.

        Raises:
            ArtifactError: an adapter's folder was changed, or the engine refuses the sum.
            EngineError: a part is not resident.
            InvalidRequest: the ranks of the parts are too high together.
        """
        ...

    async def unload(self, versioned_name: str) -> None:
        """Free the slot of an adapter or blend. An unknown name is ignored. Raises EngineError."""
        ...

    async def health(self) -> None:
        """Raise EngineError if the engine cannot answer."""
        ...

    def stats(self) -> EngineStats:
        """Return the current load."""
        ...

    @property
    def operators(self) -> dict[str, str]:
        """Optional operators by name: `active`, or the reason why one is not."""
        ...

    async def stop(self) -> None:
        """Free everything. The engine cannot be used afterwards."""
        ...
