"""Rough stems of the content words of a text, to tell if two texts speak of the same thing."""

from training.datasets.words import words

MINIMUM_STEM = 3  # letters that a suffix must leave
SUFFIXES = (
    *("ingly", "edly", "ness", "ing", "ies", "ied", "ers"),
    *("er", "ed", "es", "ly", "s", "y", "e"),
)
_FUNCTION_WORDS = """
    a about after again all also am an and any are as at be because been before being but by can
    cannot could did do does doing down even for from get gets getting go goes going gonna got had
    has have having he her here hers him his how i if im in into is it its just let like made make
    makes me more most much my no nor not now of off oh on once one only or other our out over own
    really said same say says she should so some such than that the their them then there these
    they this those though to too two up us very was we well went were what when where which while
    who whom why will with without would yes yet you your yours
    """
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def content_stems(text: str) -> set[str]:
    """Return the stems of all words but function words and single letters."""
    found = {word.split("'")[0] for word in words(text)}
    return {
        _stem(word) for word in found - FUNCTION_WORDS if len(word) > 1 and not _is_negated(word)
    }


def _is_negated(word: str) -> bool:
    """Tell if a word is the rest of a negation such as "don't" or "isn't"."""
    return word.endswith("n") and word[:-1] in FUNCTION_WORDS


def _stem(word: str) -> str:
    """Cut the first suffix that leaves enough letters, then a doubled last letter."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= MINIMUM_STEM:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > MINIMUM_STEM and word[-1] == word[-2] else word
