"""The six characters that answer: one TOML file each in `models/personas/`."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from models.emotions import LABELS, Emotion

FOLDER = Path(__file__).parent / "personas"


class Persona(BaseModel):
    """A character: how it is named, how it sounds and how it is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Z][a-z]+$", description="what the character is called in the prompt")
    emotion: Emotion
    voice: str = Field(description="how it speaks, for people who write data or read the API")
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")
    emoji: str
    instruction: str = Field(description="what the base model is told where the persona has no adapter")


@cache
def personas() -> dict[Emotion, Persona]:
    """All six, in label order. Raises pydantic's ValidationError for a malformed file."""
    return {label: Persona.model_validate(tomllib.loads((FOLDER / f"{label}.toml").read_text("utf-8"))) for label in LABELS}
