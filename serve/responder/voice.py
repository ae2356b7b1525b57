"""Which persona answers which emotion, and how the engine is asked for it. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas, speaker_name
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP
from serve.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Voice:
    """How an answer is generated: the speaker's name in the prompt, an adapter or an instruction, or neither (the bare base)."""

    speaker: str
    adapter: str | None = None
    instruction: str | None = None
    stop: str = PERSONA_STOP


BASE_VOICE = Voice(BASE_SPEAKER, stop=BASE_STOP)


def voice_of(persona: str, adapters: Mapping[str, str]) -> Voice:
    """`adapters` maps personas to versioned adapter names. One of the six without falls back on its instruction.

    Raises InvalidRequest for any other: it has been rolled back since it was asked for.
    """
    if persona in adapters:
        return Voice(speaker_name(persona), adapter=adapters[persona])
    if persona not in LABELS:
        raise InvalidRequest(f"{persona} does not answer any more")
    character = builtin_personas()[Emotion(persona)]
    return Voice(character.name, instruction=character.instruction)


def persona_for(emotion: Emotion) -> Emotion:
    """Every emotion is answered by the character of the same name: it is felt more strongly, never talked down."""
    return emotion
