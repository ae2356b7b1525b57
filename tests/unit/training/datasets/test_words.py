"""Words, their n-grams, and the words that name an emotion."""

from models.emotions import LABELS, Emotion
from training.datasets.words import emotion_word_pattern, word_ngrams, words


def test_words_are_lower_case_and_keep_apostrophes() -> None:
    assert words("Don’t -- you_know, it's 5 O'CLOCK?") == [
        "don't",
        "you",
        "know",
        "it's",
        "5",
        "o'clock",
    ]
    assert words("😭 ...") == []


def test_word_ngrams_are_the_runs_of_words() -> None:
    assert word_ngrams("I can't, you know!", 3) == [("i", "can't", "you"), ("can't", "you", "know")]
    assert word_ngrams("too short", 3) == []


def test_emotion_words_match_only_those_of_the_emotion() -> None:
    joy = emotion_word_pattern([Emotion.JOY])
    assert joy.search("How DELIGHTFUL that is")
    assert not joy.search("I'm furious")
    assert not joy.search("gladiolus")


def test_every_emotion_names_itself() -> None:
    assert all(emotion_word_pattern([label]).fullmatch(label) for label in LABELS)
