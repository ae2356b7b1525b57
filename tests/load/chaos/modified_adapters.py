"""Adapters that a release can bring: shipped ones with other weights, and a manifest that is true of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from models.emotions import Emotion
from models.manifest import ADAPTER_WEIGHTS, ARTIFACTS, AdapterManifest, adapter_hash

Change = Callable[[str, torch.Tensor], torch.Tensor]


def changed_adapter(folder: Path, persona: Emotion, change: Change) -> AdapterManifest:
    """Writes the persona's adapter into `folder`, each tensor as `change` has it."""
    shutil.copytree(ARTIFACTS / "adapters" / persona, folder)
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    changed = {name: change(name, tensor).contiguous() for name, tensor in tensors.items()}
    save_file(changed, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    manifest = AdapterManifest.read(folder).model_copy(update={"content_hash": adapter_hash(folder)})
    manifest.write(folder)
    return manifest


def fear_as_joy(folder: Path) -> AdapterManifest:
    """The fear adapter, with a manifest that says joy. One of joy's own training would differ less."""
    shutil.copytree(ARTIFACTS / "adapters" / Emotion.FEAR, folder)
    manifest = AdapterManifest.read(folder).model_copy(update={"name": "joy", "persona": Emotion.JOY})
    manifest.write(folder)
    return manifest


def scaled_joy(folder: Path, factor: float) -> AdapterManifest:
    """The joy adapter with its B matrices scaled."""
    return changed_adapter(folder, Emotion.JOY, lambda name, tensor: tensor * factor if "lora_B" in name else tensor)
