"""Measures of generated answers that need no model.

Words are lower-case and without punctuation; an apostrophe inside a word is kept.
"""

from collections.abc import Sequence

from models.emotions import LABELS
from training.datasets.words import emotion_word_pattern, word_ngrams

REPETITION_WORDS = 4
ECHO_WORDS = 6
_EMOTION_WORD = emotion_word_pattern(LABELS)


def distinct(texts: Sequence[str], n: int) -> float:
    """Return distinct-n: the share of different word n-grams; 0 if there are none.

    See Li et al. 2016, https://arxiv.org/abs/1510.03055. It falls with the number of texts and
    their length, so only arms that answer the same messages can be compared.
    """
    grams = [gram for text in texts for gram in word_ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(text: str) -> float:
    """Return the share of 4-grams that already occurred in the text.

    This is seq-rep-4 of Welleck et al. 2020, https://arxiv.org/abs/1908.04319.
    """
    grams = word_ngrams(text, REPETITION_WORDS)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def has_echo(answer: str, message: str) -> bool:
    """Tell if the answer contains 6 consecutive words of the message.

    A shorter message cannot be echoed.
    """
    return not set(word_ngrams(answer, ECHO_WORDS)).isdisjoint(word_ngrams(message, ECHO_WORDS))


def mask_emotion_words(text: str, mask: str = "something") -> str:
    """Replace each word that names one of the six emotions, in any case.

    `joy's` becomes `something's`.
    """
    return _EMOTION_WORD.sub(lambda _: mask, text)
