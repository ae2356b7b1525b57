"""Which persona answers which emotion, and how the engine is asked for it. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.emotions import Emotion
from models.personas import personas
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP


@dataclass(frozen=True, slots=True)
class Voice:
    """How an answer is generated: the speaker's name in the prompt, an adapter or an instruction, or neither (the bare base)."""

    speaker: str
    adapter: str | None = None
    instruction: str | None = None
    stop: str = PERSONA_STOP


BASE_VOICE = Voice(BASE_SPEAKER, stop=BASE_STOP)


def voice_of(persona: Emotion, adapters: Mapping[Emotion, str]) -> Voice:
    """`adapters` maps personas to versioned adapter names. A persona without one falls back on its instruction."""
    character = personas()[persona]
    if persona in adapters:
        return Voice(character.name, adapter=adapters[persona])
    return Voice(character.name, instruction=character.instruction)


def persona_for(emotion: Emotion) -> Emotion:
    """Every emotion is answered by the character of the same name: it is felt more strongly, never talked down."""
    return emotion
