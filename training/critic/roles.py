"""Exchange the persons of an answer: what "you" did becomes what "she" did, and the reverse."""

import re

SECOND = {
    "you're": "{0}'s",
    "you've": "{0}'s",
    "you'd": "{0}'d",
    "you'll": "{0}'ll",
    "you were": "{0} was",
    "you are": "{0} is",
    "you have": "{0} has",
    "you do": "{0} does",
    "yourself": "{1}self",
    "yours": "{2}s",
    "your": "{2}",
    "you": "{0}",
}
# Third person -> second person.
THIRD = {
    **{f"{pronoun} was": "you were" for pronoun in ("he", "she")},
    **{f"{pronoun} is": "you are" for pronoun in ("he", "she")},
    **{f"{pronoun} has": "you have" for pronoun in ("he", "she")},
    **{f"{pronoun} does": "you do" for pronoun in ("he", "she")},
    **{f"{pronoun}'s": "you're" for pronoun in ("he", "she")},
    **{f"{pronoun}'d": "you'd" for pronoun in ("he", "she")},
    **{f"{pronoun}'ll": "you'll" for pronoun in ("he", "she")},
    **dict.fromkeys(("himself", "herself"), "yourself"),
    **dict.fromkeys(("he", "she", "him"), "you"),
    "his": "your",
    "her": "your",
}
FORMS = {"he": ("he", "him", "his"), "she": ("she", "her", "her")}
_THIRD = re.compile(r"\b(he|him|his|himself|she|her|herself)\b", re.IGNORECASE)
# "you" is taken for an object before these words, and at the end of a clause.
_OBJECT = re.compile(r"\s*([.,!?;]|$|\b(to|with|for|in|at|from|on|by|about|and)\b)")
_ANY = re.compile(
    rf"\b({'|'.join(sorted([*SECOND, *THIRD], key=len, reverse=True))})\b", re.IGNORECASE
)


def swap_roles(answer: str) -> str | None:
    """Exchange the second and the third person, or return None if it has only one of them."""
    text = answer.replace("’", "'")
    third = _THIRD.search(text)
    if not third or not re.search(r"\byou", text, re.IGNORECASE):
        return None
    forms = FORMS["he" if third[0].lower().startswith("hi") or third[0].lower() == "he" else "she"]
    return _ANY.sub(lambda found: _swapped(found, forms), text)


def _swapped(found: re.Match[str], forms: tuple[str, str, str]) -> str:
    phrase = found[0]
    lower = phrase.lower()
    if lower == "you" and _OBJECT.match(found.string, found.end()):
        return forms[1]
    result = SECOND[lower].format(*forms) if lower in SECOND else THIRD[lower]
    return result.capitalize() if phrase[0].isupper() else result
