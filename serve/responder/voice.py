"""Voice of a persona: how the engine is prompted for its answers. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.emotions import LABELS, Emotion
from models.hashing import json_sha256
from models.personas import builtin_personas, speaker_name
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP
from serve.engine.protocol import BlendParts
from serve.errors import InvalidRequest
from serve.responder.mix import AS_TRAINED, Mix

BLEND_PREFIX = "blend@"


@dataclass(frozen=True, slots=True)
class Voice:
    """Speaker's name in the prompt, with an adapter, an instruction, or neither (base model).

    Attributes:
        adapter: versioned name of an adapter, or name of a blend.
        parts: adapters of the blend; empty if `adapter` is a version of a persona.
        mix: weights that are used; None for the base model.
    """

    speaker: str
    adapter: str | None = None
    instruction: str | None = None
    stop: str = PERSONA_STOP
    parts: BlendParts = ()
    mix: Mix | None = None


BASE_VOICE = Voice(BASE_SPEAKER, stop=BASE_STOP)


def voice_of(persona: str, aliases: Mapping[str, str], mix: Mix | None = None) -> Voice:
    """Return a persona's voice.

    Args:
        persona: the speaker, a built-in or an added persona.
        aliases: promoted adapter versions by persona. A built-in persona without one answers by
            its instruction.
        mix: weights of the adapters; None for the speaker's alone, as trained.

    Raises:
        InvalidRequest: a persona of the mix has no adapter, or an added persona was rolled back
            after the request was accepted.
    """
    mix = mix or Mix(((persona, AS_TRAINED),))
    alone = [name for name, _ in mix.weights] == [persona]
    if not mix.intensity or (alone and persona not in aliases):
        return _by_instruction(persona, aliases)
    missing = sorted(name for name, _ in mix.weights if name not in aliases)
    if missing:
        raise InvalidRequest(
            f"{', '.join(missing)} cannot be blended: only personas with an adapter can"
        )
    speaker = speaker_name(persona)
    if alone and mix.intensity == AS_TRAINED:
        return Voice(speaker, adapter=aliases[persona], mix=mix)
    parts = tuple(sorted((aliases[name], weight) for name, weight in mix.weights))
    return Voice(speaker, adapter=blend_name(parts), parts=parts, mix=mix)


def blend_name(parts: BlendParts) -> str:
    """Return the name of a blend. The same versions and weights always have the same one."""
    content = [[version, f"{weight:.2f}"] for version, weight in sorted(parts)]
    return f"{BLEND_PREFIX}{json_sha256(content)[:12]}"


def _by_instruction(persona: str, aliases: Mapping[str, str]) -> Voice:
    if persona in aliases and persona not in LABELS:
        raise InvalidRequest(
            f"intensity 0 is for the six built-in personas; {persona} speaks by its adapter alone"
        )
    if persona not in LABELS:
        raise InvalidRequest(f"persona {persona} is not promoted any more")
    definition = builtin_personas()[Emotion(persona)]
    return Voice(definition.name, instruction=definition.instruction, mix=Mix(((persona, 0.0),)))
