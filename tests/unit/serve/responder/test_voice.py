"""Voice of a persona: adapter, instruction or neither."""

import pytest

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP
from serve.errors import InvalidRequest
from serve.responder.voice import BASE_VOICE, Voice, voice_of


@pytest.mark.parametrize("persona", LABELS)
def test_persona_with_an_adapter_needs_no_instruction(persona: Emotion) -> None:
    aliases: dict[str, str] = {label: f"{label}@1" for label in LABELS}
    name = builtin_personas()[persona].name
    assert voice_of(persona, aliases) == Voice(name, f"{persona}@1", None, PERSONA_STOP)


@pytest.mark.parametrize("persona", LABELS)
def test_persona_without_an_adapter_has_its_instruction(persona: Emotion) -> None:
    others: dict[str, str] = {label: f"{label}@1" for label in LABELS if label is not persona}
    definition = builtin_personas()[persona]
    expected = Voice(definition.name, None, definition.instruction, PERSONA_STOP)
    assert voice_of(persona, others) == expected


def test_added_persona_answers_only_with_its_adapter() -> None:
    assert voice_of("calm", {"calm": "calm@1"}) == Voice("Calm", "calm@1", None, PERSONA_STOP)
    with pytest.raises(InvalidRequest, match="calm"):
        voice_of("calm", {"joy": "joy@1"})


def test_base_voice_has_neither_adapter_nor_instruction() -> None:
    assert Voice(BASE_SPEAKER, None, None, BASE_STOP) == BASE_VOICE
