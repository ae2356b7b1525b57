"""Which character answers, and how the engine is asked for it."""

import pytest

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP
from serve.errors import InvalidRequest
from serve.responder.voice import BASE_VOICE, Voice, persona_for, voice_of


@pytest.mark.parametrize("persona", LABELS)
def test_a_persona_with_an_adapter_needs_no_instruction(persona: Emotion) -> None:
    adapters = {label: f"{label}@1" for label in LABELS}
    assert voice_of(persona, adapters) == Voice(builtin_personas()[persona].name, adapter=f"{persona}@1", instruction=None, stop=PERSONA_STOP)


@pytest.mark.parametrize("persona", LABELS)
def test_a_persona_without_an_adapter_is_told_who_it_is(persona: Emotion) -> None:
    others = {label: f"{label}@1" for label in LABELS if label is not persona}
    character = builtin_personas()[persona]
    assert voice_of(persona, others) == Voice(character.name, adapter=None, instruction=character.instruction, stop=PERSONA_STOP)


def test_a_persona_beside_the_six_has_an_adapter_or_does_not_answer() -> None:
    assert voice_of("calm", {"calm": "calm@1"}) == Voice("Calm", adapter="calm@1", instruction=None, stop=PERSONA_STOP)
    with pytest.raises(InvalidRequest, match="calm does not answer any more"):
        voice_of("calm", {"joy": "joy@1"})


def test_the_bare_base_has_neither_adapter_nor_instruction() -> None:
    assert Voice(BASE_SPEAKER, adapter=None, instruction=None, stop=BASE_STOP) == BASE_VOICE


@pytest.mark.parametrize("emotion", LABELS)
def test_every_emotion_is_answered_by_its_own_character(emotion: Emotion) -> None:
    assert persona_for(emotion) is emotion
