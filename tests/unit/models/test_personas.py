"""Emotions, and the persona files of the six emotions."""

import pytest
from pydantic import TypeAdapter, ValidationError

from models.emotions import LABELS, Emotion
from models.personas import (
    PERSONA_FOLDER,
    BuiltinPersona,
    PersonaName,
    builtin_personas,
    speaker_name,
)

JOY = {
    "name": "Joy",
    "emotion": "joy",
    "voice": "bright",
    "colour": "#f5b921",
    "emoji": ":)",
    "instruction": "Joy is glad.",
}
INVALID_NAMES = [
    *("auto", "base", "none", "friend", "answer"),
    *("Calm", "calm2", "c", "", "calm\n", "ca lm", "c" * 33),
]


def test_labels_have_the_order_of_the_logits() -> None:
    order = ["sadness", "joy", "love", "anger", "fear", "surprise"]
    assert [str(label) for label in LABELS] == order
    assert [label.id for label in LABELS] == [0, 1, 2, 3, 4, 5]


def test_emotion_formats_as_its_name() -> None:
    assert f"{Emotion.JOY}" == "joy"
    assert Emotion("fear") is Emotion.FEAR


def test_every_emotion_has_a_persona() -> None:
    assert list(builtin_personas()) == list(LABELS)
    assert [persona.emotion for persona in builtin_personas().values()] == list(LABELS)


def test_folder_contains_only_the_builtin_personas() -> None:
    names = {file.name for file in PERSONA_FOLDER.iterdir()}
    assert names == {f"{label}.toml" for label in LABELS}


@pytest.mark.parametrize("field", ["name", "colour", "emoji", "voice", "instruction"])
def test_no_two_personas_share_a_field(field: str) -> None:
    assert len({getattr(persona, field) for persona in builtin_personas().values()}) == 6


def test_speaker_name_is_the_name_of_the_persona() -> None:
    for label, persona in builtin_personas().items():
        assert speaker_name(label) == persona.name


@pytest.mark.parametrize("name", INVALID_NAMES)
def test_rejects_reserved_and_malformed_names(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PersonaName).validate_python(name)


def test_instruction_is_one_line_about_the_persona() -> None:
    for persona in builtin_personas().values():
        assert persona.instruction.startswith(f"{persona.name} ")
        assert "\n" not in persona.instruction


def test_rejects_unknown_field() -> None:
    with pytest.raises(ValidationError, match="mood"):
        BuiltinPersona.model_validate({**JOY, "mood": "sunny"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "joy"),
        ("name", "Joy: hi"),
        ("emotion", "boredom"),
        ("colour", "red"),
        ("colour", "#F5B921"),
    ],
)
def test_rejects_invalid_value(field: str, value: str) -> None:
    with pytest.raises(ValidationError, match=field):
        BuiltinPersona.model_validate({**JOY, field: value})


@pytest.mark.parametrize("field", sorted(JOY))
def test_rejects_missing_field(field: str) -> None:
    values = {key: value for key, value in JOY.items() if key != field}
    with pytest.raises(ValidationError, match=field):
        BuiltinPersona.model_validate(values)
