"""What is asked under load, drawn from a seed, so that two arms and two runs are asked the same.

`mixed`: short messages that name their emotion, which the scripted detector finds too. `varied`: what people write, of very different
lengths, with probes among it whose answers can be told to be right.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
FRESH = Path(__file__).parents[3] / "training" / "data" / "fresh.jsonl"
JOINED = (1, 1, 1, 2, 4)  # messages that make one text, each as likely as its place here
WRITTEN = (16, 64)
PROBE_SHARE = 0.25
PROBE_TOKENS = 24
PROBES = 6  # messages, one of each emotion
INPUT_LENGTHS = f"1, 2 or 4 ordinary messages of one emotion (training/data/fresh.jsonl), with probabilities 0.6, 0.2, 0.2; {PROBES} probes"
OUTPUT_LENGTHS = f"at most uniform {WRITTEN[0]} to {WRITTEN[1]} tokens, {PROBE_TOKENS} for a probe; an answer may end by itself before"


@dataclass(frozen=True, slots=True)
class Asked:
    """One message, and the emotion that it is about. `persona` None has it detected; `probe` numbers those that are greedy and scored."""

    text: str
    emotion: Emotion
    max_tokens: int
    seed: int
    stream: bool = True
    temperature: float = 0.7
    persona: Emotion | None = None
    probe: int | None = None

    def own_body(self) -> dict[str, object]:
        """As `/v1/respond` takes it."""
        return {
            "text": self.text,
            "emotion": self.persona or "auto",
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": self.stream,
        }


def mixed(seed: int, max_tokens: tuple[int, int] = WRITTEN, stream: bool = True) -> Iterator[Asked]:
    """Without end: personas, lengths and words drawn alike, `max_tokens` uniform in a closed range."""
    dice = random.Random(seed)
    while True:
        emotion = dice.choice(LABELS)
        text = f"{dice.choice(OPENINGS)} {emotion} {dice.choice(DETAILS)}, number {dice.randrange(10_000)}."
        yield Asked(text, emotion, dice.randint(*max_tokens), dice.randrange(2**31), stream)


def varied(seed: int) -> Iterator[Asked]:
    """Without end: what people write, and now and then a probe."""
    dice = random.Random(seed)
    while True:
        if dice.random() < PROBE_SHARE:
            yield dice.choice(probes())
            continue
        emotion = dice.choice(LABELS)
        text = " ".join(dice.choices(ordinary(emotion)[1:], k=dice.choice(JOINED)))
        yield Asked(text, emotion, dice.randint(*WRITTEN), dice.randrange(2**31))


@cache
def probes() -> tuple[Asked, ...]:
    """One message of each emotion, the first, asked without chance."""
    return tuple(
        Asked(ordinary(label)[0], label, PROBE_TOKENS, 0, temperature=0, probe=number) for number, label in enumerate(LABELS[:PROBES])
    )


@cache
def ordinary(emotion: Emotion) -> tuple[str, ...]:
    """The ordinary messages of one emotion."""
    rows = [json.loads(line) for line in FRESH.read_text("utf-8").splitlines()]
    return tuple(row["message"] for row in rows if row["emotion"] == emotion)
