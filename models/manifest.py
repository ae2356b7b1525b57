"""Manifests: what an artefact claims to be, and the check that it is.

A detector is the tensors in which it differs from its base weights; an adapter is a PEFT LoRA folder. Both lie beside a
`manifest.json` and carry a content hash, so that a name such as `joy@1f2e3d4c5b6a` can never mean two things.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator
from safetensors import SafetensorError

from models.emotions import LABELS, Emotion
from models.errors import ManifestError
from models.hashing import file_sha256, json_sha256
from models.lora_layout import Layers, check_tensors
from models.personas import PERSONA_FILE, Persona, PersonaName, load_added_persona
from models.schema import FrozenModel, Sha256

ARTIFACTS = Path(__file__).parent / "artifacts"
MANIFEST_FILE = "manifest.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
DETECTOR_WEIGHTS = "model.safetensors"
NO_LAYERS: Layers = {}


class _Manifest(FrozenModel):
    schema_version: Literal[1] = 1
    content_hash: Sha256
    base: str = Field(description="name of the base weights in the catalogue")
    base_hash: Sha256
    training_data_hash: Sha256
    metrics: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest of `folder`. Raises ManifestError naming what is wrong."""
        if not folder.is_dir():
            raise ManifestError(f"there is no artefact in {folder}: train one, then publish it or name its run (see training/recipes)")
        try:
            return cls.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        except (OSError, ValidationError) as error:
            raise ManifestError(f"{folder.name}: {error}") from error

    def write(self, folder: Path) -> None:
        (folder / MANIFEST_FILE).write_text(self.model_dump_json(indent=2) + "\n", "utf-8")


class DetectorManifest(_Manifest):
    """`temperature` divides the logits before the softmax; `labels` is the order of the logits.

    `lora_scale` multiplies the LoRA updates, None where the artefact has none.
    """

    kind: Literal["detector"] = "detector"
    labels: tuple[Emotion, ...] = LABELS
    max_tokens: int = Field(gt=0, le=8192)
    temperature: float = Field(gt=0)
    lora_scale: float | None = Field(default=None, gt=0)

    @field_validator("labels")
    @classmethod
    def _in_order(cls, labels: tuple[Emotion, ...]) -> tuple[Emotion, ...]:
        if labels != LABELS:
            raise ValueError(f"the logits are read in the order {', '.join(LABELS)}")
        return labels


class AdapterManifest(_Manifest):
    """A persona's LoRA adapter."""

    kind: Literal["adapter"] = "adapter"
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
    persona: PersonaName
    rank: int = Field(gt=0, le=512)
    alpha: int = Field(gt=0)
    target_modules: tuple[str, ...]
    prompt_version: str

    @property
    def versioned_name(self) -> str:
        """`name@content`: what the engine knows the adapter by, so that its prefix cache can never be stale."""
        return f"{self.name}@{self.content_hash[:12]}"


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter on disk whose manifest has been checked. `character` is what it brings where its persona is none of the six."""

    manifest: AdapterManifest
    folder: Path
    added_persona: Persona | None = None


def adapter_hash(folder: Path) -> str:
    """Content hash of a PEFT folder: its weights, the settings that change what they do, and the character that it brings, if any."""
    config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    settings = {key: config.get(key) for key in ("r", "lora_alpha", "target_modules", "use_rslora")}
    settings["target_modules"] = sorted(settings["target_modules"] or [])
    content = {"weights": file_sha256(folder / ADAPTER_WEIGHTS), "settings": settings}
    if (folder / PERSONA_FILE).exists():
        content["persona"] = file_sha256(folder / PERSONA_FILE)
    return json_sha256(content)


def load_adapter(folder: Path, base_hash: str, prompt_version: str, layers: Layers = NO_LAYERS) -> Adapter:
    """Checks an adapter against its manifest, its base and the prompt format. Raises ManifestError for the first untruth.

    `layers` are the base's, where they are at hand.
    """
    manifest = AdapterManifest.read(folder)
    try:
        _check_adapter(folder, manifest, base_hash, prompt_version)
        check_tensors(folder / ADAPTER_WEIGHTS, manifest.rank, manifest.target_modules, layers)
        character = load_added_persona(folder, manifest.persona)
    except (OSError, ValueError, SafetensorError) as error:
        raise ManifestError(f"{manifest.name}: {error}") from error
    return Adapter(manifest, folder, character)


def _check_adapter(folder: Path, manifest: AdapterManifest, base_hash: str, prompt_version: str) -> None:
    config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    claims = {
        "content hash": (manifest.content_hash, adapter_hash(folder)),
        "base-model hash": (manifest.base_hash, base_hash),
        "prompt format": (manifest.prompt_version, prompt_version),
        "rank": (manifest.rank, config.get("r")),
        "alpha": (manifest.alpha, config.get("lora_alpha")),
        "target modules": (sorted(manifest.target_modules), sorted(config.get("target_modules") or [])),
        "bias": ("none", config.get("bias", "none")),
        "modules_to_save": (None, config.get("modules_to_save") or None),
        "use_dora": (False, bool(config.get("use_dora"))),
        "rank_pattern": ({}, config.get("rank_pattern") or {}),
        "alpha_pattern": ({}, config.get("alpha_pattern") or {}),
    }
    for what, (claimed, found) in claims.items():
        if claimed != found:
            raise ManifestError(f"{manifest.name}: {what} is {found!r}, expected {claimed!r}")
