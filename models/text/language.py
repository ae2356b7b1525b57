"""Language of a text, told only where it is certain enough to say that it is not English.

text -> probabilities of some hundred languages (py3langid, naive Bayes on bytes) -> Language

Short and slangy English looks like anything, so a text counts as English unless another language
is far likelier. Nigerian Pidgin counts as English: the detectors were trained on it too.
"""

import unicodedata
from dataclasses import dataclass

from py3langid.langid import MODEL_FILE, LanguageIdentifier

ENGLISH = "en"
KNOWN = frozenset({ENGLISH, "pcm"})
# Of 4,876 English messages these flag one ("wanna die wanna die wanna die").
LEAST_PROBABILITY = 0.2  # of the other language
LEAST_OF_FEW_WORDS = 0.5  # of it in a text of one or two words
LEAST_RATIO = 30  # of its probability to that of English


@dataclass(frozen=True, slots=True)
class Language:
    """Language of a text.

    Attributes:
        code: ISO 639 code, None where it cannot be told.
        supported: false if the text is certainly not English.
    """

    code: str | None
    supported: bool


class LanguageDetector:
    """Loaded model of languages, about 5 MB on disk."""

    def __init__(self) -> None:
        """Load the model that comes with the library."""
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def detect(self, text: str) -> Language:
        """Return the language of a normalized text."""
        letters = [character for character in text if character.isalpha()]
        if not letters:
            return Language(None, supported=True)
        ranked = [(code, float(share)) for code, share in self._identifier.rank(text)]
        likeliest, probability = next((one for one in ranked if one[0] not in KNOWN), ("", 0.0))
        english = sum(share for code, share in ranked if code in KNOWN)
        least = LEAST_PROBABILITY if len(text.split()) > 2 else LEAST_OF_FEW_WORDS
        foreign = probability >= max(least, LEAST_RATIO * english)
        if foreign or _mostly_other_script(letters):
            return Language(likeliest or None, supported=False)
        return Language(ENGLISH if english >= probability else None, supported=True)


def _mostly_other_script(letters: list[str]) -> bool:
    """Return whether more than half of the letters are of another script than Latin."""
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin * 2 < len(letters)
