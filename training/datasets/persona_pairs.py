"""The persona pairs: a message a person would type, and the answer in character. Written for this project; see the data card."""

from pathlib import Path

from models.emotions import Emotion
from models.hashing import json_sha256
from models.schema import FrozenModel

DATA = Path(__file__).parents[1] / "data"
HELD_OUT_TOPICS = frozenset({"travel", "pets", "hobbies", "neighbours"})
UNLABELLED_TOPICS = frozenset({"crossed", "nonsense"})  # the persona answers, but the message does not carry its emotion


class Pair(FrozenModel):
    """One line of a persona's file."""

    topic: str
    message: str
    answer: str


def pairs(persona: Emotion, held_out: bool) -> list[Pair]:
    """A persona's training pairs, or those of the held-out topics. Raises pydantic's ValidationError for a malformed line."""
    lines = (DATA / "personas" / f"{persona}.jsonl").read_text("utf-8").splitlines()
    return [pair for pair in map(Pair.model_validate_json, lines) if (pair.topic in HELD_OUT_TOPICS) is held_out]


def data_hash(rows: list[Pair]) -> str:
    return json_sha256([row.model_dump() for row in rows])
