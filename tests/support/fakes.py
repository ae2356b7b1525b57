"""Stages and manifests that unit tests of `serve` put in the place of the real ones."""

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
from serve.detector.replica import Detection, Scores
from serve.engine.protocol import Sampling
from serve.pipeline.messages import Message
from serve.responder.replica import Ask, Piece
from serve.tracing import Carrier

PERSONA_TOML = 'name = "{0}"\nvoice = "even"\ncolour = "#88aacc"\nemoji = "~"\ninstruction = "{0} is an even-tempered friend."\n'
ANSWER = (Piece("Oh"), Piece(" no"), Piece("", "stop", 5, 2))


def scores(best: Emotion) -> Scores:
    return tuple(0.75 if label is best else 0.05 for label in LABELS)


@dataclass
class FakeDeployments:
    """Records what reached it. `fails` is raised after the pieces, or by the detector if there are none."""

    pieces: tuple[Piece, ...] = ANSWER
    best: Emotion = Emotion.FEAR
    fails: Exception | None = None
    harm: Category | None = None
    harm_in: str | None = None
    read_texts: list[list[str]] = field(default_factory=list)
    traces: list[Carrier] = field(default_factory=list)
    asked: list[Ask] = field(default_factory=list)
    closed: bool = False

    async def read(self, texts: list[str], trace: Carrier) -> list[Detection]:
        self.read_texts.append(texts)
        self.traces.append(trace)
        if self.fails and not self.pieces:
            raise self.fails
        return [Detection(scores(self.best), self.harm if self.harm_in in {None, text} else None, "fake") for text in texts]

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        self.asked.append(ask)
        try:
            for piece in self.pieces:
                yield piece
            if self.fails:
                raise self.fails
        finally:
            self.closed = True


def message(*texts: str, emotion: str | None = None, bare: bool = False) -> Message:
    """Turns alternate, beginning with the user's."""
    turns = tuple(Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts))
    now_s = time.monotonic()
    return Message("m-1", turns, Sampling(max_tokens=9), now_s, now_s + 60, emotion, bare)


def adapter(persona: str = Emotion.JOY, rank: int = 8, folder: Path = Path("nowhere")) -> Adapter:
    """An adapter of which there is only the manifest."""
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


def write_adapter(folder: Path, persona: str, character: str | None = PERSONA_TOML, rank: int = 8) -> None:
    """A PEFT folder whose manifest is true. A persona beside the six brings its character, if any is given."""
    folder.mkdir(parents=True)
    config = {"r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    module = "base_model.model.model.layers.0.self_attn.q_proj.lora"
    shapes = {"A": (rank, 8), "B": (8, rank)}
    save_file(
        {f"{module}_{side}.weight": np.ones(shape, np.float32) for side, shape in shapes.items()}, folder / "adapter_model.safetensors"
    )
    if persona not in LABELS and character is not None:
        (folder / PERSONA_FILE).write_text(character.format(persona.capitalize()))
    adapter(persona, rank).manifest.model_copy(update={"content_hash": adapter_hash(folder)}).write(folder)
