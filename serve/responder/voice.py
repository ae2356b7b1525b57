"""Voice of a persona: how the engine is prompted for its answers. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas, speaker_name
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP
from serve.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Voice:
    """Speaker's name in the prompt, with an adapter, an instruction, or neither (base model)."""

    speaker: str
    adapter: str | None = None
    instruction: str | None = None
    stop: str = PERSONA_STOP


BASE_VOICE = Voice(BASE_SPEAKER, stop=BASE_STOP)


def voice_of(persona: str, aliases: Mapping[str, str]) -> Voice:
    """Return a persona's voice.

    Args:
        persona: a built-in or an added persona.
        aliases: promoted adapter versions by persona. A built-in persona without one answers by
            its instruction.

    Raises:
        InvalidRequest: an added persona was rolled back after the request was accepted.
    """
    if persona in aliases:
        return Voice(speaker_name(persona), adapter=aliases[persona])
    if persona not in LABELS:
        raise InvalidRequest(f"persona {persona} is not promoted any more")
    definition = builtin_personas()[Emotion(persona)]
    return Voice(definition.name, instruction=definition.instruction)
