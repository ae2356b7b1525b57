"""The characters that answer: the six, one TOML file each in `models/personas/`, and others, which come with an adapter of their own."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from models.emotions import LABELS, Emotion
from models.prompt import BASE_SPEAKER, USER
from models.schema import FrozenModel

FOLDER = Path(__file__).parent / "personas"
PERSONA_FILE = "persona.toml"
RESERVED = {"auto", "base", "none", USER.lower(), BASE_SPEAKER.lower()}  # they mean something else to a client, a metric or a prompt


def _free(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name} can be no persona's name")
    return name


PersonaName = Annotated[str, Field(pattern="^[a-z]{2,32}$"), AfterValidator(_free)]


class Persona(FrozenModel):
    """How a persona is named, how it sounds and how it is shown."""

    name: str = Field(pattern=r"^[A-Z][a-z]+$", description="what the character is called in the prompt")
    voice: str = Field(description="how it speaks, for people who write data or read the API")
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")
    emoji: str
    instruction: str = Field(description="what the base model is told where the persona has no adapter")


class BuiltinPersona(Persona):
    """One of the six: the character of an emotion."""

    emotion: Emotion


@cache
def builtin_personas() -> dict[Emotion, BuiltinPersona]:
    """All six, in label order. Raises pydantic's ValidationError for a malformed file."""
    return {label: BuiltinPersona.model_validate(tomllib.loads((FOLDER / f"{label}.toml").read_text("utf-8"))) for label in LABELS}


def speaker_name(persona: str) -> str:
    """What a persona is called in the prompt: its name, so that no two personas can speak as one."""
    return persona.capitalize()


def load_added_persona(folder: Path, persona: str) -> Persona | None:
    """The character that an adapter brings; None for the six, whose are here. Raises OSError or ValueError."""
    file = folder / PERSONA_FILE
    if persona in LABELS:
        if file.exists():
            raise ValueError(f"{persona} has a character, and {PERSONA_FILE} would be another")
        return None
    character = Persona.model_validate(tomllib.loads(file.read_text("utf-8")))
    if character.name != speaker_name(persona):
        raise ValueError(f"{PERSONA_FILE} names its character {character.name}, which must be {speaker_name(persona)}")
    return character
