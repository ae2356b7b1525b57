"""Fake deployments and adapters for the unit tests of `serve`."""

import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from models.detector.harm import Category
from models.emotions import LABELS, Emotion
from models.manifest import Adapter, AdapterManifest, adapter_hash
from models.personas import PERSONA_FILE
from models.prompt import Turn
from serve.detector.protocol import Detection, Scores
from serve.engine.protocol import Sampling
from serve.pipeline.messages import Message
from serve.responder.replica import Ask, Piece
from serve.tracing import Carrier

PERSONA_TOML = """\
name = "{0}"
voice = "even"
colour = "#88aacc"
emoji = "~"
instruction = "{0} is an even-tempered friend."
"""
ANSWER = (Piece("Oh"), Piece(" no"), Piece("", "stop", 5, 2))


def scores(best: Emotion) -> Scores:
    """Build the scores of a text whose most likely emotion is `best`."""
    return tuple(0.75 if label is best else 0.05 for label in LABELS)


@dataclass
class FakeDeployments:
    """Detector and responder that return fixed results and record their requests."""

    chunks: tuple[Piece, ...] = ANSWER
    emotion: Emotion = Emotion.FEAR  # of every text
    # Raised by the responder after its chunks, or by the detector if there are no chunks.
    error: Exception | None = None
    harm: Category | None = None
    harmful_text: str | None = None  # the only text with that harm; None means all texts
    classified_texts: list[list[str]] = field(default_factory=list)
    traces: list[Carrier] = field(default_factory=list)
    requests: list[Ask] = field(default_factory=list)
    closed: bool = False  # whether a reply's generator was closed

    async def read(self, texts: list[str], trace: Carrier) -> list[Detection]:
        """Classify texts."""
        self.classified_texts.append(texts)
        self.traces.append(trace)
        if self.error and not self.chunks:
            raise self.error
        return [self._detection(text) for text in texts]

    def _detection(self, text: str) -> Detection:
        harm = self.harm if self.harmful_text in {None, text} else None
        return Detection(scores(self.emotion), harm, "fake")

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        """Stream the chunks of a reply."""
        self.requests.append(ask)
        try:
            for chunk in self.chunks:
                yield chunk
            if self.error:
                raise self.error
        finally:
            self.closed = True


def message(*texts: str, emotion: str | None = None, bare: bool = False) -> Message:
    """Build a conversation whose turns alternate, beginning with the user's."""
    turns = tuple(
        Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)
    )
    now_s = time.monotonic()
    return Message("m-1", turns, Sampling(max_tokens=9), now_s, now_s + 60, emotion, bare)


def adapter(persona: str = Emotion.JOY, rank: int = 8, folder: Path = Path("nowhere")) -> Adapter:
    """Build an adapter that has a manifest but no files."""
    sha = "0123456789ab" + "0" * 52
    manifest = AdapterManifest(
        content_hash=sha,
        base="tiny",
        base_hash=sha,
        training_data_hash=sha,
        metrics={},
        name=str(persona),
        persona=persona,
        rank=rank,
        alpha=2 * rank,
        target_modules=("q_proj",),
        prompt_version="friend-1",
    )
    return Adapter(manifest, folder)


def write_adapter(
    folder: Path, persona: str, persona_toml: str | None = PERSONA_TOML, rank: int = 8
) -> None:
    """Write a valid PEFT folder with a matching manifest.

    An added persona gets the persona file as well, unless `persona_toml` is None.
    """
    folder.mkdir(parents=True)
    config = {"r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(_lora_tensors(rank), folder / "adapter_model.safetensors")
    if persona not in LABELS and persona_toml is not None:
        (folder / PERSONA_FILE).write_text(persona_toml.format(persona.capitalize()))
    manifest = adapter(persona, rank).manifest
    manifest.model_copy(update={"content_hash": adapter_hash(folder)}).write(folder)


def _lora_tensors(rank: int) -> dict[str, np.ndarray]:
    module = "base_model.model.model.layers.0.self_attn.q_proj.lora"
    shapes = {"A": (rank, 8), "B": (8, rank)}
    return {f"{module}_{side}.weight": np.ones(shape, np.float32) for side, shape in shapes.items()}
