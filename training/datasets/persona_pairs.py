"""Persona pairs: what a person writes, and what a persona answers.

    training/data/{personas,plain}/PERSONA.jsonl -> Pair -> trainer, evaluation, linter

There are three sets, written for this project and described in training/data/README.md. The plain
set has everyday words, and conversations of several turns. The simple set names one thing of the
message and retells nothing. The literary and the plain set have an answer to each held-out message;
those of the plain set are the written references of the evaluation.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import field_validator

from models.emotions import Emotion
from models.hashing import json_sha256
from models.prompt import Turn
from models.schema import FrozenModel
from training.recipe import PAIR_FOLDERS, PairSet

DATA = Path(__file__).parents[1] / "data"
# Set whose file has the answers to the held-out messages.
REFERENCES: dict[PairSet, PairSet] = {"literary": "literary", "plain": "plain", "simple": "plain"}
HELD_OUT_TOPICS = frozenset({"travel", "pets", "hobbies", "neighbours"})
# The persona answers these messages, but they do not carry its emotion.
UNLABELLED_TOPICS = frozenset({"crossed", "nonsense"})


class Pair(FrozenModel):
    """One line of a persona's file.

    Attributes:
        topic: subject or form of the message.
        earlier: turns before the message, which alternate and begin with the person's.
        message: the last turn of the person.
        answer: the answer of the persona to the whole conversation.
    """

    topic: str
    earlier: tuple[Turn, ...] = ()
    message: str
    answer: str

    @field_validator("earlier")
    @classmethod
    def _check_roles(cls, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        if [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
            raise ValueError(
                "earlier turns must alternate between user and assistant, in this order"
            )
        return turns

    @property
    def conversation(self) -> list[Turn]:
        """Turns up to the answer; the message is the last of them."""
        return [*self.earlier, Turn("user", self.message)]

    @property
    def messages(self) -> list[str]:
        """Texts of the person's turns."""
        return [turn.text for turn in self.conversation if turn.role == "user"]


def training_pairs(persona: Emotion, pair_set: PairSet = "literary") -> list[Pair]:
    """Read the pairs to train a persona on. Raises pydantic's ValidationError."""
    rows = read_pairs(pairs_file(persona, pair_set))
    return [pair for pair in rows if pair.topic not in HELD_OUT_TOPICS]


def held_out_pairs(persona: Emotion, pair_set: PairSet = "literary") -> list[Pair]:
    """Read the pairs of the held-out topics. Raises pydantic's ValidationError.

    The messages are the same in all sets, and in the same order.
    """
    rows = read_pairs(pairs_file(persona, REFERENCES[pair_set]))
    return [pair for pair in rows if pair.topic in HELD_OUT_TOPICS]


def pairs_file(persona: Emotion, pair_set: PairSet, root: Path = DATA) -> Path:
    """Path of a persona's file of a set, below the data folder `root`."""
    return root / PAIR_FOLDERS[pair_set] / f"{persona}.jsonl"


def read_pairs(file: Path) -> list[Pair]:
    """Read a file of pairs, one per line. Raises pydantic's ValidationError."""
    return [Pair.model_validate_json(line) for line in file.read_text("utf-8").splitlines()]


def data_hash(rows: Iterable[Pair]) -> str:
    """Digest of the pairs in their order; a pair without earlier turns is hashed without them."""
    return json_sha256([row.model_dump(exclude_defaults=True) for row in rows])
