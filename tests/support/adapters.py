"""Adapters for the tests: with a manifest only, or as a valid PEFT folder."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from models.emotions import LABELS, Emotion
from models.manifest import Adapter, AdapterManifest, adapter_hash
from models.personas import PERSONA_FILE

PERSONA_TOML = """\
name = "{0}"
voice = "even"
colour = "#88aacc"
emoji = "~"
instruction = "{0} is an even-tempered friend."
"""


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
