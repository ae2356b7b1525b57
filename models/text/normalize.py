"""Normalization of a text for detectors, the same in training and serving.

HTML entities -> emoji to words -> NFKC -> invisible characters -> stretched and endless words

What a persona reads and what a client gets back is the original text.
"""

import html
import re
import unicodedata

import emoji

JOINER = "\u200d"
MAX_JOINERS = 200  # in a word; more of them join nothing, since their cost would be quadratic
SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")
MAX_WORD_LETTERS = 100  # a longer word is one unknown token to the tokenizers
PIECE_LETTERS = 50
_HUGE_NUMBER = re.compile(r"&#[0-9]{1000,};?")  # Python refuses to convert 4,301 digits
_REPLACEMENT = "\ufffd"  # of a character that does not exist
_WORD = re.compile(r"\S+")
_LETTER = re.compile(r"[^\W\d_]", re.IGNORECASE)
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD_LETTERS + 1},}}")
_SPACES = re.compile(r"\s+")
ENDS_DOUBLED = frozenset("lsLS")  # kill, miss: a stretched word that ends in these keeps two


def normalize(text: str) -> str:
    """Return the text as detectors read it; empty if nothing in it is visible.

    An emoji becomes its name, without skin tone: `👍🏽` is `thumbs up`. A letter that is repeated
    three times or more is written twice, and once at the end of a word: `nooooo` is `no`.
    """
    text = _spell_emoji(_unescape(text))
    text = _drop_invisible(unicodedata.normalize("NFKC", text))
    text = _STRETCHED.sub(_shorten, text)
    return _SPACES.sub(" ", _LONG_WORD.sub(_split_word, text)).strip()


def is_visible(text: str) -> bool:
    """Return whether `normalize` leaves anything of a text, without normalizing all of it."""
    return any(map(normalize, set(_unescape(text))))


def _unescape(text: str) -> str:
    return html.unescape(_HUGE_NUMBER.sub(_REPLACEMENT, text))


def _spell_emoji(text: str) -> str:
    if text.isascii():
        return text
    return _WORD.sub(_spell_emoji_of_word, SKIN_TONES.sub("", text))


def _spell_emoji_of_word(match: re.Match[str]) -> str:
    """Spell the emoji of one word. `emoji` compares each character with each joiner before it."""
    word = match[0]
    if word.count(JOINER) > MAX_JOINERS:
        word = word.replace(JOINER, "")
    return emoji.replace_emoji(word, replace=_emoji_name)


def _emoji_name(_characters: str, data: dict[str, str]) -> str:
    """Return the name of an emoji in words: `:loudly_crying_face:` is `loudly crying face`."""
    return f" {data['en'].strip(':').replace('_', ' ')} "


def _drop_invisible(text: str) -> str:
    """Drop format characters; control characters and halves of surrogate pairs become spaces."""
    kinds = {character: unicodedata.category(character) for character in set(text)}
    table: dict[int, str] = {}
    for character, kind in kinds.items():
        if kind == "Cf" or _is_selector(character):
            table[ord(character)] = ""
        elif kind in {"Cc", "Cs"}:
            table[ord(character)] = " "
    return text.translate(table)


def _is_selector(character: str) -> bool:
    """Return whether a character only selects how the one before it is drawn, or draws nothing."""
    return character in "\u115f\u1160\u3164\uffa0\u2800\u034f" or "\ufe00" <= character <= "\ufe0f"


def _shorten(match: re.Match[str]) -> str:
    """Return what is left of a run of one letter: two of it, or one at the end of a word.

    A pattern that looks at the letter after the run would try every part of the run.
    """
    letter = match[1]
    ends_word = _LETTER.match(match.string, match.end()) is None
    return letter if ends_word and letter not in ENDS_DOUBLED else letter * 2


def _split_word(match: re.Match[str]) -> str:
    word = match[0]
    return " ".join(
        word[start : start + PIECE_LETTERS] for start in range(0, len(word), PIECE_LETTERS)
    )
