"""What is asked under load: a mix of all six personas, drawn from a seed, so that two arms and two runs are asked the same."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from models.emotions import LABELS, Emotion

OPENINGS = ("Today was a day of", "I did not think it would come to so much", "All week there has been nothing but", "Tell me about it:")
DETAILS = (
    "at work",
    "on the train home",
    "since my sister called",
    "over a cup of tea",
    "in the middle of the night",
    "for no reason I can name",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One message. Its text names the emotion that it is about, so the scripted detector finds it too."""

    text: str
    emotion: Emotion
    max_tokens: int
    seed: int
    stream: bool = True

    def own_body(self) -> dict[str, object]:
        """As `/v1/respond` takes it."""
        return {"text": self.text, "max_tokens": self.max_tokens, "seed": self.seed, "stream": self.stream}


def mixed(seed: int, max_tokens: tuple[int, int] = (16, 64), stream: bool = True) -> Iterator[Asked]:
    """Without end: personas, lengths and words drawn alike, `max_tokens` uniform in a closed range."""
    dice = random.Random(seed)
    while True:
        emotion = dice.choice(LABELS)
        text = f"{dice.choice(OPENINGS)} {emotion} {dice.choice(DETAILS)}, number {dice.randrange(10_000)}."
        yield Asked(text, emotion, dice.randint(*max_tokens), dice.randrange(2**31), stream)
