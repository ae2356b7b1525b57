"""What is never amplified: a message that speaks of harming oneself or somebody else; and what the probe that finds it claims to be."""

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from models.errors import ManifestError
from models.schema import FrozenModel, Sha256

HARM_WEIGHTS, HARM_MANIFEST = "harm.safetensors", "harm.json"


class Category(StrEnum):
    """Why a message is answered calmly, and by nobody's emotion."""

    SELF_HARM = "self-harm"
    VIOLENCE = "violence"


CATEGORIES = (None, *Category)  # in the order of the probabilities


class HarmManifest(FrozenModel):
    """What a probe claims to be. `threshold` is the probability of harmlessness below which a message is flagged."""

    schema_version: Literal[1] = 1
    kind: Literal["harm"] = "harm"
    content_hash: Sha256
    detector_hash: Sha256
    training_data_hash: Sha256
    threshold: float = Field(gt=0, lt=1)
    metrics: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest beside a detector's artefact. Raises ManifestError."""
        try:
            return cls.model_validate_json((folder / HARM_MANIFEST).read_bytes())
        except (OSError, ValidationError) as error:
            raise ManifestError(f"{folder} has no probe for messages of harm; fit one: python -m training harm {folder}") from error
