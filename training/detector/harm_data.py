"""Messages on which the harm probe is trained and tested."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from models.detector.harm import Category
from training.datasets.dedup import NearDuplicateIndex
from training.datasets.persona_pairs import DATA
from training.datasets.sources import load_ordinary

LEAK_JACCARD = 0.8
ORDINARY = 4000  # messages without harm, sampled from those that the detector is trained on


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled message.

    Attributes:
        text: the message.
        category: kind of harm, None for a message without.
        kind: reason why the message is hard to classify; empty in the training data.
    """

    text: str
    category: Category | None
    kind: str = ""


def load_rows(name: str) -> list[Row]:
    """Load the messages of a file of `training/data`."""
    lines = map(json.loads, (DATA / name).read_text("utf-8").splitlines())
    return [
        Row(
            line["text"],
            Category(line["category"]) if line["category"] else None,
            line.get("kind", ""),
        )
        for line in lines
    ]


def load_ordinary_rows() -> list[Row]:
    """Sample messages of the six emotions that do not speak of harm."""
    sample = random.Random(0).sample(load_ordinary(held_out=False), ORDINARY)
    return [Row(example.text, None) for example in sample]


def without_near_duplicates(rows: Sequence[Row], test: Sequence[Row]) -> list[Row]:
    """Remove the near-duplicates of test messages: two writers may have the same idea."""
    index = NearDuplicateIndex(LEAK_JACCARD)
    for row in test:
        index.add(row.text)
    return [row for row in rows if index.find(row.text) is None]
