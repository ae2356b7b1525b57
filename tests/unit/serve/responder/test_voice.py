"""Voice of a persona: adapter, instruction or neither."""

import pytest

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP
from serve.errors import InvalidRequest
from serve.responder.mix import Mix
from serve.responder.voice import BASE_VOICE, Voice, blend_name, voice_of


@pytest.mark.parametrize("persona", LABELS)
def test_persona_with_an_adapter_needs_no_instruction(persona: Emotion) -> None:
    aliases: dict[str, str] = {label: f"{label}@1" for label in LABELS}
    name = builtin_personas()[persona].name
    expected = Voice(name, f"{persona}@1", None, PERSONA_STOP, mix=Mix(((persona, 1.0),)))
    assert voice_of(persona, aliases) == expected


@pytest.mark.parametrize("persona", LABELS)
def test_persona_without_an_adapter_has_its_instruction(persona: Emotion) -> None:
    others: dict[str, str] = {label: f"{label}@1" for label in LABELS if label is not persona}
    definition = builtin_personas()[persona]
    expected = Voice(
        definition.name, None, definition.instruction, PERSONA_STOP, mix=mixed(**{persona: 0})
    )
    assert voice_of(persona, others) == expected


def test_added_persona_answers_only_with_its_adapter() -> None:
    expected = Voice("Calm", "calm@1", None, PERSONA_STOP, mix=mixed(calm=1.0))
    assert voice_of("calm", {"calm": "calm@1"}) == expected
    with pytest.raises(InvalidRequest, match="calm"):
        voice_of("calm", {"joy": "joy@1"})


def test_base_voice_has_neither_adapter_nor_instruction() -> None:
    assert Voice(BASE_SPEAKER, None, None, BASE_STOP) == BASE_VOICE


def mixed(**weights: float) -> Mix:
    return Mix(tuple(weights.items()))


def test_a_blend_speaks_under_the_speakers_name_with_an_adapter_of_its_own() -> None:
    mix = mixed(fear=0.3, joy=0.7)
    voice = voice_of("joy", {"joy": "joy@1", "fear": "fear@1"}, mix)
    assert (voice.speaker, voice.instruction, voice.mix) == ("Joy", None, mix)
    assert voice.parts == (("fear@1", 0.3), ("joy@1", 0.7))
    assert voice.adapter == blend_name(voice.parts)


def test_one_persona_as_trained_needs_no_blend() -> None:
    voice = voice_of("joy", {"joy": "joy@1"}, mixed(joy=1.0))
    assert (voice.adapter, voice.parts) == ("joy@1", ())
    assert voice == voice_of("joy", {"joy": "joy@1"})


def test_another_intensity_of_one_persona_is_a_blend_of_one() -> None:
    voice = voice_of("joy", {"joy": "joy@1"}, mixed(joy=1.3))
    assert voice.parts == (("joy@1", 1.3),)


def test_the_name_of_a_blend_is_that_of_its_content() -> None:
    parts = [("joy@1", 0.7), ("fear@1", 0.3)]
    others = [
        [("joy@1", 0.3), ("fear@1", 0.7)],
        [("joy@2", 0.7), ("fear@1", 0.3)],
        [("joy@1", 0.7)],
        [("joy@1", 0.75), ("fear@1", 0.3)],
    ]
    assert blend_name(parts) == blend_name(parts[::-1])
    assert len({blend_name(parts), *map(blend_name, others)}) == 5


def test_intensity_0_is_the_base_model_with_the_instruction() -> None:
    voice = voice_of("joy", {"joy": "joy@1"}, mixed(joy=0.0))
    assert (voice.adapter, voice.parts) == (None, ())
    assert voice.instruction == builtin_personas()[Emotion.JOY].instruction


def test_intensity_0_is_not_for_a_persona_without_an_instruction_here() -> None:
    with pytest.raises(InvalidRequest, match="calm speaks by its adapter alone"):
        voice_of("calm", {"calm": "calm@1"}, mixed(calm=0.0))


def test_a_persona_without_an_adapter_has_intensity_0() -> None:
    assert voice_of("joy", {}, mixed(joy=1.3)).mix == mixed(joy=0.0)


def test_a_persona_without_an_adapter_cannot_be_blended() -> None:
    with pytest.raises(InvalidRequest, match="fear cannot be blended"):
        voice_of("joy", {"joy": "joy@1"}, mixed(joy=0.5, fear=0.5))
