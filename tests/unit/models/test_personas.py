"""The six emotions and their characters."""

import pytest
from pydantic import TypeAdapter, ValidationError

from models.emotions import LABELS, Emotion
from models.personas import FOLDER, BuiltinPersona, PersonaName, builtin_personas, speaker_name

JOY = {"name": "Joy", "emotion": "joy", "voice": "bright", "colour": "#f5b921", "emoji": ":)", "instruction": "Joy is glad."}


def test_the_labels_stand_in_the_order_of_the_logits() -> None:
    numbered = {"sadness": 0, "joy": 1, "love": 2, "anger": 3, "fear": 4, "surprise": 5}
    assert {str(label): label.id for label in LABELS} == numbered
    assert [label.id for label in LABELS] == [0, 1, 2, 3, 4, 5]


def test_an_emotion_is_its_name_on_the_wire() -> None:
    assert f"{Emotion.JOY}" == "joy"
    assert Emotion("fear") is Emotion.FEAR


def test_every_emotion_has_its_own_persona() -> None:
    assert list(builtin_personas()) == list(LABELS)
    assert {label: persona.emotion for label, persona in builtin_personas().items()} == {label: label for label in LABELS}


def test_the_folder_holds_nothing_but_the_six() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {f"{label}.toml" for label in LABELS}


@pytest.mark.parametrize("field", ["name", "colour", "emoji", "voice", "instruction"])
def test_no_two_personas_share_a(field: str) -> None:
    assert len({getattr(persona, field) for persona in builtin_personas().values()}) == 6


def test_a_character_is_called_what_its_persona_is() -> None:
    assert {speaker_name(label): persona.name for label, persona in builtin_personas().items()} == {p.name: p.name for p in builtin_personas().values()}


@pytest.mark.parametrize("name", ["auto", "base", "none", "friend", "answer", "Calm", "calm2", "c", "", "calm\n", "ca lm", "c" * 33])
def test_a_name_that_means_something_else_or_is_no_word_is_no_personas(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PersonaName).validate_python(name)


def test_an_instruction_is_one_line_that_names_its_character() -> None:
    for persona in builtin_personas().values():
        assert persona.instruction.startswith(f"{persona.name} ")
        assert "\n" not in persona.instruction


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="mood"):
        BuiltinPersona.model_validate({**JOY, "mood": "sunny"})


@pytest.mark.parametrize(
    ("field", "value"), [("name", "joy"), ("name", "Joy: hi"), ("emotion", "boredom"), ("colour", "red"), ("colour", "#F5B921")]
)
def test_a_wrong_value_is_refused_by_name(field: str, value: str) -> None:
    with pytest.raises(ValidationError, match=field):
        BuiltinPersona.model_validate({**JOY, field: value})


@pytest.mark.parametrize("field", sorted(JOY))
def test_a_missing_key_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        BuiltinPersona.model_validate({key: value for key, value in JOY.items() if key != field})
