"""Harm categories, and the manifest of the linear probe that finds them.

A message about self-harm or violence gets a safety reply and never a persona's answer.
"""

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from models.errors import ManifestError
from models.schema import FrozenModel, Sha256

HARM_WEIGHTS = "harm.safetensors"
HARM_MANIFEST = "harm.json"


class Category(StrEnum):
    """Kind of harm that a message is about."""

    SELF_HARM = "self-harm"
    VIOLENCE = "violence"


CATEGORIES = (None, *Category)  # in the order of the probe's probabilities


class HarmManifest(FrozenModel):
    """Manifest of a harm probe."""

    schema_version: Literal[1] = 1
    kind: Literal["harm"] = "harm"
    content_hash: Sha256
    detector_hash: Sha256
    training_data_hash: Sha256
    threshold: float = Field(
        gt=0, lt=1, description="a message is flagged if P(harmless) is below it"
    )
    metrics: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a detector's probe. Raises ManifestError."""
        try:
            return cls.model_validate_json((folder / HARM_MANIFEST).read_bytes())
        except (OSError, ValidationError) as error:
            raise ManifestError(
                f"{folder} has no valid harm probe; fit one: python -m training harm {folder}"
            ) from error
