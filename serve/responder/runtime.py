"""Puts a responder's parts together for one configuration: engine, prompt encoder, adapters. Loading adapters is gated here."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.emotions import LABELS
from models.errors import ArtifactError
from models.lora_layout import base_layers
from models.manifest import MANIFEST_FILE, Adapter, load_adapter
from models.memory import trim_heap
from models.personas import speaker_name
from models.prompt import PROMPT_VERSION, PromptEncoder, Turn
from models.weights.cache import Materialized, materialize
from serve.capacity import Limits, derive_limits
from serve.config import NO_TRACES, ResponderConfig, TracingConfig
from serve.engine.protocol import Engine
from serve.engine.scripted import ScriptedEngine
from serve.engine.vllm_engine import VllmEngine
from serve.errors import EngineError

CANARY = Turn("user", "Someone just knocked on my door.")
CANARY_SHIFT_NATS = 0.05  # well above what bf16 differs by when the batch or the cache differ, well below any trained adapter


class Encoder(Protocol):
    """Turns a conversation into token ids."""

    def prompt(self, speaker: str, turns: Sequence[Turn], instruction: str | None = None) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """`aliases` maps a persona to the versioned name of its adapter."""

    engine: Engine
    encoder: Encoder
    aliases: dict[str, str]
    limits: Limits


class ScriptedEncoder:
    """One id a word, for the engine that reads none of them."""

    def prompt(self, speaker: str, turns: Sequence[Turn], instruction: str | None = None) -> list[int]:
        words = [word for turn in turns for word in turn.text.split()]
        return [int.from_bytes(hashlib.sha256(word.encode()).digest()[:2]) for word in [*words, speaker]]


async def open_backend(config: ResponderConfig, tracing: TracingConfig = NO_TRACES) -> Backend:
    """Starts the engine and makes every adapter resident. Raises ArtifactError if anything is not what it should be."""
    if config.kind == "scripted":
        aliases: dict[str, str] = {label: f"{label}@scripted" for label in LABELS}
        return Backend(
            ScriptedEngine(tuple(aliases.values()), config.scripted_token_s, config.hardware.max_num_seqs, config.scripted_beside_s),
            ScriptedEncoder(),
            aliases,
            derive_limits(config, []),
        )
    base = materialize(config.base)
    adapters = find_adapters(config.adapters, base) if config.adapters else []
    limits = derive_limits(config, [adapter.manifest for adapter in adapters])
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    engine = VllmEngine(base.folder, encoder.tokenizer, config.hardware, limits, tracing)
    await engine.start()
    for adapter in adapters:
        await admit(engine, encoder, adapter, limits.max_lora_rank)
    trim_heap()
    return Backend(engine, encoder, {a.manifest.persona: a.manifest.versioned_name for a in adapters}, limits)


def find_adapters(folder: Path, base: Materialized) -> list[Adapter]:
    """Every adapter below `folder`, checked: the shipped ones, or those of a training run.

    Raises ManifestError for one that is untrue, ArtifactError for none at all or two of one persona.
    """
    layers = base_layers(base.folder)
    adapters = [load_adapter(path.parent, base.sha256, PROMPT_VERSION, layers) for path in sorted(folder.rglob(MANIFEST_FILE))]
    if not adapters:
        raise ArtifactError(f"{folder} holds no adapter; train some, or set adapters: null to answer by instruction alone")
    if len({adapter.manifest.persona for adapter in adapters}) != len(adapters):
        raise ArtifactError(f"{folder} holds two adapters of one persona")
    return adapters


async def admit(engine: Engine, encoder: Encoder, adapter: Adapter, max_rank: int) -> None:
    """Makes an adapter resident if it moves the canary prompt's log-probabilities, to numbers.

    A mis-prefixed adapter is otherwise a silent no-op: the engine loads it and answers as the base model. Raises ArtifactError.
    """
    name = adapter.manifest.versioned_name
    if adapter.manifest.rank > max_rank:
        raise ArtifactError(f"{name} has rank {adapter.manifest.rank}; the engine was started for {max_rank} at most")
    await engine.load(adapter)
    try:
        await _check_canary(engine, encoder.prompt(speaker_name(adapter.manifest.persona), [CANARY]), name)
    except BaseException:
        await engine.unload(name)
        raise


async def _check_canary(engine: Engine, prompt: list[int], name: str) -> None:
    try:
        changed, bare = await engine.next_token_logprobs(prompt, name), await engine.next_token_logprobs(prompt, None)
    except EngineError as error:
        raise ArtifactError(f"{name} was tried on the canary, and {error}") from error
    if any(math.isnan(logprob) for logprob in changed.values()):
        raise ArtifactError(f"{name} gives no numbers: the canary's log-probabilities are NaN")
    if largest_shift(changed, bare) < CANARY_SHIFT_NATS:
        raise ArtifactError(f"{name} changes nothing: the canary's log-probabilities are the base model's")


def largest_shift(left: Mapping[int, float], right: Mapping[int, float]) -> float:
    """The largest difference over the tokens that both rank highest; infinite where they share none."""
    common = left.keys() & right.keys()
    return max((abs(left[token] - right[token]) for token in common), default=math.inf)
