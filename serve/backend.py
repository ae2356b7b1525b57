"""Puts a responder's parts together for one configuration: engine, prompt encoder, adapters. Loading adapters is gated here."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.emotions import LABELS, Emotion
from models.errors import ArtifactError
from models.manifest import MANIFEST_FILE, Adapter, load_adapter
from models.materialize import materialize
from models.personas import personas
from models.prompt import PROMPT_VERSION, STOP_STRINGS, PromptEncoder, Turn
from serve.config import ResponderConfig
from serve.engine import Engine, Sampling
from serve.limits import Limits, derive_limits
from serve.scripted_engine import ScriptedEngine
from serve.vllm_engine import VllmEngine

CANARY = Turn("user", "Someone just knocked on my door.")
CANARY_SAMPLING = Sampling(max_tokens=12, temperature=0, stop=STOP_STRINGS)


class Encoder(Protocol):
    """Turns a conversation into token ids."""

    def prompt(self, speaker: str, turns: Sequence[Turn], instruction: str | None = None) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """`aliases` maps a persona to the versioned name of its adapter."""

    engine: Engine
    encoder: Encoder
    aliases: dict[Emotion, str]
    limits: Limits


class ScriptedEncoder:
    """One id a word, for the engine that reads none of them."""

    def prompt(self, speaker: str, turns: Sequence[Turn], instruction: str | None = None) -> list[int]:
        words = [word for turn in turns for word in turn.text.split()]
        return [int.from_bytes(hashlib.sha256(word.encode()).digest()[:2]) for word in [*words, speaker]]


async def open_backend(config: ResponderConfig) -> Backend:
    """Starts the engine and makes every adapter resident. Raises ArtifactError if anything is not what it should be."""
    if config.kind == "scripted":
        aliases = {label: f"{label}@scripted" for label in LABELS}
        return Backend(ScriptedEngine(tuple(aliases.values())), ScriptedEncoder(), aliases, derive_limits(config, []))
    base = materialize(config.base)
    adapters = find_adapters(config.adapters, base.sha256) if config.adapters else []
    limits = derive_limits(config, [adapter.manifest for adapter in adapters])
    engine = VllmEngine(base.folder, config.hardware, limits)
    await engine.start()
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    for adapter in adapters:
        await admit(engine, encoder, adapter)
    return Backend(engine, encoder, {a.manifest.persona: a.manifest.versioned_name for a in adapters}, limits)


def find_adapters(folder: Path, base_hash: str) -> list[Adapter]:
    """Every adapter in `folder`, checked. Raises ManifestError for one that is untrue, or for two of one persona."""
    adapters = [load_adapter(path.parent, base_hash, PROMPT_VERSION) for path in sorted(folder.glob(f"*/{MANIFEST_FILE}"))]
    if len({adapter.manifest.persona for adapter in adapters}) != len(adapters):
        raise ArtifactError(f"{folder} holds two adapters of one persona")
    return adapters


async def admit(engine: Engine, encoder: Encoder, adapter: Adapter) -> None:
    """Makes an adapter resident if it changes what the canary prompt is answered.

    A mis-prefixed adapter is otherwise a silent no-op: the engine loads it and answers as the base model. Raises ArtifactError.
    """
    name = adapter.manifest.versioned_name
    await engine.load(adapter)
    prompt = encoder.prompt(personas()[adapter.manifest.persona].name, [CANARY])
    if await _greedy(engine, prompt, name) == await _greedy(engine, prompt, None):
        await engine.unload(name)
        raise ArtifactError(f"{name} changes nothing: its canary answer is the base model's")


async def _greedy(engine: Engine, prompt: list[int], adapter: str | None) -> str:
    deltas = engine.generate(f"canary-{adapter}", prompt, adapter, CANARY_SAMPLING)
    return "".join([delta.text async for delta in deltas])
