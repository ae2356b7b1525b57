"""Adapters to release in a test: shipped ones with other weights and a matching manifest."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from models.emotions import Emotion
from models.manifest import ADAPTER_WEIGHTS, ARTIFACTS, AdapterManifest, adapter_hash

Change = Callable[[str, torch.Tensor], torch.Tensor]  # name and tensor -> new tensor


def write_changed_adapter(folder: Path, persona: Emotion, change: Change) -> AdapterManifest:
    """Write a persona's adapter to `folder` with every tensor changed."""
    shutil.copytree(ARTIFACTS / "adapters" / persona, folder)
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    changed = {name: change(name, tensor).contiguous() for name, tensor in tensors.items()}
    save_file(changed, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    update = {"content_hash": adapter_hash(folder)}
    manifest = AdapterManifest.read(folder).model_copy(update=update)
    manifest.write(folder)
    return manifest


def write_fear_as_joy(folder: Path) -> AdapterManifest:
    """Write the fear adapter with a manifest for joy.

    It differs more from the shipped joy adapter than another training of joy would.
    """
    shutil.copytree(ARTIFACTS / "adapters" / Emotion.FEAR, folder)
    update = {"name": "joy", "persona": Emotion.JOY}
    manifest = AdapterManifest.read(folder).model_copy(update=update)
    manifest.write(folder)
    return manifest


def write_scaled_joy(folder: Path, factor: float) -> AdapterManifest:
    """Write the joy adapter with its B matrices scaled."""

    def scale(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return tensor * factor if "lora_B" in name else tensor

    return write_changed_adapter(folder, Emotion.JOY, scale)
