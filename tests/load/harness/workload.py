"""Requests of a load test, the same for every arm and run with a seed.

`synthetic_requests`: short messages that name their emotion, so the scripted detector finds it.
`realistic_requests`: messages of real people, of very different lengths, mixed with probes whose
replies can be checked.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.emotions import LABELS, Emotion

OPENINGS = (
    "Today was a day of",
    "I did not think it would come to so much",
    "All week there has been nothing but",
    "Tell me about it:",
)
DETAILS = (
    "at work",
    "on the train home",
    "since my sister called",
    "over a cup of tea",
    "in the middle of the night",
    "for no reason I can name",
)
EXAMPLES = Path(__file__).parents[3] / "training" / "data" / "fresh.jsonl"
MESSAGES_PER_TEXT = (1, 1, 1, 2, 4)  # drawn uniformly, so one message is the most frequent
REPLY_TOKENS = (16, 64)  # range of max_tokens
PROBE_SHARE = 0.25
PROBE_TOKENS = 24
PROBE_COUNT = 6  # one for each emotion
INPUT_LENGTHS = (
    "1, 2 or 4 ordinary messages of one emotion (training/data/fresh.jsonl),"
    f" with probabilities 0.6, 0.2, 0.2; {PROBE_COUNT} probes"
)
OUTPUT_LENGTHS = (
    f"max_tokens uniform from {REPLY_TOKENS[0]} to {REPLY_TOKENS[1]}, {PROBE_TOKENS} for a probe;"
    " a reply may end earlier"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One message to send."""

    text: str
    emotion: Emotion  # the one that the message is about
    max_tokens: int
    seed: int
    stream: bool = True
    temperature: float = 0.7
    persona: Emotion | None = None  # the one to reply; None lets the server detect the emotion
    probe: int | None = None  # index of a probe: greedy, and scored against an idle server's reply

    def respond_body(self) -> dict[str, object]:
        """Build the JSON body for `/v1/respond`."""
        return {
            "text": self.text,
            "emotion": self.persona or "auto",
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": self.stream,
        }


def synthetic_requests(
    seed: int, max_tokens: tuple[int, int] = REPLY_TOKENS, stream: bool = True
) -> Iterator[Request]:
    """Generate short messages without end, all emotions and phrases equally likely.

    Args:
        seed: Two iterators with the same seed yield the same requests.
        max_tokens: Closed range from which each request's limit is drawn uniformly.
        stream: Ask for a stream instead of one JSON document.
    """
    rng = random.Random(seed)
    while True:
        emotion = rng.choice(LABELS)
        opening = rng.choice(OPENINGS)
        text = f"{opening} {emotion} {rng.choice(DETAILS)}, number {rng.randrange(10_000)}."
        yield Request(text, emotion, rng.randint(*max_tokens), rng.randrange(2**31), stream)


def realistic_requests(seed: int) -> Iterator[Request]:
    """Generate messages of real people without end, and now and then a probe."""
    rng = random.Random(seed)
    while True:
        if rng.random() < PROBE_SHARE:
            yield rng.choice(probe_requests())
            continue
        emotion = rng.choice(LABELS)
        messages = rng.choices(example_messages(emotion)[1:], k=rng.choice(MESSAGES_PER_TEXT))
        yield Request(" ".join(messages), emotion, rng.randint(*REPLY_TOKENS), rng.randrange(2**31))


@cache
def probe_requests() -> tuple[Request, ...]:
    """Build the probes: the first example message of each emotion, decoded greedily."""
    return tuple(
        Request(example_messages(label)[0], label, PROBE_TOKENS, 0, temperature=0, probe=number)
        for number, label in enumerate(LABELS[:PROBE_COUNT])
    )


@cache
def example_messages(emotion: Emotion) -> tuple[str, ...]:
    """Read the ordinary messages of one emotion."""
    rows = [json.loads(line) for line in EXAMPLES.read_text("utf-8").splitlines()]
    return tuple(row["message"] for row in rows if row["emotion"] == emotion)
