"""Language: other languages are told, and no short or slangy English is taken for one."""

import json

import pytest

from models.text.language import LanguageDetector
from models.text.normalize import normalize
from training.datasets.persona_pairs import DATA
from training.datasets.sources import load_fresh


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("とても悲しい", "ja"),
        ("Ich bin so wütend auf meinen Bruder", "de"),
        ("je suis tellement heureux aujourd'hui", "fr"),
        ("no quiero vivir más", "es"),
        ("я очень устал", "ru"),
        ("مرحبا انا حزين", "ar"),
    ],
)
def test_other_languages_are_not_supported(
    detector: LanguageDetector, text: str, code: str
) -> None:
    found = detector.detect(normalize(text))
    assert (found.code, found.supported) == (code, False)


@pytest.mark.parametrize(
    "text",
    ["lol idk man", "im so tired innit", "haha ok", "meh", "no cap bro", "I dey vex o", "!?"],
)
def test_slang_and_short_words_count_as_english(detector: LanguageDetector, text: str) -> None:
    assert detector.detect(normalize(text)).supported


def test_messages_in_many_englishes_count_as_english(detector: LanguageDetector) -> None:
    lines = (DATA / "fresh_englishes.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["message"] for line in lines]
    texts += [example.text for example in load_fresh()]
    wrong = [text for text in texts if not detector.detect(normalize(text)).supported]
    assert wrong == []
