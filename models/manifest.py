"""Manifests of detectors and adapters, and the checks that an artifact matches its manifest.

A detector is the tensors that differ from its base weights; an adapter is a PEFT LoRA folder.
Each has a `manifest.json` with a content hash, so that a name such as `joy@1f2e3d4c5b6a` always
means the same weights.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator
from safetensors import SafetensorError

from models.emotions import LABELS, Emotion
from models.errors import ManifestError
from models.hashing import file_sha256, json_sha256
from models.lora_layout import Layers, check_tensors
from models.personas import PERSONA_FILE, Persona, PersonaName, load_added_persona
from models.schema import FrozenModel, Sha256

ARTIFACTS = Path(__file__).parent / "artifacts"
SAFETY_ARTIFACT = ARTIFACTS / "safety"
MANIFEST_FILE = "manifest.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
DETECTOR_WEIGHTS = "model.safetensors"
NO_LAYERS: Layers = {}


class _Manifest(FrozenModel):
    schema_version: Literal[1] = 1
    content_hash: Sha256
    base: str = Field(description="name of the base weights in the catalog")
    base_hash: Sha256
    training_data_hash: Sha256
    metrics: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of an artifact. Raises ManifestError with the reason."""
        if not folder.is_dir():
            raise ManifestError(
                f"no artifact at {folder}: train one first, then publish it "
                "or pass the folder of its run (see training/recipes)"
            )
        try:
            return cls.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        except (OSError, ValidationError) as error:
            raise ManifestError(f"{folder.name}: {error}") from error

    def write(self, folder: Path) -> None:
        """Write the manifest into the folder of its artifact. The file is replaced atomically."""
        new = folder / f"{MANIFEST_FILE}.new"
        new.write_text(self.model_dump_json(indent=2) + "\n", "utf-8")
        new.replace(folder / MANIFEST_FILE)

    def check_weights(self, folder: Path) -> Path:
        """Return the file of the weights. Raises ManifestError if it is not the manifest's."""
        file = folder / DETECTOR_WEIGHTS
        if not file.is_file():
            raise ManifestError(
                f"{folder.name}: {file.name} is missing; publish the artifact again"
            )
        if file_sha256(file) != self.content_hash:
            raise ManifestError(
                f"{folder.name}: {file.name} is damaged or of another training: its sha256 does not"
                " match the manifest; publish the artifact again"
            )
        return file


class DetectorManifest(_Manifest):
    """Manifest of a detector."""

    kind: Literal["detector"] = "detector"
    labels: tuple[Emotion, ...] = Field(default=LABELS, description="order of the logits")
    max_tokens: int = Field(gt=0, le=8192, description="longer texts are read in windows")
    temperature: float = Field(gt=0, description="divides the logits before the softmax")
    lora_scale: float | None = Field(
        default=None, gt=0, description="factor of the LoRA updates; none: no LoRA"
    )

    @field_validator("labels")
    @classmethod
    def _check_order(cls, labels: tuple[Emotion, ...]) -> tuple[Emotion, ...]:
        if labels != LABELS:
            raise ValueError(f"expected the labels in the order {', '.join(LABELS)}")
        return labels


class CriticManifest(_Manifest):
    """Manifest of a critic."""

    kind: Literal["critic"] = "critic"
    max_tokens: int = Field(gt=0, le=512, description="of conversation and answer together")


class Thresholds(FrozenModel):
    """Probabilities from which a window of a text is flagged."""

    crisis: float = Field(gt=0, lt=1, description="of a crisis")
    concern: float = Field(gt=0, lt=1, description="of a concern or a crisis together")


Pooling = Literal["mean", "max"]


class SafetyManifest(_Manifest):
    """Manifest of the safety classifier."""

    kind: Literal["safety"] = "safety"
    pooling: Pooling = Field(default="mean", description="of a window's hidden states")
    thresholds: Thresholds


class AdapterManifest(_Manifest):
    """Manifest of a persona's LoRA adapter."""

    kind: Literal["adapter"] = "adapter"
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
    persona: PersonaName
    rank: int = Field(gt=0, le=512)
    alpha: int = Field(gt=0)
    target_modules: tuple[str, ...]
    prompt_version: str

    @property
    def versioned_name(self) -> str:
        """Name of the adapter version, `name@hash`.

        The engine knows the adapter by this name, so its prefix cache can never be stale.
        """
        return f"{self.name}@{self.content_hash[:12]}"


@dataclass(frozen=True, slots=True)
class Adapter:
    """Adapter on disk that matches its manifest."""

    manifest: AdapterManifest
    folder: Path
    added_persona: Persona | None = None  # None if the persona is built in


def adapter_hash(folder: Path) -> str:
    """Return the content hash of a PEFT folder.

    It covers the weights, the settings that change the output, and the added persona, if any.
    """
    config = _read_adapter_config(folder)
    settings = {key: config.get(key) for key in ("r", "lora_alpha", "target_modules", "use_rslora")}
    settings["target_modules"] = sorted(settings["target_modules"] or [])
    content = {"weights": file_sha256(folder / ADAPTER_WEIGHTS), "settings": settings}
    if (folder / PERSONA_FILE).exists():
        content["persona"] = file_sha256(folder / PERSONA_FILE)
    return json_sha256(content)


def load_adapter(
    folder: Path, base_hash: str, prompt_version: str, layers: Layers = NO_LAYERS
) -> Adapter:
    """Load an adapter and check it against its manifest, base weights and prompt format.

    Its tensors must also fit `layers` of the base weights, if any are given.
    Raises ManifestError for the first mismatch.
    """
    manifest = AdapterManifest.read(folder)
    try:
        _check_adapter(folder, manifest, base_hash, prompt_version)
        check_tensors(folder / ADAPTER_WEIGHTS, manifest.rank, manifest.target_modules, layers)
        added_persona = load_added_persona(folder, manifest.persona)
    except (OSError, ValueError, SafetensorError) as error:
        raise ManifestError(f"{manifest.name}: {error}") from error
    return Adapter(manifest, folder, added_persona)


def _check_adapter(
    folder: Path, manifest: AdapterManifest, base_hash: str, prompt_version: str
) -> None:
    config = _read_adapter_config(folder)
    modules = sorted(config.get("target_modules") or [])
    checks = {  # expected and found
        "content hash": (manifest.content_hash, adapter_hash(folder)),
        "base-model hash": (manifest.base_hash, base_hash),
        "prompt format": (manifest.prompt_version, prompt_version),
        "rank": (manifest.rank, config.get("r")),
        "alpha": (manifest.alpha, config.get("lora_alpha")),
        "target modules": (sorted(manifest.target_modules), modules),
        "bias": ("none", config.get("bias", "none")),
        "modules_to_save": (None, config.get("modules_to_save") or None),
        "use_dora": (False, bool(config.get("use_dora"))),
        "rank_pattern": ({}, config.get("rank_pattern") or {}),
        "alpha_pattern": ({}, config.get("alpha_pattern") or {}),
    }
    for field, (expected, found) in checks.items():
        if found != expected:
            raise ManifestError(f"{manifest.name}: {field} is {found!r}, expected {expected!r}")


def _read_adapter_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    return config
