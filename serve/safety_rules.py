"""Tells by rule what a message must not be amplified for. The patterns are data, in `safety_patterns`; it does not know of models.

A text is spelled out plainly, ordinary idioms are taken out of it, and what is left is searched for what is risky.
"""

import re
import unicodedata
from typing import Final

from serve.safety import Category
from serve.safety_patterns import (
    IDIOMS,
    REALITY,
    SELF_HARM_OTHERS,
    SELF_HARM_OWN,
    SPELLINGS,
    STORIES,
    VIOLENCE_PLANS,
    VIOLENCE_WISHES,
    WORDS,
)

LONGEST_STORY = 60  # words; a whole message without a full stop is not excused by one word of a game
APOSTROPHES: Final = dict.fromkeys(map(ord, "'’‘‛ʼʹ`´′＇"))
LOOKALIKES: Final = str.maketrans("аеорсухіѕкмтԁһ$", "aeopcyxiskmtdhs")
DIGITS: Final = str.maketrans("0134579@|", "oieastgai")
DIGIT_IN_WORD: Final = re.compile(r"[0134579@|](?:(?<=[a-z].)|(?=[a-z]))")
BANG_IN_WORD: Final = re.compile(r"(?<![a-z])([bdhksw])!(?=[a-z])")  # k!ll, d!e
SPELLED_OUT: Final = re.compile(r"(?<![a-z])[a-z](?:[ .*_/-][a-z]){2,}(?![a-z])")  # k.m.s, k i l l
ELLIPSIS: Final = re.compile(r"\.{2,}")
REPEATED: Final = re.compile(r"([a-z])\1+")
TOKEN: Final = re.compile(r"[a-z0-9]+|[.!?;:]")
STOPS: Final = re.compile(r"\.{2,}")
LONE_WORD: Final = re.compile(r"(?<=[^.])\.(?=[^.]\.)")  # "I. Want. To. Die."
RISKS: Final = (SELF_HARM_OWN, SELF_HARM_OTHERS, VIOLENCE_PLANS, VIOLENCE_WISHES)
UNKNOWN = "\ue000"


def category_of(text: str) -> Category | None:
    """What a message speaks of that is answered calmly, if anything; when it speaks of both, oneself comes first."""
    meant = _IDIOM.sub(".", _coded(spelled_out(text)))
    told = _without_stories(meant)
    if _OWN.search(meant) or _OTHERS.search(told):
        return Category.SELF_HARM
    return Category.VIOLENCE if _PLANS.search(meant) or _WISHES.search(told) else None


def spelled_out(text: str) -> list[str]:
    """The words of a text as patterns write them, with a full stop where a sentence ends."""
    letters = ELLIPSIS.sub(" ", _letters(text))
    letters = SPELLED_OUT.sub(lambda found: found[0][::2], _undisguised(letters))
    return [word for seen in TOKEN.findall(squeezed(letters)) for word in _words(seen)]


def squeezed(word: str) -> str:
    """Doubled letters as one, in texts and in patterns, so that it does not matter how often one is repeated."""
    return REPEATED.sub(r"\1", word)


def patterns(lines: str) -> list[str]:
    """The patterns of a list, without its comments."""
    return [line.strip() for line in lines.strip().splitlines() if not line.startswith("#")]


def spellings() -> list[list[str]]:
    """What is meant, and in which ways it is written."""
    return [pattern.split(": ") for pattern in patterns(squeezed(_undisguised(SPELLINGS)))]


def vocabulary() -> set[str]:
    """Every word that a pattern names."""
    lists = (*RISKS, IDIOMS, STORIES, REALITY, *WORDS.values())
    places = {place.strip("[]") for each in lists for pattern in patterns(each) for place in pattern.split()}
    words = {word for place in places for word in place.split("|")}
    return {squeezed(word) for word in words if word.isalnum()}


def _letters(text: str) -> str:
    """Lower case without accents, apostrophes, lookalikes and what is not seen at all."""
    if text.isascii():
        return text.casefold().translate(APOSTROPHES)
    known = unicodedata.normalize("NFKD", text.translate(APOSTROPHES)).casefold().translate(LOOKALIKES)
    return "".join(letter for letter in known if unicodedata.category(letter) not in {"Mn", "Cf"})


def _undisguised(letters: str) -> str:
    """k1ll, k!ll and k*ll as kill or nearly so."""
    letters = BANG_IN_WORD.sub(r"\1i", letters).replace("*", "")
    return DIGIT_IN_WORD.sub(lambda found: found[0].translate(DIGITS), letters)


def _words(seen: str) -> list[str]:
    return _SPELLINGS.get(seen) or [seen if seen[0].isalnum() else "."]


def _coded(words: list[str]) -> str:
    """A letter a word, which keeps the search short and its expressions free of anything that could run away."""
    coded = STOPS.sub(".", f".{''.join(_CODES.get(word, UNKNOWN) for word in words)}.")
    return LONE_WORD.sub("", coded)


def _without_stories(coded: str) -> str:
    """Only the sentences that are not of a film, a game or the news."""
    return ".".join(each for each in coded.split(".") if len(each) > LONGEST_STORY or not _STORY.search(each) or _REAL.search(each))


def _fragment(place: str) -> str:
    """One place of a pattern as an expression over coded words."""
    if place == "~":
        return _fragment("{filler}") + "{0,3}"
    if place == "*" * len(place):
        return f"[^.]{{0,{len(place)}}}"
    if place.startswith("["):
        return _fragment(place[1:-1]) + "?"
    parts = place.split("|")
    words = "".join(_CODES[squeezed(part)] for part in parts if not part.startswith("{"))
    named = [_either(WORDS[part[1:-1]]) for part in parts if part.startswith("{")]
    return f"(?:{'|'.join([f'[{words}]', *named] if words else named)})"


def _either(lines: str) -> str:
    return f"(?:{'|'.join(''.join(map(_fragment, pattern.split())) for pattern in patterns(lines))})"


_SPELLINGS: Final = {seen: meant.split() for meant, all_seen in spellings() for seen in all_seen.split()}
_CODES: Final = {word: chr(ord(UNKNOWN) + at) for at, word in enumerate(sorted(vocabulary()), 1)} | {".": "."}
_IDIOM, _STORY, _REAL = (re.compile(_either(lines)) for lines in (IDIOMS, STORIES, REALITY))
_OWN, _OTHERS, _PLANS, _WISHES = (re.compile(_either(lines)) for lines in RISKS)
