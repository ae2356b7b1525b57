"""Personas: the six built-in ones, and added ones that come with their adapter.

Each built-in persona is one TOML file in `models/personas/`. An added persona is the file
`persona.toml` in the folder of its adapter.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from models.emotions import LABELS, Emotion
from models.prompt import BASE_SPEAKER, USER
from models.schema import FrozenModel

PERSONA_FOLDER = Path(__file__).parent / "personas"
PERSONA_FILE = "persona.toml"
# These words have another meaning in the API, in metrics or in the prompt.
RESERVED_NAMES = {"auto", "base", "none", USER.lower(), BASE_SPEAKER.lower()}


def _check_not_reserved(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"the name {name} is reserved; choose another name for the persona")
    return name


PersonaName = Annotated[str, Field(pattern="^[a-z]{2,32}$"), AfterValidator(_check_not_reserved)]


class Persona(FrozenModel):
    """Name, voice and appearance of a persona."""

    name: str = Field(pattern=r"^[A-Z][a-z]+$", description="its name in the prompt")
    voice: str = Field(description="its tone, for people who write data or read the API")
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")
    emoji: str
    instruction: str = Field(description="given to the base model if there is no adapter")


class BuiltinPersona(Persona):
    """One of the six personas that the product ships, one for each emotion."""

    emotion: Emotion


@cache
def builtin_personas() -> dict[Emotion, BuiltinPersona]:
    """Load the six built-in personas, in label order.

    Raises pydantic's ValidationError for a malformed file.
    """
    return {label: BuiltinPersona.model_validate(_read_toml(label)) for label in LABELS}


def _read_toml(label: Emotion) -> dict[str, object]:
    return tomllib.loads((PERSONA_FOLDER / f"{label}.toml").read_text("utf-8"))


def speaker_name(persona: str) -> str:
    """Return the name of a persona in the prompt. No two personas share one."""
    return persona.capitalize()


def load_added_persona(folder: Path, persona: str) -> Persona | None:
    """Load the persona that an adapter brings, or None if it is a built-in one.

    Raises OSError or ValueError if the file is missing, malformed or not allowed.
    """
    file = folder / PERSONA_FILE
    if persona in LABELS:
        if file.exists():
            raise ValueError(f"{persona} is a built-in persona; remove {PERSONA_FILE}")
        return None
    added = Persona.model_validate(tomllib.loads(file.read_text("utf-8")))
    expected = speaker_name(persona)
    if added.name != expected:
        raise ValueError(f"name in {PERSONA_FILE} is {added.name!r}, expected {expected!r}")
    return added
